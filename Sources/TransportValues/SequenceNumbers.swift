/// A 32-bit TCP sequence number as it stands on the wire, with serial arithmetic (RFC 9293 §3.4).
///
/// Inside the stack positions are 64-bit stream offsets (0 is the SYN, 1 the first byte), which never wrap; this type
/// is for the edge, where they meet the wire.
@frozen
public struct SequenceNumber: Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt32

    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable
    public static func + (left: Self, right: UInt32) -> Self { Self(left.rawValue &+ right) }

    /// The sequence number of a stream offset, when `self` is the initial sequence number.
    @inlinable
    public func advanced(by offset: Int64) -> Self { Self(rawValue &+ UInt32(truncatingIfNeeded: offset)) }

    /// The signed serial distance from `other` to `self`: negative when `self` is older.
    @inlinable
    public func distance(from other: Self) -> Int32 { Int32(bitPattern: rawValue &- other.rawValue) }

    /// The stream offset that this number means, when `initial` is offset 0 and the true offset lies within 2^31 of
    /// `reference`. May be negative for hostile or very old numbers.
    @inlinable
    public func offset(from initial: Self, near reference: Int64) -> Int64 {
        let expected = initial.advanced(by: reference)
        return reference &+ Int64(distance(from: expected))
    }
}

/// A 64-bit data sequence number as it stands on the wire.
///
///= RFC 8684 §3.3.1 data sequence numbers have 64 bits everywhere
@frozen
public struct DataSequenceNumber: Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt64

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The number of a data offset, when `self` is the initial data sequence number.
    @inlinable
    public func advanced(by offset: Int64) -> Self { Self(rawValue &+ UInt64(bitPattern: offset)) }

    /// The data offset that this number means, when `initial` is offset 0; serial, so it may be negative.
    @inlinable
    public func offset(from initial: Self) -> Int64 { Int64(bitPattern: rawValue &- initial.rawValue) }

    /// The 64-bit number whose low half is `low` and that lies nearest to `reference`.
    ///
    ///= RFC 8684 §3.3.1 a number of 32 bits is promoted, its upper half grows with each wrap; only where the number lies
    /// near the wrap, so that one out of order does no harm
    @inlinable
    public static func expanding(_ low: UInt32, near reference: Self) -> Self {
        let distance = Int32(bitPattern: low &- UInt32(truncatingIfNeeded: reference.rawValue))
        return Self(reference.rawValue &+ UInt64(bitPattern: Int64(distance)))
    }

    @inlinable
    public var low32: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}
