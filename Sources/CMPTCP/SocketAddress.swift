import Glibc
import TransportValues

/// `struct sockaddr_in` and `sockaddr_in6` to endpoints and back. An IPv4-mapped IPv6 address means the IPv4 address.
enum SocketAddress {
    static let ipv4Length = 16
    static let ipv6Length = 28

    /// - Parameter length: as the caller says; nil: what the family takes.
    static func read(_ pointer: UnsafeRawPointer?, length: socklen_t? = nil) throws(ErrorCode) -> Endpoint {
        guard let pointer = unsafe pointer else { throw ErrorCode(EFAULT) }
        if let length, length < 2 { throw ErrorCode(EINVAL) }
        let family = unsafe pointer.loadUnaligned(as: UInt16.self)
        switch CInt(family) {
        case AF_INET:
            if let length, length < ipv4Length { throw ErrorCode(EINVAL) }
            let port = unsafe pointer.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
            let address = unsafe pointer.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            return Endpoint(IPAddress(ipv4: UInt32(bigEndian: address)), UInt16(bigEndian: port))
        case AF_INET6:
            if let length, length < ipv6Length { throw ErrorCode(EINVAL) }
            let port = unsafe pointer.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
            let high = unsafe UInt64(bigEndian: pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            let low = unsafe UInt64(bigEndian: pointer.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            let isMapped = high == 0 && low >> 32 == 0xffff
            let address = isMapped ? IPAddress(ipv4: UInt32(truncatingIfNeeded: low)) : IPAddress(high: high, low: low)
            return Endpoint(address, UInt16(bigEndian: port))
        default: throw ErrorCode(EAFNOSUPPORT)
        }
    }

    /// The family that an address structure names, which for a mapped address is not its endpoint's.
    static func isIPv6(_ pointer: UnsafeRawPointer?) -> Bool {
        guard let pointer = unsafe pointer else { return false }
        return unsafe CInt(pointer.loadUnaligned(as: UInt16.self)) == AF_INET6
    }

    /// Writes as much as `length` has room for and sets it to the whole size, as `getsockname` does.
    static func write(
        _ endpoint: Endpoint, asIPv6: Bool, to pointer: UnsafeMutableRawPointer?,
        length: UnsafeMutablePointer<socklen_t>?
    ) throws(ErrorCode) {
        guard let pointer = unsafe pointer, let length = unsafe length else { throw ErrorCode(EFAULT) }
        let room = unsafe Int(length.pointee)
        guard room <= Int(CInt.max) else { throw ErrorCode(EINVAL) }
        var bytes = InlineArray<28, UInt8>(repeating: 0)
        func put<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
            for index in 0..<Value.bitWidth / 8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (Value.bitWidth - 8 - 8 * index))
            }
        }
        put(UInt16(asIPv6 ? AF_INET6 : AF_INET).bigEndian, at: 0)
        put(endpoint.port, at: 2)
        let address = endpoint.address
        if !asIPv6 {
            put(address.ipv4, at: 4)
        } else if address.isIPv6 || address.isUnspecified {
            put(address.high, at: 8)
            put(address.low, at: 16)
        } else {
            put(0xffff << 32 | UInt64(address.ipv4), at: 16)
        }
        let size = asIPv6 ? ipv6Length : ipv4Length
        for index in 0..<min(size, room) {
            unsafe pointer.storeBytes(of: bytes[index], toByteOffset: index, as: UInt8.self)
        }
        unsafe length.pointee = socklen_t(size)
    }
}
