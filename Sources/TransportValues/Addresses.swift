/// An IPv4 or IPv6 address in 16 bytes; an IPv4 address is kept apart from the IPv6 address that maps it.
@frozen
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The address as two big-endian halves; an IPv4 address stands in the low 32 bits of `low`.
    public var high: UInt64
    public var low: UInt64
    public var isIPv6: Bool

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        self.isIPv6 = true
    }

    @inlinable
    public init(ipv4 value: UInt32) {
        self.high = 0
        self.low = UInt64(value)
        self.isIPv6 = false
    }

    @inlinable
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// The 32 bits of an IPv4 address; the low 32 bits of an IPv6 address.
    @inlinable
    public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

    @inlinable
    public static var anyIPv4: Self { Self(ipv4: 0) }

    @inlinable
    public static var anyIPv6: Self { Self(high: 0, low: 0) }

    @inlinable
    public var isUnspecified: Bool { high == 0 && low == 0 }

    /// Loopback, multicast, broadcast or unspecified: no address a subflow may use towards another host.
    @inlinable
    public var isUnicast: Bool {
        if isUnspecified { return false }
        if isIPv6 { return high >> 56 != 0xff }
        //= RFC 1122 §3.2.1.3 0.0.0.0/8 is this network: never a destination
        return ipv4 >> 28 != 0xe && ipv4 != 0xffff_ffff && ipv4 >> 24 != 0
    }

    @inlinable
    public var isLoopback: Bool { isIPv6 ? high == 0 && low == 1 : ipv4 >> 24 == 127 }

    /// fe80::/10 or 169.254.0.0/16.
    @inlinable
    public var isLinkLocal: Bool { isIPv6 ? high >> 54 == 0x3fa : ipv4 >> 16 == 0xa9fe }

    /// Whether the first `length` bits are those of `other`, of the same family.
    @inlinable
    public func matches(_ other: Self, prefixLength length: Int) -> Bool {
        guard isIPv6 == other.isIPv6 else { return false }
        if !isIPv6 { return length <= 0 || (ipv4 ^ other.ipv4) >> UInt32(max(0, 32 - min(length, 32))) == 0 }
        if length <= 0 { return true }
        if length <= 64 { return (high ^ other.high) >> UInt64(64 - length) == 0 }
        return high == other.high && (low ^ other.low) >> UInt64(128 - min(length, 128)) == 0
    }
}

/// A transport address: `10.0.1.1:40000` or `[fd00::1]:40000`.
@frozen
public struct Endpoint: Hashable, Sendable, BitwiseCopyable {
    public var address: IPAddress
    public var port: UInt16

    @inlinable
    public init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// The two ends of one subflow, seen from this host.
@frozen
public struct FourTuple: Hashable, Sendable, BitwiseCopyable {
    public var local: Endpoint
    public var remote: Endpoint

    @inlinable
    public init(local: Endpoint, remote: Endpoint) {
        self.local = local
        self.remote = remote
    }

    @inlinable
    public var isIPv6: Bool { local.address.isIPv6 }

    @inlinable
    public var reversed: Self { Self(local: remote, remote: local) }
}

/// A network interface of a host: an index that the host gave it.
@frozen
public struct InterfaceID: Hashable, Sendable, BitwiseCopyable {
    public var rawValue: Int32

    @inlinable
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    /// No interface: what is sent there is dropped.
    @inlinable
    public static var nowhere: Self { Self(-1) }
}

/// The identifier of an address within one connection (RFC 8684 §3.4.1); 0 is the initial subflow's.
@frozen
public struct AddressID: Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8

    @inlinable
    public init(_ rawValue: UInt8) { self.rawValue = rawValue }
}
