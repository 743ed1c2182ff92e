public import TransportValues

/// An ICMP error about a TCP segment that this host sent: "too big" or "unreachable", for IPv4 (RFC 792, RFC 1191) and
/// IPv6 (RFC 4443), with what the embedded packet tells of the segment.
@frozen
public struct ICMPMessage: BitwiseCopyable, Sendable, Hashable {
    @frozen
    public enum Kind: BitwiseCopyable, Sendable, Hashable {
        /// The next hop's MTU in bytes; 0 from a router that does not tell it (RFC 1191 §4).
        case packetTooBig(mtu: Int)
        case unreachable(Unreachable)
    }

    /// What was unreachable, for both families.
    @frozen
    public enum Unreachable: BitwiseCopyable, Sendable, Hashable {
        case network
        case host
        case protocolNumber
        case port
        case prohibited
        /// Another code, as on the wire.
        case other(UInt8)
    }

    public var kind: Kind
    /// `local` is the embedded packet's source: this host, when it did send that packet.
    public var embedded: FourTuple
    /// The embedded segment's sequence number, to be checked against the send window (RFC 5927 §4.1).
    public var embeddedSequence: SequenceNumber

    /// Reads the ICMP message in `packet`; its checksum is verified.
    /// - Throws: ``WireError/wrongProtocol`` when `ip` is not ICMP of its family, ``WireError/unsupported`` for other
    ///   types and for embedded packets that are not TCP, and `truncated`, `badLength`, `badChecksum`, `fragment`.
    public init(_ packet: RawSpan, ip: IPHeader) throws(WireError) {
        let isIPv6 = ip.source.isIPv6
        guard ip.protocolNumber == (isIPv6 ? IPHeader.icmpV6 : IPHeader.icmp) else { throw .wrongProtocol }
        let offset = ip.payloadOffset
        let length = ip.payloadLength
        guard offset >= 0, length >= 8, offset <= packet.byteCount, length <= packet.byteCount &- offset else {
            throw .truncated
        }
        let message = packet.extracting(offset..<offset &+ length)
        //= RFC 4443 §2.3 the checksum covers a pseudo-header in ICMPv6; in ICMP (RFC 792) it does not.
        let pseudo =
            isIPv6
            ? InternetChecksum.pseudoHeaderSum(
                source: ip.source, destination: ip.destination, protocolNumber: IPHeader.icmpV6, length: length)
            : 0
        guard InternetChecksum.fold(InternetChecksum.sum(message, initial: pseudo)) == 0xffff else {
            throw .badChecksum
        }
        let type = message.byte(0)
        let code = message.byte(1)
        let parameter = message.word32(4)
        guard let kind = isIPv6 ? Self.version6(type, code, parameter) : Self.version4(type, code, parameter) else {
            throw .unsupported
        }
        self.kind = kind
        let inner = message.extracting(8..<length)
        let start = isIPv6 ? try Self.embeddedVersion6(inner) : try Self.embeddedVersion4(inner)
        guard inner.byteCount &- start >= 8 else { throw .truncated }
        let source =
            isIPv6
            ? IPAddress(high: inner.word64(8), low: inner.word64(16)) : IPAddress(ipv4: inner.word32(12))
        let destination =
            isIPv6
            ? IPAddress(high: inner.word64(24), low: inner.word64(32)) : IPAddress(ipv4: inner.word32(16))
        embedded = FourTuple(
            local: Endpoint(source, inner.word16(start)), remote: Endpoint(destination, inner.word16(start &+ 2)))
        embeddedSequence = SequenceNumber(inner.word32(start &+ 4))
    }

    private static func version4(_ type: UInt8, _ code: UInt8, _ parameter: UInt32) -> Kind? {
        guard type == 3 else { return nil }
        switch code {
        case 0: return .unreachable(.network)
        case 1: return .unreachable(.host)
        case 2: return .unreachable(.protocolNumber)
        case 3: return .unreachable(.port)
        //= RFC 1191 §4 the low 16 bits of the second word carry the next hop's MTU.
        case 4: return .packetTooBig(mtu: Int(parameter & 0xffff))
        case 9, 10, 13: return .unreachable(.prohibited)
        default: return .unreachable(.other(code))
        }
    }

    private static func version6(_ type: UInt8, _ code: UInt8, _ parameter: UInt32) -> Kind? {
        //= RFC 4443 §3.2 the MTU is the whole second word; the code is ignored.
        if type == 2 { return .packetTooBig(mtu: Int(parameter)) }
        guard type == 1 else { return nil }
        switch code {
        case 0: return .unreachable(.network)
        case 1, 5, 6: return .unreachable(.prohibited)
        case 3: return .unreachable(.host)
        case 4: return .unreachable(.port)
        default: return .unreachable(.other(code))
        }
    }

    // The embedded packet is cut short (RFC 792: 8 bytes of payload), so its total length and, since a router may have
    // changed the header before it complained, its checksum are not held against it.

    /// Where the embedded TCP header begins.
    private static func embeddedVersion4(_ inner: RawSpan) throws(WireError) -> Int {
        guard inner.byteCount >= 20 else { throw .truncated }
        let first = inner.byte(0)
        guard first >> 4 == 4 else { throw .badVersion }
        let headerLength = Int(first & 15) &* 4
        guard headerLength >= 20 else { throw .badLength }
        guard headerLength <= inner.byteCount else { throw .truncated }
        // Only a first fragment begins with the TCP header.
        guard inner.word16(6) & 0x1fff == 0 else { throw .fragment }
        guard inner.byte(9) == IPHeader.tcp else { throw .unsupported }
        return headerLength
    }

    private static func embeddedVersion6(_ inner: RawSpan) throws(WireError) -> Int {
        guard inner.byteCount >= 40 else { throw .truncated }
        guard inner.byte(0) >> 4 == 6 else { throw .badVersion }
        let walk = try ExtensionHeaderWalk(inner, from: 40, end: inner.byteCount, first: inner.byte(6))
        guard walk.protocolNumber == IPHeader.tcp else { throw .unsupported }
        return walk.offset
    }
}
