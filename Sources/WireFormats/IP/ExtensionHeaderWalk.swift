/// The walk over IPv6 extension headers to the transport header (RFC 8200 §4).
struct ExtensionHeaderWalk {
    var protocolNumber: UInt8
    var offset: Int

    /// Headers that are stepped over at most: RFC 8504 §5.3 lets a host bound them.
    static var limit: Int { 8 }

    private static var hopByHop: UInt8 { 0 }
    private static var routing: UInt8 { 43 }
    private static var fragmentHeader: UInt8 { 44 }
    private static var authentication: UInt8 { 51 }
    private static var noNextHeader: UInt8 { 59 }
    private static var destinationOptions: UInt8 { 60 }

    /// - Parameters:
    ///   - start: where the first extension header stands.
    ///   - end: one past the IPv6 payload; not beyond the packet.
    init(_ packet: RawSpan, from start: Int, end: Int, first: UInt8) throws(WireError) {
        protocolNumber = first
        offset = start
        for _ in 0...Self.limit {
            let unit: Int
            switch protocolNumber {
            case Self.hopByHop, Self.routing, Self.destinationOptions: unit = 8
            case Self.authentication: unit = 4
            case Self.fragmentHeader: throw .fragment
            case Self.noNextHeader: throw .unsupported
            default: return
            }
            guard end &- offset >= 8 else { throw .truncated }
            let next = packet.byte(offset)
            // In units of 8 bytes without the first 8 (RFC 8200 §4.3), or of 4 without the first two (RFC 4302 §2.2).
            let length = (Int(packet.byte(offset &+ 1)) &+ (unit == 8 ? 1 : 2)) &* unit
            guard length <= end &- offset else { throw .badLength }
            protocolNumber = next
            offset &+= length
        }
        throw .tooManyExtensionHeaders
    }
}
