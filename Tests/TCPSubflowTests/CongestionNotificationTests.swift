import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

@Suite struct CongestionNotificationTests {
    private func configuration(_ isOn: Bool = true, _ algorithm: CongestionAlgorithm = .newreno) -> SubflowConfiguration
    {
        var configuration = Bench.configuration()
        configuration.explicitCongestionNotification = isOn
        configuration.congestion = algorithm
        configuration.paces = false
        return configuration
    }

    private func established(_ answer: TCPFlags = [.syn, .ack, .ece]) -> Bench {
        let bench = Bench(active: configuration())
        _ = bench.drain()
        bench.wait(.milliseconds(20))
        _ = bench.give(answer, 0, ack: 1, options: Bench.synOptions())
        _ = bench.drain()
        _ = bench.acknowledge(1)
        return bench
    }

    @Test func aSynOffersAndTheAnswerAgrees() throws {
        //= RFC 3168 §6.1.1
        let bench = Bench(active: configuration())
        let syn = try #require(bench.step())
        #expect(syn.flags == [.syn, .ece, .cwr])
        // What was not answered is repeated without.
        _ = bench.toDeadline()
        #expect(try #require(bench.step()).flags == .syn)
        #expect(established().flow.usesCongestionNotification == true)
        // Both flags echoed by a peer that copies what it does not know.
        #expect(established([.syn, .ack, .ece, .cwr]).flow.usesCongestionNotification == false)
        #expect(established([.syn, .ack]).flow.usesCongestionNotification == false)
        let passive = Bench(passive: configuration())
        #expect(try #require(passive.step()).flags == [.syn, .ack])
        #expect(try #require(Bench(active: configuration(false)).step()).flags == .syn)
        // No response to marks, no packets that can be marked.
        #expect(try #require(Bench(active: configuration(true, .bbr)).step()).flags == .syn)
    }

    @Test func onlyNewDataMayBeMarked() {
        //= RFC 3168 §6.1.4, §6.1.5
        let flow = established()
        let mapping = SentMapping(dataOffset: 1, subflowOffset: 1, length: 10)
        #expect(flow.flow.congestionField(of: .data(mapping, length: 10, push: false, fin: false)) == 2)
        let again = RetransmissionRange(subflowOffset: 1, length: 10, mapping: mapping, dataOffset: 1, fin: false)
        for emission in [.acknowledge, .probe, .fin, .reset, .retransmit(again)] as [Subflow.Emission] {
            #expect(flow.flow.congestionField(of: emission) == 0)
        }
    }

    @Test func aMarkIsEchoedUntilTheSenderHasReacted() throws {
        //= RFC 3168 §6.1.3
        let bench = established()
        func data(_ start: Int64, flags: TCPFlags = .ack, field: UInt8) {
            var segment = Bench.segment(
                flags, bench.peerInitial.advanced(by: start), bench.initial.advanced(by: 1), 100, 65_535, OptionBlock())
            segment.congestionField = field
            if let range = bench.flow.receive(segment, now: bench.now).payload {
                _ = bench.flow.store(range, now: bench.now)
            }
        }
        data(1, field: 2)
        #expect(try #require(bench.step()).flags == .ack)
        data(101, field: 3)
        #expect(try #require(bench.step()).flags == [.ack, .ece])
        data(201, field: 2)
        #expect(try #require(bench.step()).flags == [.ack, .ece])
        data(301, flags: [.ack, .cwr], field: 2)
        #expect(try #require(bench.step()).flags == .ack)
        data(401, flags: [.ack, .cwr], field: 3)
        #expect(try #require(bench.step()).flags == [.ack, .ece])
        #expect(bench.flow.statistics.congestionMarks == 2)
    }

    @Test func anEchoLowersTheWindowOnceAWindow() {
        //= RFC 3168 §6.1.2
        let bench = established()
        _ = bench.write(10 * 1_460)
        bench.wait(.milliseconds(20))
        _ = bench.give([.ack, .ece], bench.flow.receiveNext, ack: 1 + 1_460)
        // FlightSize is nine segments.
        #expect(bench.flow.congestionWindow == 9 * 1_460 / 2)
        _ = bench.give([.ack, .ece], bench.flow.receiveNext, ack: 1 + 2 * 1_460)
        #expect(bench.flow.statistics.notifiedReductions == 1)
        #expect(bench.flow.statistics.congestionEchoes == 2)
        #expect(bench.flow.isInRecovery == false)
        _ = bench.acknowledge(1 + 10 * 1_460)
        let next = bench.write(2 * 1_460)
        #expect(next.map { $0.flags.contains(.cwr) } == [true, false])
        #expect(bench.flow.statistics.segmentsRetransmitted == 0)
    }
}
