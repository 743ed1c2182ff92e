/// A Multipath TCP option other than DSS.
@frozen
public enum MPTCPOption: BitwiseCopyable, Sendable, Equatable {
    case capable(MPCapable)
    case join(MPJoin)
    case addAddress(AddAddress)
    case removeAddress(RemoveAddress)
    case priority(MPPriority)
    case fail(MPFail)
    case fastClose(MPFastClose)
    case reset(MPTCPReset)
    case experimental(MPTCPExperimental)

    @inlinable
    public var subtype: MPTCPSubtype {
        switch self {
        case .capable: .capable
        case .join: .join
        case .addAddress: .addAddress
        case .removeAddress: .removeAddress
        case .priority: .priority
        case .fail: .fail
        case .fastClose: .fastClose
        case .reset: .reset
        case .experimental: .experimental
        }
    }
}

/// The subtypes of option kind 30 (RFC 8684 §8.2).
@frozen
public enum MPTCPSubtype: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case capable = 0
    case join = 1
    case signal = 2
    case addAddress = 3
    case removeAddress = 4
    case priority = 5
    case fail = 6
    case fastClose = 7
    case reset = 8
    case experimental = 15
}

/// What one segment carried of option kind 30. The first of a kind wins; the rest are counted in
/// ``TCPOptions/ignored``.
@frozen
public struct MPTCPOptions: BitwiseCopyable, Sendable, Equatable {
    public var signal: DataSequenceSignal?
    /// The first option that is not a DSS.
    public var other: MPTCPOption?
    /// The second one, of another subtype, that may stand beside it.
    public var second: MPTCPOption?

    @inlinable
    public init(signal: DataSequenceSignal? = nil, other: MPTCPOption? = nil, second: MPTCPOption? = nil) {
        self.signal = signal
        self.other = other
        self.second = second
    }

    @inlinable
    public var isEmpty: Bool { signal == nil && other == nil }
}
