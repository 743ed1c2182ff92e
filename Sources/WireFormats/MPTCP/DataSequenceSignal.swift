/// The Data ACK of a DSS in the form that stood, or shall stand, on the wire.
@frozen
public enum DataAck: BitwiseCopyable, Sendable, Hashable {
    /// The low 32 bits.
    case four(UInt32)
    case eight(UInt64)
}

/// A data sequence number in a DSS mapping: all 64 bits, or the low 32 of them.
@frozen
public struct MappedDataSequence: BitwiseCopyable, Sendable, Hashable {
    /// Only the low 32 bits carry meaning when ``isEightBytes`` is false.
    public var rawValue: UInt64
    public var isEightBytes: Bool

    @inlinable
    public init(rawValue: UInt64, isEightBytes: Bool) {
        self.rawValue = isEightBytes ? rawValue : rawValue & 0xffff_ffff
        self.isEightBytes = isEightBytes
    }

    @inlinable
    public static func eight(_ value: UInt64) -> Self { Self(rawValue: value, isEightBytes: true) }

    @inlinable
    public static func four(_ value: UInt32) -> Self { Self(rawValue: UInt64(value), isEightBytes: false) }
}

/// The mapping of a DSS (RFC 8684 §3.3.1).
@frozen
public struct DSSMapping: BitwiseCopyable, Sendable, Hashable {
    public var dataSequence: MappedDataSequence
    /// Relative: the subflow's SYN is 0, its first payload byte 1. Zero in a DATA_FIN without data.
    public var subflowSequence: UInt32
    /// Data-level length in bytes, a DATA_FIN counted as one; 0 is the infinite mapping (§3.7).
    public var length: UInt16
    public var checksum: UInt16?

    @inlinable
    public init(dataSequence: MappedDataSequence, subflowSequence: UInt32, length: UInt16, checksum: UInt16? = nil) {
        self.dataSequence = dataSequence
        self.subflowSequence = subflowSequence
        self.length = length
        self.checksum = checksum
    }
}

/// DSS, the Data Sequence Signal (RFC 8684 §3.3), the same in both versions.
@frozen
public struct DataSequenceSignal: BitwiseCopyable, Sendable, Hashable {
    public var dataAck: DataAck?
    public var mapping: DSSMapping?
    /// Stands only beside a mapping, whose last octet it is (RFC 8684 §3.3.3); without one it is neither read nor
    /// written.
    public var dataFin: Bool

    @inlinable
    public init(dataAck: DataAck? = nil, mapping: DSSMapping? = nil, dataFin: Bool = false) {
        self.dataAck = dataAck
        self.mapping = mapping
        self.dataFin = dataFin
    }
}
