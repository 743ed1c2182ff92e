import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

@Suite struct HostileSegmentTests {
    /// A segment whose numbers lie anywhere, more often near what the subflow knows.
    private func segment(_ bench: Bench, _ base: TCPSegment, _ source: inout RandomSource) -> TCPSegment {
        var segment = base
        func near(_ initial: SequenceNumber, _ offsets: [Int64]) -> SequenceNumber {
            if source.chance(0.1) { return SequenceNumber(source.nextWord()) }
            let jitter = Int64(source.next() % 7) - 3
            let far = source.chance(0.3) ? Int64(source.next() % 200_000) - 100_000 : 0
            return initial.advanced(by: offsets[Int(source.next() % UInt64(offsets.count))] + jitter + far)
        }
        let flow = (bench.flow.receiveNext, bench.flow.receiveEdge)
        let send = (bench.flow.sendUnacknowledged, bench.flow.sendNext)
        segment.sequence = near(bench.peerInitial, [0, flow.0, flow.0, flow.1])
        segment.acknowledgment = near(bench.initial, [0, send.0, send.1, send.1])
        // Mostly plain, and a RST seldom enough that the subflow lives a while.
        segment.flags = source.chance(0.8) ? .ack : TCPFlags(rawValue: UInt8(truncatingIfNeeded: source.next()))
        if source.chance(0.95) { segment.flags.remove(.rst) }
        segment.window = UInt16(truncatingIfNeeded: source.next())
        segment.payloadLength = [0, 0, 1, 100, 1_460, 65_000][Int(source.next() % 6)]
        segment.options = TCPOptions()
        if source.chance(0.5) {
            for _ in 0..<source.next() % 5 {
                segment.options.sackBlocks.append(
                    SACKBlock(
                        left: near(bench.initial, [send.0, send.1, send.0 + 700]),
                        right: near(bench.initial, [send.0, send.1, send.0 + 9_000])))
            }
        }
        if source.chance(0.5) {
            segment.options.timestamps = TCPTimestamps(value: source.nextWord(), echo: source.nextWord())
        }
        if source.chance(0.1) {
            segment.options.maximumSegmentSize = UInt16(truncatingIfNeeded: source.next())
            segment.options.windowScale = UInt8(truncatingIfNeeded: source.next())
            segment.options.sackPermitted = source.chance(0.5)
        }
        return segment
    }

    private func act(_ bench: Bench, _ source: inout RandomSource) {
        switch source.next() % 12 {
        case 0: _ = bench.write(Int(source.next() % 20_000), piece: source.chance(0.5) ? 1_460 : 14_600)
        case 1:
            bench.now = min(bench.flow.nextDeadline, bench.now + .seconds(1 as Int64))
            _ = bench.flow.advance(to: bench.now)
        case 2: bench.window = Int(source.next() % (1 << 21))
        case 3: bench.flow.setDataWaiting(source.chance(0.5) ? .behindOwnWindow : .none, now: bench.now)
        case 4:
            _ = bench.pathMTU(Int(source.next() % 1_500), quoting: bench.flow.sendUnacknowledged)
        case 5 where source.chance(0.01): bench.flow.close()
        default: _ = bench.drain()
        }
        bench.wait(.microseconds(Int64(source.next() % 3_000)))
    }

    /// The full count in release builds; unoptimised it would take minutes.
    static var count: Int {
        #if DEBUG
            10_000
        #else
            100_000
        #endif
    }

    @Test(arguments: SubflowPhase.allCases)
    func aHundredThousandSegmentsInEveryState(_ phase: SubflowPhase) {
        var source = RandomSource(seed: UInt64(phase.rawValue) + 1)
        let base = Bench.segment(.ack, SequenceNumber(0), SequenceNumber(0), 0, 0, OptionBlock())
        var bench = Bench.inPhase(phase)
        var faults: [String] = []
        var accepted = 0
        for round in 0..<Self.count {
            // Each state gets its share: a fresh subflow every so often, or when a RST got through.
            if round % 200 == 0 || (bench.flow.phase == .closed && phase != .closed) { bench = Bench.inPhase(phase) }
            let outcome = bench.flow.receive(segment(bench, base, &source), now: bench.now)
            if outcome.verdict == .accepted { accepted += 1 }
            if let payload = outcome.payload, source.chance(0.8) {
                let start = payload.lowerBound + Int64(source.next() % UInt64(payload.count))
                _ = bench.flow.store(start..<payload.upperBound, now: bench.now)
            }
            act(bench, &source)
            if round % 8 == 0, let fault = bench.flow.brokenInvariant() { faults.append("\(round): \(fault)") }
            if faults.count > 3 { break }
        }
        #expect(faults == [])
        if phase.isSynchronized { #expect(accepted > Self.count / 100) }
    }

    @Test func rangesToStoreMayLieAnywhere() {
        let bench = Bench.established()
        for range in [Int64.min..<Int64.max, -5..<0, 0..<1, Int64.max - 1..<Int64.max] as [Range<Int64>] {
            _ = bench.flow.store(range, now: bench.now)
            #expect(bench.flow.brokenInvariant() == nil)
        }
        #expect(bench.flow.receiveNext == bench.flow.receiveEdge)
    }

    @Test func aStaleRetransmissionChangesNothing() {
        let bench = Bench.established()
        _ = bench.write(2_920)
        for offset in [-7, 0, 1, 700, 2_920, 2_921, 9_000] as [Int64] {
            let range = RetransmissionRange(
                subflowOffset: offset, length: 5_000, mapping: .none, dataOffset: 0, fin: true)
            _ = bench.emit(.retransmit(range))
            #expect(bench.flow.brokenInvariant() == nil)
        }
        _ = bench.emit(.fin)
        _ = bench.emit(.fin)
        _ = bench.emit(.data(.none, length: 10, push: false, fin: false))
        #expect(bench.flow.brokenInvariant() == nil)
        #expect(bench.flow.sendNext == 2_922)
    }
}
