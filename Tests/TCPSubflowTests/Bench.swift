import TCPSubflow
import TransportPolicies
import TransportValues
import WireFormats

/// A subflow under test beside a scripted peer: segments go in as values that were parsed from bytes, and what comes
/// out is read back from bytes.
final class Bench {
    var flow: Subflow
    var now = MonotonicInstant(nanoseconds: 5_000_000_000)
    let initial: SequenceNumber
    let peerInitial: SequenceNumber
    let tuple = FourTuple(
        local: Endpoint(IPAddress(10, 0, 0, 1), 40_000), remote: Endpoint(IPAddress(10, 0, 0, 2), 80))
    var window = 1 << 20
    var peerWindow: UInt16 = 65_535
    /// Timestamp of the peer; nil: none in its segments.
    var peerClock: UInt32?
    var multipath = OptionBlock()

    static func configuration(segment: Int = 1_460, timestamps: Bool = false) -> SubflowConfiguration {
        var configuration = SubflowConfiguration(maximumSegmentSize: segment)
        configuration.timestamps = timestamps
        // Scripts send when they please.
        configuration.paces = false
        return configuration
    }

    init(
        active configuration: SubflowConfiguration = Bench.configuration(), initial: UInt32 = 1_000,
        peerInitial: UInt32 = 500_000
    ) {
        self.initial = SequenceNumber(initial)
        self.peerInitial = SequenceNumber(peerInitial)
        flow = Subflow(
            activeOpen: configuration, initialSequence: SequenceNumber(initial), timestampOffset: 77, now: now)
    }

    init(
        passive configuration: SubflowConfiguration = Bench.configuration(), initial: UInt32 = 1_000,
        peerInitial: UInt32 = 500_000, options: OptionBlock = Bench.synOptions()
    ) {
        self.initial = SequenceNumber(initial)
        self.peerInitial = SequenceNumber(peerInitial)
        let syn = Bench.segment(.syn, SequenceNumber(peerInitial), SequenceNumber(0), 0, 65_535, options)
        flow = Subflow(
            passiveOpen: configuration, initialSequence: SequenceNumber(initial), timestampOffset: 77, syn: syn,
            now: now)
    }

    /// Past the handshake, the quick acknowledgements used up, nothing due.
    static func established(
        _ configuration: SubflowConfiguration = Bench.configuration(), initial: UInt32 = 1_000,
        peerInitial: UInt32 = 500_000, options: OptionBlock = Bench.synOptions(), clock: UInt32? = nil
    ) -> Bench {
        let bench = Bench(active: configuration, initial: initial, peerInitial: peerInitial)
        bench.peerClock = clock
        _ = bench.drain()
        bench.wait(.milliseconds(20))
        var options = options
        if let clock { options.append(TCPTimestamps(value: clock, echo: 0)) }
        _ = bench.give([.syn, .ack], 0, ack: 1, options: options)
        _ = bench.drain()
        // The SYN/ACK's window was not scaled; this one is.
        _ = bench.acknowledge(1)
        bench.flow.quickAcknowledgements = 0
        return bench
    }

    static func synOptions(
        segment: UInt16? = 1_460, scale: UInt8? = 7, sack: Bool = true, timestamps: TCPTimestamps? = nil
    ) -> OptionBlock {
        var options = OptionBlock()
        if let segment { options.append(maximumSegmentSize: segment) }
        if sack { options.appendSACKPermitted() }
        if let timestamps { options.append(timestamps) }
        if let scale { options.append(windowScale: scale) }
        return options
    }

    /// A segment from the peer, written and read back.
    static func segment(
        _ flags: TCPFlags, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber, _ payload: Int,
        _ window: UInt16, _ options: OptionBlock
    ) -> TCPSegment {
        var bytes = [UInt8](repeating: 0, count: 128)
        let fields = TCPHeaderFields(
            sourcePort: 80, destinationPort: 40_000, sequence: sequence, acknowledgment: acknowledgment, flags: flags,
            window: window)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        let header = emitTCPHeader(fields, options: options, into: &raw, at: 20)
        _ = IPHeader.emit(
            source: IPAddress(10, 0, 0, 2), destination: IPAddress(10, 0, 0, 1), protocolNumber: IPHeader.tcp,
            payloadLength: header, into: &raw, at: 0)
        var segment = try! TCPSegment(raw.bytes, ip: IPHeader(raw.bytes), checksum: .trusted)
        segment.payloadLength = payload
        return segment
    }

    /// Hands a segment of the peer to the subflow; `sequence` and `ack` are stream offsets.
    func give(
        _ flags: TCPFlags, _ sequence: Int64, ack: Int64 = 0, payload: Int = 0, window: UInt16? = nil,
        options: OptionBlock = OptionBlock(), sack: [Range<Int64>] = []
    ) -> SegmentOutcome {
        var options = options
        if let peerClock, !flags.contains(.syn) { options.append(TCPTimestamps(value: peerClock, echo: echo)) }
        if !sack.isEmpty {
            var blocks = SACKBlocks()
            for range in sack {
                blocks.append(
                    SACKBlock(
                        left: initial.advanced(by: range.lowerBound), right: initial.advanced(by: range.upperBound)))
            }
            options.append(blocks)
        }
        let segment = Bench.segment(
            flags, peerInitial.advanced(by: sequence), initial.advanced(by: ack), payload, window ?? peerWindow, options
        )
        return flow.receive(segment, now: now)
    }

    /// What the peer echoes: our last timestamp.
    var echo: UInt32 = 0

    func acknowledge(_ offset: Int64, sack: [Range<Int64>] = [], window: UInt16? = nil) -> SegmentOutcome {
        give(.ack, flow.receiveNext, ack: offset, window: window, sack: sack)
    }

    /// Payload of the peer that is stored if it may be.
    @discardableResult
    func payload(_ range: Range<Int64>, flags: TCPFlags = .ack) -> SegmentOutcome {
        let outcome = give(flags, range.lowerBound, ack: flow.sendUnacknowledged, payload: range.count)
        if let accepted = outcome.payload { _ = flow.store(accepted, now: now) }
        return outcome
    }

    func wait(_ span: TimeSpan) { now = now + span }

    /// Lets time pass to the next deadline, and tells what it brought.
    func toDeadline() -> TimeoutOutcome {
        now = max(now, flow.nextDeadline)
        return flow.advance(to: now)
    }

    /// Lets time pass until the retransmission timer expires, sending what other timers bring, tail loss probes say.
    func toTimeout() -> TimeoutOutcome {
        while flow.nextDeadline != .distantFuture {
            let outcome = toDeadline()
            if outcome.retransmissionTimedOut || outcome.closed { return outcome }
            _ = drain()
        }
        return TimeoutOutcome()
    }

    func emit(_ emission: Subflow.Emission) -> TCPSegment {
        var packet = [UInt8](repeating: 0, count: 256)
        var span = packet.mutableSpan
        var raw = unsafe span.mutableBytes
        let header = flow.emit(
            emission, tuple: tuple, multipath: multipath, window: window, into: &raw, at: 20, now: now)
        var length = 0
        if case .data(_, let count, _, _) = emission { length = count }
        if case .retransmit(let range) = emission { length = range.length }
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: IPHeader.tcp,
            payloadLength: header, into: &raw, at: 0)
        var segment = try! TCPSegment(raw.bytes, ip: IPHeader(raw.bytes), checksum: .trusted)
        segment.payloadLength = length
        if let stamp = segment.options.timestamps { echo = stamp.value }
        return segment
    }

    /// Sends what is due once; nil: nothing is.
    func step() -> TCPSegment? {
        switch flow.opportunity(now: now) {
        case .nothing: nil
        case .reset: emit(.reset)
        case .synchronize: emit(.synchronize)
        case .retransmit(let range): emit(.retransmit(range))
        case .fin: emit(.fin)
        case .probe: emit(.probe)
        case .acknowledge: emit(.acknowledge)
        }
    }

    /// Everything that is due; more than 1,000 segments are a failure to stop.
    func drain() -> [TCPSegment] {
        var segments: [TCPSegment] = []
        while segments.count < 1_000, let segment = step() { segments.append(segment) }
        return segments
    }

    /// Sends `count` new bytes, data offset equal to subflow offset, in pieces of at most `piece`, as room allows.
    func write(_ count: Int, piece: Int = 1_460) -> [TCPSegment] {
        var segments: [TCPSegment] = []
        var rest = count
        while rest > 0 {
            let length = min(rest, piece, flow.sendRoom(now: now))
            if length <= 0 { break }
            let mapping = SentMapping(
                dataOffset: flow.sendNext + 10_000, subflowOffset: flow.sendNext, length: Int32(length))
            segments.append(emit(.data(mapping, length: length, push: rest == length, fin: false)))
            rest -= length
        }
        return segments
    }

    func pathMTU(_ payload: Int, quoting offset: Int64) -> Bool {
        flow.pathMTUChanged(payload, embeddedSequence: initial.advanced(by: offset), now: now)
    }

    func permitsReuse(_ syn: TCPSegment) -> Bool { flow.permitsReuse(by: syn) }

    func offset(_ segment: TCPSegment) -> Int64 {
        segment.sequence.offset(from: initial, near: flow.sendUnacknowledged)
    }
    func acked(_ segment: TCPSegment) -> Int64 {
        segment.acknowledgment.offset(from: peerInitial, near: flow.receiveNext)
    }
    /// SACK blocks of a segment of ours as stream offsets.
    func blocks(_ segment: TCPSegment) -> [Range<Int64>] {
        (0..<segment.options.sackBlocks.count).map {
            let block = segment.options.sackBlocks[$0]
            return block.left.offset(
                from: peerInitial, near: flow.receiveNext)..<block.right.offset(
                    from: peerInitial, near: flow.receiveNext)
        }
    }
}
