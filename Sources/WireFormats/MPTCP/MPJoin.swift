public import TransportValues

/// The leftmost 160 bits of a join's HMAC (RFC 8684 §3.2); in version 0 the whole HMAC-SHA1.
@frozen
public struct HMAC160: BitwiseCopyable, Sendable {
    /// Big-endian: the first 64 bits, the next 64, the last 32.
    public var high: UInt64
    public var middle: UInt64
    public var low: UInt32

    @inlinable
    public init(high: UInt64, middle: UInt64, low: UInt32) {
        self.high = high
        self.middle = middle
        self.low = low
    }

    /// The leftmost 64 bits, as the SYN/ACK carries them.
    @inlinable
    public var truncated64: UInt64 { high }

    /// Compares in a time that does not depend on where the two differ.
    @inlinable
    public func constantTimeEquals(_ other: Self) -> Bool {
        (high ^ other.high) | (middle ^ other.middle) | UInt64(low ^ other.low) == 0
    }
}

extension HMAC160: Equatable {
    @inlinable
    public static func == (left: Self, right: Self) -> Bool { left.constantTimeEquals(right) }
}

/// MP_JOIN (RFC 8684 §3.2): its form is decided by the segment that carries it.
@frozen
public enum MPJoin: BitwiseCopyable, Sendable, Equatable {
    /// 12 bytes, on a SYN: the token is the receiver's.
    case syn(backup: Bool, addressID: AddressID, token: UInt32, nonce: UInt32)
    /// 16 bytes, on a SYN/ACK: the leftmost 64 bits of the sender's HMAC.
    case synAck(backup: Bool, addressID: AddressID, truncatedHMAC: UInt64, nonce: UInt32)
    /// 24 bytes, on an ACK.
    case ack(hmac: HMAC160)
}
