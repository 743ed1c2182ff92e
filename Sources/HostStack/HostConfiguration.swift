public import MPTCPConnection
public import TransportValues

/// Settings of a whole host.
public struct HostConfiguration: Sendable {
    /// For connections that bring no settings of their own.
    public var connection = ConnectionConfiguration()
    /// Ports for outgoing connections and joins; nil: 32768...60999, chosen after RFC 6056.
    public var ephemeralPorts: [UInt16]? = nil
    /// The most connections at one time, those in TIME-WAIT included.
    public var maximumConnections = 100_000
    /// RSTs for nobody's segments, a second.
    public var resetsPerSecond = 200
    /// Answer SYNs with cookies (RFC 4987 §3.6) once a listener's half-open queue is full; false: drop them.
    public var synCookies = true
    /// The most joins at one time, over all connections, whose third ACK is missing.
    public var maximumHalfOpenJoins = 1024
    /// Joins a minute to one address that a peer announced and that has never answered one, over all connections.
    public var joinsToSilentAddress = 8
    /// The same to all such addresses together.
    public var joinsToSilentAddresses = 256
    /// Addresses carry further subflows and are announced only as ``Host/setEndpoint(_:id:use:port:now:)`` says; else
    /// all are.
    public var usesEndpoints = false

    public init() {}
}

public struct ConnectionID: Hashable, Sendable {
    let index: Int32
    let generation: UInt32
}

public struct ListenerID: Hashable, Sendable {
    let index: Int32
    let generation: UInt32
}

/// Entries in the tables of a host; see ``Host/occupancy``.
public struct HostOccupancy: Sendable, Equatable {
    /// Connections that hold memory, and the places that have been made for them so far.
    public var connections: Int
    public var slots: Int
    /// Four-tuples in use.
    public var flows: Int
    public var tokens: Int
    /// Handshakes whose third ACK is missing: of connections, of joins.
    public var halfOpen: Int
    public var halfOpenJoins: Int
    public var joinTargets: Int
    /// Answers without a connection that wait to be sent, and events that nobody has taken.
    public var replies: Int
    public var events: Int

    public init(
        connections: Int, slots: Int, flows: Int, tokens: Int, halfOpen: Int, halfOpenJoins: Int, joinTargets: Int,
        replies: Int, events: Int
    ) {
        self.connections = connections
        self.slots = slots
        self.flows = flows
        self.tokens = tokens
        self.halfOpen = halfOpen
        self.halfOpenJoins = halfOpenJoins
        self.joinTargets = joinTargets
        self.replies = replies
        self.events = events
    }
}

/// What a host has to tell its owner.
public enum HostEvent: Sendable, Equatable {
    /// An active open is done.
    case connected(ConnectionID)
    /// The accept queue is no longer empty.
    case acceptable(ListenerID)
    /// Bytes or the end of the stream wait; told again only after a read that returned `wouldBlock`.
    case readable(ConnectionID)
    /// There is room again after a write that took less than it was offered.
    case writable(ConnectionID)
    /// Everything written and the end of the stream are acknowledged by the peer.
    case finished(ConnectionID)
    /// Nothing more will come. What was received can still be read; the ID is valid until `release`.
    case closed(ConnectionID, ConnectionCloseReason)
}

/// Why a call to a host did nothing.
public enum HostError: Error, Sendable, Equatable {
    case noRoute(IPAddress)
    case noAddress(isIPv6: Bool)
    case notLocal(IPAddress)
    case addressInUse(Endpoint)
    case noPorts
    case tooManyConnections
    case invalidAddress(IPAddress)
}

extension HostError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noRoute(let address): "no interface has a route to \(address)"
        case .noAddress(let isIPv6): "no interface has an \(isIPv6 ? "IPv6" : "IPv4") address"
        case .notLocal(let address): "\(address) is not an address of this host"
        case .addressInUse(let endpoint): "\(endpoint) is in use already"
        case .noPorts: "every local port is in use"
        case .tooManyConnections: "too many connections"
        case .invalidAddress(let address): "\(address) can't be connected to"
        }
    }
}
