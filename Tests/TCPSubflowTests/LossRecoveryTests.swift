import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

private let segment: Int64 = 1_460

/// Stream offset where segment `index` begins.
private func at(_ index: Int) -> Int64 { 1 + Int64(index) * segment }

@Suite struct LossRecoveryTests {
    private func bench(sack: Bool = true, burst: Int = 1_460, algorithm: CongestionAlgorithm = .newreno) -> Bench {
        var configuration = Bench.configuration()
        configuration.congestion = algorithm
        configuration.maximumBurst = burst
        return Bench.established(configuration, options: Bench.synOptions(sack: sack))
    }

    @Test func oneLossIsRepairedByTheThirdDuplicate() throws {
        //= RFC 6675 §5
        let bench = bench()
        #expect(bench.write(10 * 1_460).count == 10)
        #expect(bench.flow.inFlight == 14_600)
        // Segment 0 is lost; the others arrive one by one.
        bench.wait(.milliseconds(20))
        #expect(!bench.acknowledge(1, sack: [at(1)..<at(2)]).enteredRecovery)
        #expect(bench.flow.opportunity(now: bench.now) == .nothing)
        //= RFC 3042: limited transmit: each of the first two duplicates lets one new segment out
        #expect(bench.flow.sendRoom(now: bench.now) == 1_460)
        #expect(bench.acknowledge(1, sack: [at(1)..<at(3)]).isDuplicateAcknowledgement)
        #expect(bench.flow.sendRoom(now: bench.now) == 2_920)
        // Three segments above it: more than (DupThresh - 1) * SMSS bytes.
        let third = bench.acknowledge(1, sack: [at(1)..<at(4)])
        #expect(third.enteredRecovery)
        #expect(bench.flow.congestionWindow == 7_300)
        let again = try #require(bench.step())
        #expect(bench.offset(again) == 1)
        #expect(again.payloadLength == 1_460)
        // pipe: 10 segments - 3 selectively acknowledged - 1 lost + 1 sent again
        #expect(bench.flow.inFlight == 7 * 1_460)
        #expect(bench.step() == nil)
        #expect(bench.flow.sendRoom(now: bench.now) == 0)
        for index in 5...10 { _ = bench.acknowledge(1, sack: [at(1)..<at(index)]) }
        #expect(bench.flow.inFlight == 1_460)
        #expect(bench.flow.sendRoom(now: bench.now) == 4 * 1_460)
        bench.wait(.milliseconds(20))
        let end = bench.acknowledge(at(10))
        #expect(end.newlyAcknowledged == 14_600)
        #expect(bench.flow.isInRecovery == false)
        #expect(bench.flow.congestionWindow == 7_300)
        #expect(bench.flow.inFlight == 0)
        #expect(bench.flow.nextDeadline == .distantFuture)
        #expect(bench.flow.statistics.fastRecoveries == 1)
        #expect(bench.flow.statistics.segmentsRetransmitted == 1)
    }

    @Test func theMappingTravelsWithARetransmission() throws {
        let bench = bench(burst: 65_000)
        let length = 10 * 1_460
        let mapping = SentMapping(
            dataOffset: 777, subflowOffset: 1, length: Int32(length), checksum: 0xbeef, hasChecksum: true, dataFin: true
        )
        _ = bench.emit(.data(mapping, length: length, push: false, fin: false))
        // One super-frame; its third and fourth segment are lost.
        #expect(bench.acknowledge(at(2), sack: [at(4)..<at(10)]).enteredRecovery)
        guard case .retransmit(let range) = bench.flow.opportunity(now: bench.now) else {
            Issue.record("nothing to send again")
            return
        }
        #expect(range.mapping == mapping)
        #expect(range.subflowOffset == at(2))
        #expect(range.dataOffset == 777 + 2 * segment)
        #expect(range.length == 2 * 1_460)
        _ = bench.emit(.retransmit(range))
        #expect(bench.step() == nil)
        #expect(bench.acknowledge(at(10)).newlyAcknowledged == 8 * segment)
        #expect(bench.flow.hasUnacknowledgedData == false)
    }

    @Test func aBurstOfLossesIsRepairedInOrder() throws {
        let bench = bench()
        _ = bench.write(10 * 1_460)
        // 0, 2, 3 and 5 are lost.
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(1, sack: [at(1)..<at(2)])
        _ = bench.acknowledge(1, sack: [at(4)..<at(5), at(1)..<at(2)])
        #expect(bench.acknowledge(1, sack: [at(6)..<at(8), at(4)..<at(5), at(1)..<at(2)]).enteredRecovery)
        var sentAgain: [Int64] = []
        for index in 8...10 {
            for segment in bench.drain() { sentAgain.append(bench.offset(segment)) }
            _ = bench.acknowledge(1, sack: [at(6)..<at(index), at(4)..<at(5), at(1)..<at(2)])
        }
        for segment in bench.drain() { sentAgain.append(bench.offset(segment)) }
        #expect(sentAgain == [at(0), at(2), at(3), at(5)])
        _ = bench.acknowledge(at(2), sack: [at(6)..<at(10), at(4)..<at(5)])
        _ = bench.acknowledge(at(10))
        #expect(bench.flow.isInRecovery == false)
        #expect(bench.flow.statistics.timeouts == 0)
        #expect(bench.flow.statistics.segmentsRetransmitted == 4)
    }

    @Test func aLostRetransmissionWaitsForTheTimer() throws {
        //= RFC 6298 §5 rules 5.4 to 5.6
        let bench = bench()
        _ = bench.write(10 * 1_460)
        _ = bench.acknowledge(1, sack: [at(1)..<at(10)])
        #expect(bench.drain().count == 1)
        let timeout = bench.toTimeout()
        #expect(timeout.retransmissionTimedOut)
        #expect(timeout.consecutiveTimeouts == 1)
        #expect(bench.flow.congestionWindow == 1_460)
        let again = bench.drain()
        #expect(again.map { bench.offset($0) } == [1])
        let second = bench.now
        _ = bench.toTimeout()
        #expect((bench.now - second) == bench.flow.roundTrip.retransmissionTimeout * 2)
        #expect(bench.flow.consecutiveTimeouts == 2)
        // A second timeout trusts no selective acknowledgement any more (RFC 2018 §8).
        #expect(bench.drain().map { bench.offset($0) } == [1])
        #expect(bench.acknowledge(at(10)).newlyAcknowledged == 14_600)
        #expect(bench.flow.consecutiveTimeouts == 0)
        #expect(bench.flow.isInRecovery == false)
    }

    @Test func aLostRetransmissionIsNoticedByWhatWasSentLater() {
        //= RFC 5681 §4.3: the loss of a retransmission lowers the window again
        let bench = bench()
        _ = bench.write(10 * 1_460)
        _ = bench.acknowledge(1, sack: [at(1)..<at(10)])
        #expect(bench.drain().map { bench.offset($0) } == [1])
        let window = bench.flow.congestionWindow
        bench.wait(.milliseconds(10))
        #expect(bench.write(1_460).count == 1)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(1, sack: [at(1)..<at(11)])
        #expect(bench.flow.statistics.retransmissionsLost == 1)
        #expect(bench.flow.congestionWindow == window / 2)
        #expect(bench.drain().map { bench.offset($0) } == [1])
        _ = bench.acknowledge(1, sack: [at(1)..<at(11)])
        #expect(bench.drain().isEmpty)
        _ = bench.acknowledge(at(11))
        #expect(bench.flow.statistics.timeouts == 0)
    }

    @Test func afterATimeoutSlowStartRepairsEverything() {
        let bench = bench()
        _ = bench.write(10 * 1_460)
        _ = bench.toTimeout()
        var order: [Int64] = []
        var acknowledged = 0
        var rounds = 0
        while acknowledged < 10, rounds < 10 {
            let again = bench.drain().map { bench.offset($0) }
            order += again
            acknowledged += again.count
            #expect(again.count <= 1 << rounds)
            bench.wait(.milliseconds(20))
            _ = bench.acknowledge(at(acknowledged))
            rounds += 1
        }
        #expect(order == (0..<10).map { at($0) })
        #expect(rounds == 4)
        #expect(bench.flow.isInRecovery == false)
    }

    @Test func renegingIsNoticedAtTheTimeout() {
        //= RFC 2018 §8
        let bench = bench()
        _ = bench.write(5 * 1_460)
        _ = bench.acknowledge(1, sack: [at(1)..<at(5)])
        #expect(bench.drain().map { bench.offset($0) } == [1])
        // The first segment is acknowledged, and the others, which the peer had, are not any more.
        _ = bench.acknowledge(at(1))
        #expect(bench.flow.inFlight == 0)
        let timeout = bench.toTimeout()
        #expect(timeout.retransmissionTimedOut)
        #expect(bench.flow.statistics.sackReneging == 1)
        #expect(bench.drain().map { bench.offset($0) } == [at(1)])
        _ = bench.acknowledge(at(2))
        #expect(bench.drain().map { bench.offset($0) } == [at(2), at(3)])
        _ = bench.acknowledge(at(5))
        #expect(bench.flow.hasUnacknowledgedData == false)
    }

    @Test func twoReorderedSegmentsCauseNoRetransmission() {
        let bench = bench()
        _ = bench.write(10 * 1_460)
        _ = bench.acknowledge(1, sack: [at(1)..<at(2)])
        _ = bench.acknowledge(1, sack: [at(1)..<at(3)])
        #expect(bench.drain().isEmpty)
        _ = bench.acknowledge(at(3))
        #expect(bench.drain().isEmpty)
        #expect(bench.flow.congestionWindow >= 14_600)
        #expect(bench.flow.statistics.fastRecoveries == 0)
    }

    @Test func withoutSACKNewRenoRepairsOneSegmentARoundTrip() {
        //= RFC 6582 §3.2
        let bench = bench(sack: false)
        _ = bench.write(10 * 1_460)
        #expect(!bench.acknowledge(1).enteredRecovery)
        #expect(bench.flow.sendRoom(now: bench.now) == 1_460)
        #expect(!bench.acknowledge(1).enteredRecovery)
        #expect(bench.acknowledge(1).enteredRecovery)
        #expect(bench.drain().map { bench.offset($0) } == [1])
        #expect(bench.flow.congestionWindow == 7_300)
        for _ in 0..<5 { _ = bench.acknowledge(1) }
        // A partial acknowledgement: segment 4 was lost too.
        _ = bench.acknowledge(at(4))
        #expect(bench.flow.isInRecovery == true)
        #expect(bench.drain().map { bench.offset($0) } == [at(4)])
        _ = bench.acknowledge(at(10))
        #expect(bench.flow.isInRecovery == false)
        #expect(bench.flow.congestionWindow == 7_300)
        #expect(bench.flow.statistics.segmentsRetransmitted == 2)
        #expect(bench.flow.inFlight == 0)
    }

    @Test func aWindowUpdateIsNoDuplicate() {
        //= RFC 5681 §2
        let bench = bench(sack: false)
        _ = bench.write(10 * 1_460)
        for window in [1_000, 2_000, 3_000, 4_000] as [UInt16] {
            #expect(!bench.acknowledge(1, window: window).isDuplicateAcknowledgement)
        }
        #expect(bench.flow.isInRecovery == false)
    }

    @Test func aLostTailBehindARepairedHoleIsFoundByTime() throws {
        //= RFC 8985 §6.2 step 5: what was sent before a segment that was delivered, and had its time, is lost
        let bench = bench()
        _ = bench.write(10 * 1_460)
        // 0 and 9 are lost, and there is no new data.
        bench.wait(.milliseconds(20))
        for index in 2...5 { _ = bench.acknowledge(1, sack: [at(1)..<at(index)]) }
        #expect(bench.drain().map { bench.offset($0) } == [1])
        for index in 6...9 { _ = bench.acknowledge(1, sack: [at(1)..<at(index)]) }
        #expect(bench.drain().isEmpty)
        bench.wait(.milliseconds(20))
        _ = bench.acknowledge(at(9))
        #expect(bench.drain().map { bench.offset($0) } == [at(9)])
        _ = bench.acknowledge(at(10))
        #expect(bench.flow.statistics.timeouts == 0)
        #expect(bench.flow.statistics.fastRecoveries == 1)
    }

    @Test func hostileBlocksChangeNothing() {
        let bench = bench()
        _ = bench.write(4 * 1_460)
        let end = bench.flow.sendNext
        for blocks in [
            [end..<end + 1], [1..<end + 1], [Int64(-40)..<Int64(-20)], [end + 1_000_000_000..<end + 1_000_000_100],
            [0..<1],
        ] as [[Range<Int64>]] {
            let outcome = bench.acknowledge(1, sack: blocks)
            #expect(outcome.verdict == .accepted)
            #expect(!outcome.isDuplicateAcknowledgement)
        }
        #expect(bench.flow.inFlight == 4 * 1_460)
        #expect(bench.flow.statistics.sackBlocksInvalid + bench.flow.statistics.duplicateReports == 5)
    }

    @Test func aScoreboardOfSingleBytesStaysBounded() {
        var configuration = Bench.configuration()
        configuration.maximumSentRecords = 64
        configuration.maximumBurst = 65_000
        let bench = Bench.established(configuration)
        _ = bench.write(14_600, piece: 14_600)
        for index in 0..<2_000 {
            let start = 3 + Int64(index) * 4
            _ = bench.acknowledge(1, sack: [start..<start + 1])
        }
        #expect(bench.flow.recordCount <= 64)
        #expect(bench.flow.statistics.sackBlocksRefused > 0)
        #expect(bench.flow.inFlight >= 0)
        for _ in 0..<3 {
            _ = bench.toTimeout()
            _ = bench.drain()
        }
        _ = bench.acknowledge(bench.flow.sendNext)
        #expect(bench.flow.hasUnacknowledgedData == false)
    }

    @Test func aSpuriousTimeoutIsTakenBack() {
        //= RFC 3522 §3.2
        var configuration = Bench.configuration(timestamps: true)
        configuration.congestion = .newreno
        let bench = Bench.established(configuration, clock: 100)
        bench.peerWindow = 65_535
        _ = bench.write(5 * 1_448, piece: 1_448)
        let original = bench.echo
        let before = bench.flow.congestionWindow
        _ = bench.toTimeout()
        #expect(bench.drain().count == 1)
        #expect(bench.flow.congestionWindow == 1_448)
        // The acknowledgement of the original comes late.
        bench.wait(.milliseconds(5))
        bench.echo = original
        _ = bench.acknowledge(1 + 1_448)
        #expect(bench.flow.statistics.spuriousRecoveries == 1)
        #expect(bench.flow.congestionWindow >= before)
        #expect(bench.drain().isEmpty)
    }

    @Test func consecutiveTimeoutsFailTheSubflow() {
        var configuration = Bench.configuration()
        configuration.dataRetries = 4
        let bench = Bench.established(configuration)
        _ = bench.write(100)
        var outcome = TimeoutOutcome()
        var count = 0
        while !outcome.closed, count < 20 {
            outcome = bench.toTimeout()
            _ = bench.drain()
            count += 1
        }
        #expect(count == 5)
        #expect(outcome.failure == .timedOut)
        // The connection can still read what was not acknowledged here.
        var pieces: [Int64] = []
        bench.flow.forEachUnacknowledged { offset, length in pieces += [offset, Int64(length)] }
        #expect(pieces == [10_001, 100])
        #expect(bench.flow.lowestUnacknowledgedDataOffset == 10_001)
    }
}
