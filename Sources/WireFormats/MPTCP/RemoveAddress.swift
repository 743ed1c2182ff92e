public import TransportValues

/// Up to 37 bytes, which is the most that one option of 40 bytes holds behind its first three.
@frozen
@usableFromInline
struct OptionBytes: BitwiseCopyable, Sendable {
    @usableFromInline var bytes: InlineArray<37, UInt8>
    @usableFromInline var count: UInt8

    @inlinable
    init() {
        bytes = InlineArray(repeating: 0)
        count = 0
    }

    @inlinable
    mutating func append(_ byte: UInt8) -> Bool {
        guard count < 37 else { return false }
        bytes[Int(count)] = byte
        count &+= 1
        return true
    }
}

extension OptionBytes: Hashable {
    @usableFromInline
    static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && (0..<Int(left.count)).allSatisfy { left.bytes[$0] == right.bytes[$0] }
    }

    @usableFromInline
    func hash(into hasher: inout Hasher) {
        for index in 0..<Int(count) { hasher.combine(bytes[index]) }
    }
}

/// REMOVE_ADDR (RFC 8684 §3.4.2): one address ID or more.
@frozen
public struct RemoveAddress: BitwiseCopyable, Sendable, Hashable {
    @usableFromInline var ids: OptionBytes

    /// Address IDs in the option: 1…37.
    @inlinable public var count: Int { Int(ids.count) }

    @inlinable
    public init(_ first: AddressID) {
        ids = OptionBytes()
        _ = ids.append(first.rawValue)
    }

    /// The IDs of `span`, which must not be empty; what stands behind the 37th is left out.
    init(_ packet: RawSpan, at offset: Int, count: Int) {
        ids = OptionBytes()
        for index in 0..<count { _ = ids.append(packet.byte(offset &+ index)) }
    }

    /// Adds an ID; false, and nothing added, when 37 stand there already.
    @inlinable @discardableResult
    public mutating func append(_ id: AddressID) -> Bool { ids.append(id.rawValue) }

    /// - Precondition: `index` is in `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> AddressID {
        precondition(index >= 0 && index < count)
        return AddressID(ids.bytes[index])
    }
}

/// MP_EXPERIMENTAL, subtype 15 (RFC 8684 §8.2; private use in RFC 6824): nothing is known of its meaning.
@frozen
public struct MPTCPExperimental: BitwiseCopyable, Sendable, Hashable {
    /// The four bits beside the subtype.
    public var flags: UInt8
    @usableFromInline var data: OptionBytes

    /// Bytes behind the flags: 0…37.
    @inlinable public var count: Int { Int(data.count) }

    /// - Parameter flags: only the low four bits are kept.
    @inlinable
    public init(flags: UInt8) {
        self.flags = flags & 15
        data = OptionBytes()
    }

    /// Adds a byte; false, and nothing added, when 37 stand there already.
    @inlinable @discardableResult
    public mutating func append(_ byte: UInt8) -> Bool { data.append(byte) }

    /// - Precondition: `index` is in `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return data.bytes[index]
    }
}
