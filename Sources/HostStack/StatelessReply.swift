import MPTCPConnection
import TransportValues
import WireFormats

/// A segment that is sent without any connection: a RST, or the SYN/ACK of a SYN cookie.
struct StatelessReply {
    var tuple: FourTuple
    var interface: InterfaceID
    var fields: TCPHeaderFields
    var options = OptionBlock()

    /// The RST that answers a segment for which there is no connection (RFC 9293 §3.10.7.1).
    /// - Parameter reason: what MP_TCPRST says, for a refused join or port.
    init(resetting segment: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, reason: UInt8?) {
        self.tuple = tuple
        self.interface = interface
        fields = TCPHeaderFields(
            sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequence: SequenceNumber(0),
            acknowledgment: SequenceNumber(0), flags: .rst, window: 0)
        if segment.flags.contains(.ack) {
            fields.sequence = segment.acknowledgment
        } else {
            let length =
                UInt32(truncatingIfNeeded: segment.payloadLength) &+ (segment.flags.contains(.syn) ? 1 : 0)
                &+ (segment.flags.contains(.fin) ? 1 : 0)
            fields.acknowledgment = segment.sequence + length
            fields.flags = [.rst, .ack]
        }
        if let reason { options.append(.reset(MPTCPReset(transient: false, reason: reason))) }
    }

    /// The SYN/ACK for a SYN.
    init(
        cookie: SequenceNumber, for syn: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, window: Int,
        options: OptionBlock
    ) {
        self.tuple = tuple
        self.interface = interface
        self.options = options
        fields = TCPHeaderFields(
            sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequence: cookie,
            acknowledgment: syn.sequence + 1, flags: [.syn, .ack], window: UInt16(clamping: window))
    }

    func emit(into buffer: inout MutableRawSpan, headroom: Int) -> TransmitMetadata {
        let network = tuple.isIPv6 ? 40 : 20
        let length = emitTCPHeader(fields, options: options, into: &buffer, at: headroom + network)
        finishTCPChecksum(
            packet: &buffer, at: headroom + network, length: length, source: tuple.local.address,
            destination: tuple.remote.address, partial: false)
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: IPHeader.tcp,
            payloadLength: length, identification: 0, trafficClass: 0, hopLimit: 64, into: &buffer, at: headroom)
        return TransmitMetadata(
            interface: interface, length: network + length, headerLength: network + length,
            networkHeaderLength: network, isIPv6: tuple.isIPv6)
    }
}

/// A bucket of tokens that refills with time.
struct ResetBudget {
    private var tokens: Double
    private let perSecond: Double
    private var last: MonotonicInstant

    init(perSecond: Int, now: MonotonicInstant) {
        self.perSecond = Double(max(0, perSecond))
        tokens = self.perSecond
        last = now
    }

    mutating func take(now: MonotonicInstant) -> Bool {
        if now > last {
            tokens = min(perSecond, tokens + (now - last).seconds * perSecond)
            last = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
