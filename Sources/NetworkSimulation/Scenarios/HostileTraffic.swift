public import TransportValues
import WireFormats

/// A source of packets that want to harm a listening host: the same seed gives the same packets.
public struct HostileTraffic {
    public enum Kind: String, CaseIterable, Sendable {
        /// SYNs from spoofed addresses; three in four with MP_CAPABLE.
        case syns
        /// SYNs with MP_JOIN and a random token, and now and then a third ACK with a random HMAC.
        case joins
        /// Anything: random flags, numbers and Multipath TCP options, half of it from the addresses of live connections.
        case segments
        /// The three in turn.
        case mixed
    }

    private var random: RandomSource
    private let target: Endpoint
    private let live: [FourTuple]
    private var turn = 0

    /// - Parameters:
    ///   - target: the listener's endpoint, IPv4.
    ///   - live: four-tuples of connections to harm, seen from the target.
    public init(seed: UInt64, target: Endpoint, live: [FourTuple]) {
        random = RandomSource(seed: seed)
        self.target = target
        self.live = live
    }

    /// Writes the next packet at `offset`; returns its length in bytes, at most ``longest``.
    public mutating func write(_ kind: Kind, into buffer: inout MutableRawSpan, at offset: Int) -> Int {
        switch kind {
        case .syns: return syn(into: &buffer, at: offset)
        case .joins: return join(into: &buffer, at: offset)
        case .segments: return segment(into: &buffer, at: offset)
        case .mixed:
            turn = (turn + 1) % 3
            return write(turn == 0 ? .syns : turn == 1 ? .joins : .segments, into: &buffer, at: offset)
        }
    }

    public static let longest = 20 + 60 + 64

    private mutating func stranger() -> Endpoint {
        // 11.0.0.0/8 to 126.0.0.0/8: unicast, and not the hosts' own.
        let address = UInt32(11 + random.next() % 115) << 24 | random.nextWord() & 0xff_ffff
        return Endpoint(IPAddress(ipv4: address), UInt16(1024 + random.next() % 60_000))
    }

    private mutating func synOptions() -> OptionBlock {
        var options = OptionBlock()
        options.append(maximumSegmentSize: 1460)
        options.appendSACKPermitted(with: TCPTimestamps(value: random.nextWord(), echo: 0))
        options.append(windowScale: 7)
        return options
    }

    private mutating func syn(into buffer: inout MutableRawSpan, at offset: Int) -> Int {
        var options = synOptions()
        if random.next() % 4 != 0 { options.append(.capable(MPCapable())) }
        return emit(.syn, from: stranger(), to: target, 0, options, 0, into: &buffer, at: offset)
    }

    private mutating func join(into buffer: inout MutableRawSpan, at offset: Int) -> Int {
        var options = OptionBlock()
        if random.next() % 8 == 0 {
            options.append(
                .join(.ack(hmac: HMAC160(high: random.next(), middle: random.next(), low: random.nextWord()))))
            return emit(.ack, from: stranger(), to: target, random.nextWord(), options, 0, into: &buffer, at: offset)
        }
        options = synOptions()
        options.append(
            .join(
                .syn(
                    backup: false, addressID: AddressID(UInt8(truncatingIfNeeded: random.nextWord())),
                    token: random.nextWord(), nonce: random.nextWord())))
        return emit(.syn, from: stranger(), to: target, 0, options, 0, into: &buffer, at: offset)
    }

    private mutating func segment(into buffer: inout MutableRawSpan, at offset: Int) -> Int {
        var signal = DataSequenceSignal()
        if random.chance(0.7) { signal.dataAck = .eight(random.next()) }
        if random.chance(0.5) {
            signal.mapping = DSSMapping(
                dataSequence: .eight(random.next()), subflowSequence: random.nextWord(),
                length: UInt16(truncatingIfNeeded: random.nextWord()))
            signal.dataFin = random.chance(0.1)
        }
        var options = OptionBlock()
        if random.chance(0.2) {
            options.append(.fastClose(MPFastClose(receiverKey: random.next())))
        } else {
            options.append(signal)
        }
        let flags: TCPFlags =
            random.chance(0.7) ? .ack : TCPFlags(rawValue: UInt8(truncatingIfNeeded: random.nextWord()) & 0x3f)
        var from = stranger()
        var to = target
        if !live.isEmpty, random.chance(0.5) {
            let tuple = live[Int(random.next() % UInt64(live.count))]
            (from, to) = (tuple.remote, tuple.local)
        }
        return emit(
            flags, from: from, to: to, random.nextWord(), options, Int(random.next() % 65), into: &buffer, at: offset)
    }

    private mutating func emit(
        _ flags: TCPFlags, from: Endpoint, to: Endpoint, _ acknowledgment: UInt32, _ options: OptionBlock,
        _ payload: Int, into buffer: inout MutableRawSpan, at offset: Int
    ) -> Int {
        let fields = TCPHeaderFields(
            sourcePort: from.port, destinationPort: to.port, sequence: SequenceNumber(random.nextWord()),
            acknowledgment: SequenceNumber(acknowledgment), flags: flags, window: 65_535)
        let length = emitTCPHeader(fields, options: options, into: &buffer, at: offset + 20) + payload
        finishTCPChecksum(
            packet: &buffer, at: offset + 20, length: length, source: from.address, destination: to.address,
            partial: false)
        _ = IPHeader.emit(
            source: from.address, destination: to.address, protocolNumber: IPHeader.tcp, payloadLength: length,
            identification: 0, trafficClass: 0, hopLimit: 64, into: &buffer, at: offset)
        return 20 + length
    }
}
