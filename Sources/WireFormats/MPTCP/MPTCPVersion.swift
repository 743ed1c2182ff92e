/// The two versions of Multipath TCP on the wire: the one place that lists what differs between them in formats.
@frozen
public enum MultipathVersion: UInt8, Sendable, BitwiseCopyable, CaseIterable, Comparable {
    /// RFC 6824.
    case zero = 0
    /// RFC 8684.
    case one = 1

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// Whether the SYN carries the initiator's key (RFC 6824 §3.1; RFC 8684 §3.1 took it out).
    @inlinable public var hasKeyInSYN: Bool { self == .zero }

    /// Whether MP_CAPABLE with data (22 or 24 bytes) exists (RFC 8684 §3.1).
    @inlinable public var hasCapableWithData: Bool { self == .one }

    /// Whether a DSS may stand beside the MP_CAPABLE with both keys: in version 1 that MP_CAPABLE takes the DSS's place.
    @inlinable public var allowsSignalBesideCapable: Bool { self == .zero }

    /// Whether ADD_ADDR carries an HMAC and is echoed (RFC 8684 §3.4.1).
    @inlinable public var authenticatesAddAddress: Bool { self == .one }

    /// Whether MP_PRIO may name another address (RFC 6824 §3.3.8; RFC 8684 §3.3.8 has it for its own subflow only).
    @inlinable public var hasAddressInPriority: Bool { self == .zero }

    /// Whether MP_TCPRST exists (RFC 8684 §3.6).
    @inlinable public var hasReset: Bool { self == .one }

    /// Whether MP_FASTCLOSE may stand on a RST (RFC 8684 §3.5).
    @inlinable public var allowsFastCloseOnReset: Bool { self == .one }

    /// The flag bits of MP_CAPABLE that name cryptographic algorithms: C–H in version 0, D–H in version 1.
    @inlinable public var algorithmBits: UInt8 { self == .zero ? 0x3f : 0x1f }
}
