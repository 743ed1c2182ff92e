import TransportValues
import WireFormats

/// A RST that answers a segment for which there is no connection (RFC 9293 §3.10.7.1).
struct ResetReply {
    var tuple: FourTuple
    var interface: InterfaceID
    var sequence: SequenceNumber
    var acknowledgment: SequenceNumber?
    /// What MP_TCPRST says, for a refused join.
    var reason: UInt8?

    init(to segment: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, reason: UInt8?) {
        self.tuple = tuple
        self.interface = interface
        self.reason = reason
        if segment.flags.contains(.ack) {
            sequence = segment.acknowledgment
            acknowledgment = nil
        } else {
            sequence = SequenceNumber(0)
            let length =
                UInt32(truncatingIfNeeded: segment.payloadLength) &+ (segment.flags.contains(.syn) ? 1 : 0)
                &+ (segment.flags.contains(.fin) ? 1 : 0)
            acknowledgment = segment.sequence + length
        }
    }

    func emit(into buffer: inout MutableRawSpan, headroom: Int) -> TransmitMetadata {
        let network = tuple.isIPv6 ? 40 : 20
        var options = OptionBlock()
        if let reason { options.append(.reset(MPTCPReset(transient: false, reason: reason))) }
        let fields = TCPHeaderFields(
            sourcePort: tuple.local.port, destinationPort: tuple.remote.port, sequence: sequence,
            acknowledgment: acknowledgment ?? SequenceNumber(0), flags: acknowledgment == nil ? [.rst] : [.rst, .ack],
            window: 0)
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
