public import TransportValues

/// MP_PRIO (RFC 8684 §3.3.8; with an address ID, of 4 bytes, only in version 0).
@frozen
public struct MPPriority: BitwiseCopyable, Sendable, Hashable {
    public var backup: Bool
    /// Version 0: the address whose subflows are meant, instead of the subflow that carries the option.
    public var addressID: AddressID?

    @inlinable
    public init(backup: Bool, addressID: AddressID? = nil) {
        self.backup = backup
        self.addressID = addressID
    }
}

/// MP_FAIL (RFC 8684 §3.7): a checksum failed in the data from this number on.
@frozen
public struct MPFail: BitwiseCopyable, Sendable, Hashable {
    public var dataSequence: UInt64

    @inlinable
    public init(dataSequence: UInt64) { self.dataSequence = dataSequence }
}

/// MP_FASTCLOSE (RFC 8684 §3.5), with the key of the host that receives it.
@frozen
public struct MPFastClose: BitwiseCopyable, Sendable, Hashable {
    public var receiverKey: UInt64

    @inlinable
    public init(receiverKey: UInt64) { self.receiverKey = receiverKey }
}

/// MP_TCPRST (RFC 8684 §3.6): why a subflow is reset.
@frozen
public struct MPTCPReset: BitwiseCopyable, Sendable, Hashable {
    /// Bit T: the path may be tried again.
    public var transient: Bool
    /// Bits U (8), V (4) and W (2) as received; they have no meaning and are sent as zero.
    public var flags: UInt8
    /// One of the constants below, or a code that is not known here.
    public var reason: UInt8

    @inlinable
    public init(transient: Bool, reason: UInt8, flags: UInt8 = 0) {
        self.transient = transient
        self.reason = reason
        self.flags = flags & 14
    }

    @inlinable public static var unspecified: UInt8 { 0 }
    @inlinable public static var multipathSpecificError: UInt8 { 1 }
    @inlinable public static var lackOfResources: UInt8 { 2 }
    @inlinable public static var administrativelyProhibited: UInt8 { 3 }
    @inlinable public static var tooMuchOutstandingData: UInt8 { 4 }
    @inlinable public static var unacceptablePerformance: UInt8 { 5 }
    @inlinable public static var middleboxInterference: UInt8 { 6 }
}
