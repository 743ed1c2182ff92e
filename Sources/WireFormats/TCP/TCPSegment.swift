public import TransportValues

/// A parsed TCP segment: a value that borrows nothing. Its payload stays in the packet, where ``payloadOffset`` says.
@frozen
public struct TCPSegment: BitwiseCopyable, Sendable, Equatable {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var sequence: SequenceNumber
    /// Means something only when ``flags`` has `ack`.
    public var acknowledgment: SequenceNumber
    public var flags: TCPFlags
    /// As on the wire, unscaled.
    public var window: UInt16
    /// Means something only when ``flags`` has `urg`.
    public var urgentPointer: UInt16
    /// In bytes from the first of the IP packet that was parsed.
    public var payloadOffset: Int
    public var payloadLength: Int
    /// The ECN field of the IP header that carried it, 0…3 (RFC 3168 §5).
    public var congestionField: UInt8
    public var options: TCPOptions

    /// Parses the TCP part of `packet`.
    /// - Parameters:
    ///   - ip: the header that was read from the same packet.
    ///   - checksum: the checksum is verified unless this is `trusted`.
    /// - Throws: ``WireError/wrongProtocol``, `truncated`, `badLength` or `badChecksum`. Faults of options never
    ///   throw: they are counted in ``TCPOptions/ignored``.
    public init(_ packet: RawSpan, ip: IPHeader, checksum: ChecksumState) throws(WireError) {
        let offset = ip.payloadOffset
        let length = ip.payloadLength
        guard ip.protocolNumber == IPHeader.tcp else { throw .wrongProtocol }
        // Only a header of another packet can fail the bounds that are tested beside the length here.
        guard offset >= 0, length >= 20, offset <= packet.byteCount, length <= packet.byteCount &- offset else {
            throw .truncated
        }
        let control = packet.word32(offset &+ 12)
        let headerLength = Int(control >> 28) &* 4
        guard headerLength >= 20, headerLength <= length else { throw .badLength }
        if checksum == .unverified {
            let sum = InternetChecksum.sum(
                packet.extracting(offset..<offset &+ length),
                initial: InternetChecksum.pseudoHeaderSum(
                    source: ip.source, destination: ip.destination, protocolNumber: IPHeader.tcp, length: length))
            guard InternetChecksum.fold(sum) == 0xffff else { throw .badChecksum }
        }
        let ports = packet.word32(offset)
        sourcePort = UInt16(truncatingIfNeeded: ports >> 16)
        destinationPort = UInt16(truncatingIfNeeded: ports)
        sequence = SequenceNumber(packet.word32(offset &+ 4))
        acknowledgment = SequenceNumber(packet.word32(offset &+ 8))
        flags = TCPFlags(rawValue: UInt8(truncatingIfNeeded: control >> 16))
        window = UInt16(truncatingIfNeeded: control)
        urgentPointer = packet.word16(offset &+ 18)
        payloadOffset = offset &+ headerLength
        payloadLength = length &- headerLength
        congestionField = ip.trafficClass & 3
        options = TCPOptions()
        if headerLength > 20 {
            options.parse(packet, from: offset &+ 20, to: offset &+ headerLength, flags: flags)
        }
    }
}
