public import TransportValues

/// The fixed fields of a TCP header to be written.
@frozen
public struct TCPHeaderFields: BitwiseCopyable, Sendable, Hashable {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var sequence: SequenceNumber
    public var acknowledgment: SequenceNumber
    public var flags: TCPFlags
    /// As on the wire, scaled down already.
    public var window: UInt16
    public var urgentPointer: UInt16

    @inlinable
    public init(
        sourcePort: UInt16, destinationPort: UInt16, sequence: SequenceNumber, acknowledgment: SequenceNumber,
        flags: TCPFlags, window: UInt16, urgentPointer: UInt16 = 0
    ) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.urgentPointer = urgentPointer
    }
}

/// Writes a TCP header with these options at `offset`, its checksum field zero; returns its length in bytes, 20…60.
/// - Precondition: the header fits into `packet`.
@inlinable @_lifetime(packet: copy packet)
public func emitTCPHeader(
    _ fields: TCPHeaderFields, options: OptionBlock, into packet: inout MutableRawSpan, at offset: Int
) -> Int {
    packet.store(word32: UInt32(fields.sourcePort) << 16 | UInt32(fields.destinationPort), at: offset)
    packet.store(word32: fields.sequence.rawValue, at: offset &+ 4)
    packet.store(word32: fields.acknowledgment.rawValue, at: offset &+ 8)
    let length = 20 &+ options.write(into: &packet, at: offset &+ 20)
    //= RFC 9293 §3.1 the reserved bits must be zero in generated segments.
    packet.store(
        word32: UInt32(length) << 26 | UInt32(fields.flags.rawValue) << 16 | UInt32(fields.window), at: offset &+ 12)
    packet.store(word32: UInt32(fields.urgentPointer), at: offset &+ 16)
    return length
}

/// Sets the checksum of the TCP segment that stands in `packet`.
/// - Parameters:
///   - tcpOffset: where the TCP header begins.
///   - length: bytes of header and payload.
///   - partial: writes only the pseudo-header's sum, not complemented, for a device to finish.
/// - Precondition: the segment lies within `packet` and is at least 20 bytes long.
@_lifetime(packet: copy packet)
public func finishTCPChecksum(
    packet: inout MutableRawSpan, at tcpOffset: Int, length: Int, source: IPAddress, destination: IPAddress,
    partial: Bool
) {
    let pseudo = InternetChecksum.pseudoHeaderSum(
        source: source, destination: destination, protocolNumber: IPHeader.tcp, length: length)
    if partial {
        packet.store(word16: InternetChecksum.fold(pseudo), at: tcpOffset &+ 16)
        return
    }
    packet.store(word16: 0, at: tcpOffset &+ 16)
    let sum = InternetChecksum.sum(packet.bytes.extracting(tcpOffset..<tcpOffset &+ length), initial: pseudo)
    packet.store(word16: ~InternetChecksum.fold(sum), at: tcpOffset &+ 16)
}
