/// MP_CAPABLE (RFC 8684 §3.1, RFC 6824 §3.1), of 4, 12, 20, 22 or 24 bytes.
@frozen
public struct MPCapable: BitwiseCopyable, Sendable, Hashable {
    /// As on the wire, 0…15. In a SYN it may be one that is not known here; then only the flags were read.
    public var version: UInt8
    /// Bit A: DSS checksums are required.
    public var checksumRequired: Bool
    /// Bit B; the receiver of one that it does not understand ignores the option (version 1) or the SYN (version 0).
    public var extensibility: Bool
    /// Bit C of version 1: no subflows to this source address and port. In version 0 an algorithm bit.
    public var noAdditionalSubflows: Bool
    /// Bit H: HMAC-SHA256 in version 1, HMAC-SHA1 in version 0.
    public var hmacSHA256: Bool
    /// The other algorithm bits in place: D–G (0x1e), and C (0x20) too in version 0.
    public var otherAlgorithms: UInt8
    public var senderKey: UInt64?
    /// Stands only where the sender's does.
    public var receiverKey: UInt64?
    /// Data-level length of the segment's payload, in bytes; stands only where both keys do.
    public var dataLength: UInt16?
    /// The DSS checksum over the payload; stands only where the length does.
    public var checksum: UInt16?

    @inlinable
    public init(
        version: UInt8 = 1, checksumRequired: Bool = false, extensibility: Bool = false,
        noAdditionalSubflows: Bool = false, hmacSHA256: Bool = true, otherAlgorithms: UInt8 = 0,
        senderKey: UInt64? = nil, receiverKey: UInt64? = nil, dataLength: UInt16? = nil, checksum: UInt16? = nil
    ) {
        self.version = version
        self.checksumRequired = checksumRequired
        self.extensibility = extensibility
        self.noAdditionalSubflows = noAdditionalSubflows
        self.hmacSHA256 = hmacSHA256
        self.otherAlgorithms = otherAlgorithms
        self.senderKey = senderKey
        self.receiverKey = receiverKey
        self.dataLength = dataLength
        self.checksum = checksum
    }

    /// Whether no algorithm bit is set at all; then the option must be ignored (RFC 8684 §3.1).
    @inlinable
    public var namesNoAlgorithm: Bool { !hmacSHA256 && otherAlgorithms == 0 }

    init(version: UInt8, flags: UInt8) {
        let algorithms = (MultipathVersion(rawValue: version) ?? .one).algorithmBits
        self.init(
            version: version, checksumRequired: flags & 0x80 != 0, extensibility: flags & 0x40 != 0,
            noAdditionalSubflows: flags & 0x20 & ~algorithms != 0, hmacSHA256: flags & 1 != 0,
            otherAlgorithms: flags & algorithms & ~1)
    }

    var flagByte: UInt8 {
        let algorithms = (MultipathVersion(rawValue: version) ?? .one).algorithmBits
        var flags = otherAlgorithms & algorithms & ~1
        if checksumRequired { flags |= 0x80 }
        if extensibility { flags |= 0x40 }
        if noAdditionalSubflows { flags |= 0x20 & ~algorithms }
        if hmacSHA256 { flags |= 1 }
        return flags
    }
}
