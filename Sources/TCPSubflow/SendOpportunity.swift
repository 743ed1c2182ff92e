/// A data-level mapping as first sent; it travels with every retransmission of its bytes.
public struct SentMapping: BitwiseCopyable, Sendable, Equatable {
    /// Connection-level offset of the first mapped byte.
    public var dataOffset: Int64
    /// Subflow-level offset of the first mapped byte.
    public var subflowOffset: Int64
    /// Mapped bytes, without a DATA_FIN.
    public var length: Int32
    public var checksum: UInt16
    public var hasChecksum: Bool
    /// The mapping's length on the wire is one more.
    public var dataFin: Bool

    public init(
        dataOffset: Int64, subflowOffset: Int64, length: Int32, checksum: UInt16 = 0, hasChecksum: Bool = false,
        dataFin: Bool = false
    ) {
        self.dataOffset = dataOffset
        self.subflowOffset = subflowOffset
        self.length = length
        self.checksum = checksum
        self.hasChecksum = hasChecksum
        self.dataFin = dataFin
    }

    /// No mapping: of a FIN without data.
    public static var none: SentMapping { SentMapping(dataOffset: 0, subflowOffset: 0, length: 0) }
}

/// What is to be sent again. Never longer than one mapping nor than one burst; the caller may shorten ``length`` to
/// what fits into its packet, and clears ``fin`` then.
public struct RetransmissionRange: BitwiseCopyable, Sendable, Equatable {
    /// Subflow-level offset of the first byte.
    public var subflowOffset: Int64
    /// Payload bytes; 0 for a FIN alone.
    public var length: Int
    public var mapping: SentMapping
    /// Connection-level offset of the first byte.
    public var dataOffset: Int64
    /// A FIN follows the last byte.
    public var fin: Bool
    /// The segment is to carry PSH.
    public var push: Bool

    public init(
        subflowOffset: Int64, length: Int, mapping: SentMapping, dataOffset: Int64, fin: Bool, push: Bool = false
    ) {
        self.subflowOffset = subflowOffset
        self.length = length
        self.mapping = mapping
        self.dataOffset = dataOffset
        self.fin = fin
        self.push = push
    }
}

extension Subflow {
    /// What must or may be sent now.
    public enum SendOpportunity: BitwiseCopyable, Sendable, Equatable {
        case nothing
        /// A RST: an abort, or the answer to a segment that is nobody's.
        case reset
        /// SYN, or SYN/ACK in SYN-RECEIVED, first or again.
        case synchronize
        case retransmit(RetransmissionRange)
        /// close() was called and FIN has not been sent.
        case fin
        /// Keepalive or zero-window probe: an empty segment below the window, which elicits an acknowledgement.
        case probe
        /// An immediate, expired delayed, or challenge acknowledgement.
        case acknowledge
    }

    /// What the caller has decided to send.
    public enum Emission: BitwiseCopyable, Sendable, Equatable {
        case synchronize
        case acknowledge
        /// An acknowledgement without timestamps, where other options need all 40 bytes.
        case unstampedAcknowledge
        case probe
        case fin
        case reset
        /// New data at SND.NXT; `length` payload bytes that `mapping` covers.
        case data(SentMapping, length: Int, push: Bool, fin: Bool)
        case retransmit(RetransmissionRange)
    }
}

/// Why a subflow gave up by itself.
public enum SubflowFailure: UInt8, Sendable, Hashable, BitwiseCopyable {
    /// Too many retransmissions, or window probes without any answer.
    case timedOut
    /// Data stayed unacknowledged for the user timeout.
    case userTimeout
    /// Keepalive probes were not answered.
    case keepaliveExpired
    /// SYN or SYN/ACK was not acknowledged.
    case handshakeTimedOut
}

/// What the passing of time brought.
public struct TimeoutOutcome: BitwiseCopyable, Sendable, Equatable {
    public var retransmissionTimedOut = false
    /// Expiries in a row without progress, this one included.
    public var consecutiveTimeouts = 0
    public var failure: SubflowFailure?
    /// The phase has become closed: TIME-WAIT is over, or the subflow failed.
    public var closed = false
    /// ``Subflow/opportunity(now:)`` is worth asking.
    public var needsOutput = false

    public init() {}
}
