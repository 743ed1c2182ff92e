public import TransportValues

/// What an own address may be used for beside the first subflow, as `ip mptcp endpoint` has it.
public struct EndpointUse: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Announced to the peer with ADD_ADDR.
    public static let signal = Self(rawValue: 1)
    /// Joined from to the peer's first address.
    public static let subflow = Self(rawValue: 2)
    /// Its subflows are backups (RFC 8684 §3.3.8).
    public static let backup = Self(rawValue: 4)
    /// Joined from to every address that the peer announces, too.
    public static let fullMesh = Self(rawValue: 8)
    /// Nobody has chosen: the connecting side joins from it to every address of the peer, the listening side announces
    /// it.
    public static let automatic = Self(rawValue: 16)
}

/// One address of this host, as it may be used for further subflows or announced.
public struct LocalAddress: Sendable, Equatable {
    /// The host's identifier of the address, 1...255; the address of a connection's first subflow is 0 there.
    public var id: AddressID
    /// Unspecified in a ``PathRequest``: the one that the host's routes choose.
    public var address: IPAddress
    public var interface: InterfaceID
    public var use = EndpointUse.automatic
    /// Announced with it, for joins alone; nil: the connection's own port.
    public var port: UInt16?

    public init(id: AddressID, address: IPAddress, interface: InterfaceID) {
        self.id = id
        self.address = address
        self.interface = interface
    }
}
