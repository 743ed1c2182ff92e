public import TransportValues

/// The timestamps option (RFC 7323 §3).
@frozen
public struct TCPTimestamps: BitwiseCopyable, Sendable, Hashable {
    public var value: UInt32
    public var echo: UInt32

    @inlinable
    public init(value: UInt32, echo: UInt32) {
        self.value = value
        self.echo = echo
    }
}

/// One block of a SACK option: `left ..< right` in sequence space (RFC 2018 §3).
@frozen
public struct SACKBlock: BitwiseCopyable, Sendable, Hashable {
    public var left: SequenceNumber
    public var right: SequenceNumber

    @inlinable
    public init(left: SequenceNumber, right: SequenceNumber) {
        self.left = left
        self.right = right
    }
}

/// At most four SACK blocks, which is what 40 bytes of options hold.
@frozen
public struct SACKBlocks: BitwiseCopyable, Sendable {
    @usableFromInline var storage: InlineArray<4, SACKBlock>
    @usableFromInline var storedCount: UInt8

    @inlinable public var count: Int { Int(storedCount) }
    @inlinable public var isEmpty: Bool { storedCount == 0 }

    @inlinable
    public init() {
        storage = InlineArray(repeating: SACKBlock(left: SequenceNumber(0), right: SequenceNumber(0)))
        storedCount = 0
    }

    /// - Precondition: `index` is in `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> SACKBlock {
        precondition(index >= 0 && index < count)
        return storage[index]
    }

    /// Adds a block; false, and nothing added, when four stand there already.
    @inlinable @discardableResult
    public mutating func append(_ block: SACKBlock) -> Bool {
        guard storedCount < 4 else { return false }
        storage[count] = block
        storedCount &+= 1
        return true
    }
}

extension SACKBlocks: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && (0..<left.count).allSatisfy { left[$0] == right[$0] }
    }
}

/// A TCP Fast Open cookie (RFC 7413 §4.1.1); an empty one asks for a cookie.
@frozen
public struct FastOpenCookie: BitwiseCopyable, Sendable {
    @usableFromInline var storage: InlineArray<16, UInt8>
    @usableFromInline var storedCount: UInt8

    @inlinable public var count: Int { Int(storedCount) }
    @inlinable public var isRequest: Bool { storedCount == 0 }

    /// The request for a cookie.
    @inlinable
    public init() {
        storage = InlineArray(repeating: 0)
        storedCount = 0
    }

    /// A cookie of these bytes; nil unless their number is even and 4 to 16 (RFC 7413 §4.1.1), or zero.
    public init?(_ bytes: RawSpan) {
        self.init()
        let count = bytes.byteCount
        guard count == 0 || (count >= 4 && count <= 16 && count % 2 == 0) else { return nil }
        for index in 0..<count { storage[index] = bytes.byte(index) }
        storedCount = UInt8(count)
    }

    /// - Precondition: `index` is in `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return storage[index]
    }
}

extension FastOpenCookie: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && (0..<left.count).allSatisfy { left[$0] == right[$0] }
    }
}

/// Options of a segment that were passed over, by reason. Each counts to at most 40, the bytes that options may take.
@frozen
public struct OptionFaults: BitwiseCopyable, Sendable, Hashable {
    /// A length that no form of the option has.
    public var malformed: UInt8
    /// A second option of one kind, or of one Multipath TCP subtype.
    public var duplicate: UInt8
    /// A Multipath TCP option that must not stand beside one before it, or a third one beside a DSS.
    public var conflicting: UInt8
    /// A kind or subtype that is not known.
    public var unknown: UInt8
    /// A known option in a segment whose control bits do not allow it.
    public var misplaced: UInt8
    /// 1 when the walk ended early: a length of 0 or 1, or one past the header's end.
    public var truncated: UInt8

    @inlinable
    public init(
        malformed: UInt8 = 0, duplicate: UInt8 = 0, conflicting: UInt8 = 0, unknown: UInt8 = 0, misplaced: UInt8 = 0,
        truncated: UInt8 = 0
    ) {
        self.malformed = malformed
        self.duplicate = duplicate
        self.conflicting = conflicting
        self.unknown = unknown
        self.misplaced = misplaced
        self.truncated = truncated
    }

    enum Reason { case malformed, duplicate, conflicting, unknown, misplaced }

    @inline(__always)
    mutating func count(_ reason: Reason) {
        switch reason {
        case .malformed: malformed &+= 1
        case .duplicate: duplicate &+= 1
        case .conflicting: conflicting &+= 1
        case .unknown: unknown &+= 1
        case .misplaced: misplaced &+= 1
        }
    }

    @inlinable
    public var isEmpty: Bool { malformed | duplicate | conflicting | unknown | misplaced | truncated == 0 }
}

/// What one segment carried of TCP options. The first of a kind counts; others are counted in ``ignored``.
@frozen
public struct TCPOptions: BitwiseCopyable, Sendable, Equatable {
    /// In bytes; only from a SYN (RFC 9293 §3.7.1).
    public var maximumSegmentSize: UInt16?
    /// A shift of 0…14, clamped as RFC 7323 §2.3 says; only from a SYN.
    public var windowScale: UInt8?
    /// Only from a SYN.
    public var sackPermitted: Bool
    public var timestamps: TCPTimestamps?
    public var sackBlocks: SACKBlocks
    /// Only from a SYN.
    public var fastOpen: FastOpenCookie?
    public var multipath: MPTCPOptions
    public var ignored: OptionFaults

    @inlinable
    public init() {
        maximumSegmentSize = nil
        windowScale = nil
        sackPermitted = false
        timestamps = nil
        sackBlocks = SACKBlocks()
        fastOpen = nil
        multipath = MPTCPOptions()
        ignored = OptionFaults()
    }
}

/// Option kinds as they stand on the wire.
enum TCPOptionKind {
    static var end: UInt8 { 0 }
    static var noOperation: UInt8 { 1 }
    static var maximumSegmentSize: UInt8 { 2 }
    static var windowScale: UInt8 { 3 }
    static var sackPermitted: UInt8 { 4 }
    static var sack: UInt8 { 5 }
    static var timestamps: UInt8 { 8 }
    static var multipath: UInt8 { 30 }
    static var fastOpen: UInt8 { 34 }
}
