import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

private let segment: Int64 = 1_460

/// Stream offset where segment `index` begins.
private func at(_ index: Int) -> Int64 { 1 + Int64(index) * segment }

@Suite struct RACKTests {
    /// Round trip 20 ms by the handshake, window of ten segments, unpaced.
    private func bench(timestamps: Bool = false) -> Bench {
        var configuration = Bench.configuration(timestamps: timestamps)
        configuration.congestion = .newreno
        configuration.paces = false
        return Bench.established(configuration, clock: timestamps ? 100 : nil)
    }

    @Test func aHoleWaitsForAQuarterOfTheRoundTrip() {
        //= RFC 8985 §6.2 step 4 and 5: RACK.reo_wnd = RACK.min_RTT / 4; the timer finds what no acknowledgement does
        let bench = bench()
        _ = bench.write(3 * 1_460)
        bench.wait(.milliseconds(20))
        // Only one segment above the hole: no three, so patience.
        #expect(!bench.acknowledge(1, sack: [at(1)..<at(2)]).enteredRecovery)
        #expect(bench.drain().isEmpty)
        let start = bench.now
        _ = bench.toDeadline()
        #expect(bench.now - start == .milliseconds(5))
        #expect(bench.drain().map { bench.offset($0) } == [1])
        #expect(bench.flow.statistics.fastRecoveries == 1)
        #expect(bench.flow.statistics.timeouts == 0)
    }

    @Test func reorderingOnceSeenIsBorne() {
        //= RFC 8985 §6.2 step 3 and 4: after reordering was seen, three segments above a hole do not suffice
        let bench = bench()
        _ = bench.write(10 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(1, sack: [at(1)..<at(2)])
        // The hole is filled by the original.
        _ = bench.acknowledge(at(2))
        _ = bench.acknowledge(at(2), sack: [at(3)..<at(10)])
        #expect(bench.drain().isEmpty)
        #expect(bench.flow.isInRecovery == false)
        bench.wait(.milliseconds(5))
        _ = bench.flow.advance(to: bench.now)
        #expect(bench.flow.isInRecovery == true)
        #expect(bench.drain().map { bench.offset($0) } == [at(2)])
    }

    @Test func aReportOfADuplicateWidensTheWindow() {
        //= RFC 8985 §6.2 step 4: each round trip with a D-SACK adds a quarter
        let bench = bench()
        _ = bench.write(10 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(1, sack: [at(1)..<at(5)])
        #expect(bench.drain().map { bench.offset($0) } == [1])
        bench.wait(.milliseconds(2))
        // The original was only late; then the retransmission arrives, too.
        _ = bench.acknowledge(at(10))
        _ = bench.acknowledge(at(10), sack: [1..<at(1)])
        #expect(bench.flow.statistics.duplicateReports == 1)
        // Its only retransmission was needless: the window is given back (RFC 3708).
        #expect(bench.flow.statistics.spuriousRecoveries == 1)
        #expect(bench.flow.congestionWindow == 14_600)
        _ = bench.write(3 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(10), sack: [at(11)..<at(12)])
        let start = bench.now
        _ = bench.toDeadline()
        // The least round trip is still 20 ms: two quarters.
        #expect(bench.now - start == .milliseconds(10))
        _ = bench.drain()
        _ = bench.acknowledge(at(13))
        // Nor do three segments above a hole count any more.
        let before = bench.flow.statistics.fastRecoveries
        _ = bench.write(5 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(13), sack: [at(14)..<at(18)])
        #expect(bench.flow.statistics.fastRecoveries == before)
    }

    @Test func aLostTailIsProbedAfterTwoRoundTrips() {
        //= RFC 8985 §7.2, §7.3: PTO = 2 * SRTT; the last segment goes out again
        let bench = bench()
        _ = bench.write(5 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(4))
        let start = bench.now
        let smoothed = bench.flow.roundTrip.smoothed
        // One segment is left, whose acknowledgement the peer may delay by 200 ms: the retransmission timer is earlier.
        #expect(bench.flow.nextDeadline == start + bench.flow.roundTrip.retransmissionTimeout)
        _ = bench.write(4 * 1_460)
        #expect(bench.flow.nextDeadline == start + smoothed * 2)
        _ = bench.toDeadline()
        #expect(bench.drain().map { bench.offset($0) } == [at(8)])
        #expect(bench.flow.statistics.lossProbes == 1)
        // Only the tail was lost, and the probe has mended it: that was congestion nevertheless (§7.4).
        let flight = bench.flow.sendNext - bench.flow.sendUnacknowledged
        bench.wait(.milliseconds(1))
        _ = bench.write(1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(10))
        #expect(bench.flow.statistics.lossProbeRepairs == 1)
        #expect(bench.flow.congestionWindow < 14_600)
        #expect(flight == 5 * segment)
        #expect(bench.flow.statistics.timeouts == 0)
    }

    @Test func aProbeThatWasNotNeededCostsNothing() {
        //= RFC 8985 §7.4.2 case 1: a D-SACK of the probe: original and probe arrived
        let bench = bench()
        _ = bench.write(5 * 1_460)
        _ = bench.toDeadline()
        #expect(bench.drain().map { bench.offset($0) } == [at(4)])
        let window = bench.flow.congestionWindow
        _ = bench.acknowledge(at(5))
        _ = bench.acknowledge(at(5), sack: [at(4)..<at(5)])
        #expect(bench.flow.statistics.lossProbeRepairs == 0)
        #expect(bench.flow.congestionWindow >= window)
        // Nor does it widen the reordering window.
        _ = bench.write(3 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(5), sack: [at(6)..<at(7)])
        let start = bench.now
        _ = bench.toDeadline()
        #expect(bench.now - start == .milliseconds(5))
    }

    @Test func aProbeMakesALostTailVisible() {
        // The probe's selective acknowledgement shows the hole in front of it: fast recovery, no timeout.
        let bench = bench()
        _ = bench.write(5 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(2))
        _ = bench.toDeadline()
        #expect(bench.drain().map { bench.offset($0) } == [at(4)])
        bench.wait(.milliseconds(20))
        // What was sent before it has had its time.
        #expect(bench.acknowledge(at(2), sack: [at(4)..<at(5)]).enteredRecovery)
        #expect(bench.drain().map { bench.offset($0) } == [at(2)])
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(3), sack: [at(4)..<at(5)])
        #expect(bench.drain().map { bench.offset($0) } == [at(3)])
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(5))
        #expect(bench.flow.isInRecovery == false)
        #expect(bench.flow.statistics.timeouts == 0)
    }

    @Test func originalsThatArriveAfterATimeoutUndoIt() {
        //= RFC 5682 §3.1: without timestamps, by what was never sent again
        let bench = bench()
        _ = bench.write(10 * 1_460)
        _ = bench.toTimeout()
        #expect(bench.flow.congestionWindow == 1_460)
        #expect(bench.drain().map { bench.offset($0) } == [1])
        // The whole flight was late.
        _ = bench.acknowledge(at(2))
        #expect(bench.flow.statistics.spuriousRecoveries == 1)
        #expect(bench.flow.congestionWindow >= 14_600)
        #expect(bench.drain().isEmpty)
        #expect(bench.flow.isInRecovery == false)
    }

    @Test func recoverySendsInProportionToWhatIsDelivered() {
        //= RFC 9937 §6.2: with ssthresh half of RecoverFS one segment goes out for every two delivered
        let bench = bench()
        var end: Int64 = 1
        end += Int64(bench.write(10 * 1_460).count) * segment
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(end)
        #expect(bench.flow.congestionWindow == 20 * 1_460)
        _ = bench.write(20 * 1_460)
        bench.wait(.milliseconds(20))
        // Segment 10 is lost. The first two duplicates let nothing new out: there is nothing.
        for count in 1...3 { _ = bench.acknowledge(end, sack: [at(11)..<at(11 + count)]) }
        #expect(bench.flow.isInRecovery == true)
        #expect(bench.flow.congestionWindow == 10 * 1_460)
        #expect(bench.drain().count == 1)
        var sent = [Int]()
        for count in 4...19 {
            _ = bench.acknowledge(end, sack: [at(11)..<at(11 + count)])
            sent.append(bench.write(5 * 1_460).count)
        }
        // prr_delivered 2...18 against prr_out: one retransmission went out on the third duplicate, RecoverFS is 18
        // (two were selectively acknowledged before), ssthresh 10: out = ceil(delivered * 10 / 18) in all.
        #expect(sent.reduce(0, +) == 9)
        #expect(sent.allSatisfy { $0 <= 2 })
    }
}
