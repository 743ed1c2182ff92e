public import TransportValues

/// A UDP header (RFC 768).
@frozen
public struct UDPHeader: BitwiseCopyable, Sendable, Hashable {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// In bytes from the first of the IP packet.
    public var payloadOffset: Int
    public var payloadLength: Int

    /// Reads the UDP header of `packet`.
    /// - Parameter checksum: the checksum is verified unless this is `trusted`, or it is zero in IPv4.
    /// - Throws: ``WireError/wrongProtocol``, `truncated`, `badLength` or `badChecksum`.
    public init(_ packet: RawSpan, ip: IPHeader, checksum: ChecksumState) throws(WireError) {
        guard ip.protocolNumber == IPHeader.udp else { throw .wrongProtocol }
        let offset = ip.payloadOffset
        let available = ip.payloadLength
        guard offset >= 0, available >= 8, offset <= packet.byteCount, available <= packet.byteCount &- offset else {
            throw .truncated
        }
        let length = Int(packet.word16(offset &+ 4))
        guard length >= 8, length <= available else { throw .badLength }
        if checksum == .unverified {
            if packet.word16(offset &+ 6) == 0 {
                //= RFC 8200 §8.1 a UDP packet over IPv6 without a checksum must be discarded.
                guard !ip.source.isIPv6 else { throw .badChecksum }
            } else {
                let sum = InternetChecksum.sum(
                    packet.extracting(offset..<offset &+ length),
                    initial: InternetChecksum.pseudoHeaderSum(
                        source: ip.source, destination: ip.destination, protocolNumber: IPHeader.udp,
                        length: length))
                guard InternetChecksum.fold(sum) == 0xffff else { throw .badChecksum }
            }
        }
        sourcePort = packet.word16(offset)
        destinationPort = packet.word16(offset &+ 2)
        payloadOffset = offset &+ 8
        payloadLength = length &- 8
    }

    /// Writes a header at `offset` before the payload that stands behind it, and its checksum; returns 8.
    /// - Precondition: header and payload lie within `packet`; `payloadLength` is at most 65,527.
    @_lifetime(packet: copy packet)
    public static func emit(
        sourcePort: UInt16, destinationPort: UInt16, payloadLength: Int, source: IPAddress, destination: IPAddress,
        into packet: inout MutableRawSpan, at offset: Int
    ) -> Int {
        let length = payloadLength &+ 8
        precondition(payloadLength >= 0 && length <= 0xffff)
        packet.store(word32: UInt32(sourcePort) << 16 | UInt32(destinationPort), at: offset)
        packet.store(word32: UInt32(length) << 16, at: offset &+ 4)
        let sum = InternetChecksum.sum(
            packet.bytes.extracting(offset..<offset &+ length),
            initial: InternetChecksum.pseudoHeaderSum(
                source: source, destination: destination, protocolNumber: IPHeader.udp, length: length))
        let checksum = ~InternetChecksum.fold(sum)
        //= RFC 768 a checksum that comes out as zero is transmitted as all ones.
        packet.store(word16: checksum == 0 ? 0xffff : checksum, at: offset &+ 6)
        return 8
    }
}
