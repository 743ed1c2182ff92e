public import TransportValues

/// One received IP packet's header, version 4 or 6, with IPv4 options and IPv6 extension headers stepped over.
@frozen
public struct IPHeader: BitwiseCopyable, Sendable, Equatable {
    public var source: IPAddress
    public var destination: IPAddress
    /// The transport protocol, after extension headers: see the constants below.
    public var protocolNumber: UInt8
    /// DSCP in the high six bits, ECN in the low two (RFC 3168 §5).
    public var trafficClass: UInt8
    /// Time to live, or hop limit.
    public var hopLimit: UInt8
    /// Where the transport header begins, in bytes from the packet's first.
    public var payloadOffset: Int
    /// Bytes of the transport header and payload; link padding behind the packet is outside.
    public var payloadLength: Int

    public static var tcp: UInt8 { 6 }
    public static var udp: UInt8 { 17 }
    public static var icmp: UInt8 { 1 }
    public static var icmpV6: UInt8 { 58 }

    /// Reads and validates a packet's IP header; the IPv4 header checksum is verified.
    /// - Throws: ``WireError/fragment`` for any fragment, and `truncated`, `badLength`, `badVersion`, `badChecksum`,
    ///   `tooManyExtensionHeaders`.
    public init(_ packet: RawSpan) throws(WireError) {
        guard packet.byteCount >= 20 else { throw .truncated }
        let version = packet.byte(0) >> 4
        if version == 4 {
            try self.init(version4: packet)
        } else if version == 6 {
            try self.init(version6: packet)
        } else {
            throw .badVersion
        }
    }

    @inline(__always)
    private init(version4 packet: RawSpan) throws(WireError) {
        let first = packet.word32(0)
        let headerLength = Int(first >> 24 & 15) &* 4
        let totalLength = Int(first & 0xffff)
        guard headerLength >= 20, totalLength >= headerLength else { throw .badLength }
        guard totalLength <= packet.byteCount else { throw .truncated }
        let second = packet.word32(4)
        let third = packet.word32(8)
        let sourceWord = packet.word32(12)
        let destinationWord = packet.word32(16)
        // The fixed header is summed from the fields that are loaded anyway.
        var sum = UInt64(first) &+ UInt64(second) &+ UInt64(third) &+ UInt64(sourceWord) &+ UInt64(destinationWord)
        if headerLength > 20 {
            var offset = 20
            while offset < headerLength {
                sum &+= UInt64(packet.word32(offset))
                offset &+= 4
            }
        }
        guard InternetChecksum.fold(sum) == 0xffff else { throw .badChecksum }
        // Either "more fragments" or a non-zero offset.
        guard second & 0x3fff == 0 else { throw .fragment }
        source = IPAddress(ipv4: sourceWord)
        destination = IPAddress(ipv4: destinationWord)
        protocolNumber = UInt8(truncatingIfNeeded: third >> 16)
        hopLimit = UInt8(truncatingIfNeeded: third >> 24)
        trafficClass = UInt8(truncatingIfNeeded: first >> 16)
        payloadOffset = headerLength
        payloadLength = totalLength &- headerLength
    }

    @inline(__always)
    private init(version6 packet: RawSpan) throws(WireError) {
        guard packet.byteCount >= 40 else { throw .truncated }
        let first = packet.word32(0)
        let second = packet.word32(4)
        let length = Int(second >> 16)
        guard length <= packet.byteCount &- 40 else { throw .truncated }
        source = IPAddress(high: packet.word64(8), low: packet.word64(16))
        destination = IPAddress(high: packet.word64(24), low: packet.word64(32))
        trafficClass = UInt8(truncatingIfNeeded: first >> 20)
        hopLimit = UInt8(truncatingIfNeeded: second)
        let next = UInt8(truncatingIfNeeded: second >> 8)
        protocolNumber = next
        payloadOffset = 40
        payloadLength = length
        if next == Self.tcp { return }
        let walk = try ExtensionHeaderWalk(packet, from: 40, end: 40 &+ length, first: next)
        protocolNumber = walk.protocolNumber
        payloadOffset = walk.offset
        payloadLength = 40 &+ length &- walk.offset
    }

    /// Writes a header with no options and DF set at `offset`, the IPv4 checksum done; returns its length, 20 or 40.
    /// - Parameters:
    ///   - payloadLength: bytes that follow the header: at most 65,515 for IPv4 and 65,535 for IPv6.
    ///   - identification: IPv4's; unused for IPv6.
    /// - Precondition: both addresses are of one family, and the header fits into `packet`.
    @_lifetime(packet: copy packet)
    public static func emit(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, payloadLength: Int,
        identification: UInt16 = 0, trafficClass: UInt8 = 0, hopLimit: UInt8 = 64,
        into packet: inout MutableRawSpan, at offset: Int
    ) -> Int {
        precondition(source.isIPv6 == destination.isIPv6)
        if source.isIPv6 {
            precondition(payloadLength >= 0 && payloadLength <= 0xffff)
            packet.store(word32: 0x6000_0000 | UInt32(trafficClass) << 20, at: offset)
            packet.store(
                word32: UInt32(payloadLength) << 16 | UInt32(protocolNumber) << 8 | UInt32(hopLimit), at: offset &+ 4)
            packet.store(word64: source.high, at: offset &+ 8)
            packet.store(word64: source.low, at: offset &+ 16)
            packet.store(word64: destination.high, at: offset &+ 24)
            packet.store(word64: destination.low, at: offset &+ 32)
            return 40
        }
        precondition(payloadLength >= 0 && payloadLength <= 0xffff - 20)
        let first = 0x4500_0000 | UInt32(trafficClass) << 16 | UInt32(payloadLength &+ 20)
        let second = UInt32(identification) << 16 | 0x4000
        let third = UInt32(hopLimit) << 24 | UInt32(protocolNumber) << 16
        let sum =
            UInt64(first) &+ UInt64(second) &+ UInt64(third) &+ UInt64(source.ipv4) &+ UInt64(destination.ipv4)
        packet.store(word32: first, at: offset)
        packet.store(word32: second, at: offset &+ 4)
        packet.store(word32: third | UInt32(~InternetChecksum.fold(sum)), at: offset &+ 8)
        packet.store(word32: source.ipv4, at: offset &+ 12)
        packet.store(word32: destination.ipv4, at: offset &+ 16)
        return 20
    }
}
