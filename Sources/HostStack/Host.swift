import BasicContainers
import DequeModule
public import MPTCPConnection
public import TransportValues
import WireFormats

/// One host's whole stack: packets and an instant in, packets and events out. It reads no clock and no random source.
///
/// A loop hands in what it received (``receive(_:on:metadata:now:)``), lets timers fire (``advance(to:)``), sends what
/// ``transmit(into:headroom:now:)`` gives until it gives nothing, takes events until there are none, and sleeps until
/// ``nextDeadline`` or the next packet. Calls of the application are followed by the same transmitting and taking.
public struct Host: ~Copyable {
    var configuration: HostConfiguration
    var routes = RouteTable()
    var slots = UniqueArray<ConnectionSlot>()
    var freeSlots: [Int32] = []
    var flows: FlowTable
    package var tokens: [UInt32: Int32] = [:]
    var peers = PeerMemory()
    var listeners: [Listener] = []
    var listenerIndex: [Endpoint: Int32] = [:] { didSet { lastListener = nil } }
    /// What ``listenerFor(_:)`` found last.
    var lastListener: (local: Endpoint, index: Int)?
    /// Ports of listeners that are closed: accepted connections live on there, and nobody else answers for them.
    var formerPorts: Set<UInt16> = []
    var ready = UniqueDeque<Int32>()
    var deadlines = DeadlineHeap()
    var events = UniqueDeque<HostEvent>()
    var replies = UniqueDeque<StatelessReply>()
    var repliesHeld = false
    var resetBudget: ResetBudget
    let cookies: SynCookies
    /// Until then a cookie of some listener may come back.
    var cookiesUntil = MonotonicInstant.zero
    var joinTargets: JoinTargets
    /// Ports that listeners announce for joins alone, and how many do.
    var joinPorts: [UInt16: Int] = [:]
    var random: RandomSource
    let sequenceHash: KeyedHash
    let portHash: KeyedHash
    var portCounter: UInt32 = 0
    var turn = 0
    /// The slot of the connection that the last segment was for; for checks.
    var lastReceiver: Int32 = -1
    public internal(set) var counters = StackCounters()

    public init(_ configuration: HostConfiguration, randomness: RandomSource, now: MonotonicInstant) {
        var random = randomness
        self.configuration = configuration
        flows = FlowTable(hash: KeyedHash(drawingFrom: &random))
        sequenceHash = KeyedHash(drawingFrom: &random)
        portHash = KeyedHash(drawingFrom: &random)
        resetBudget = ResetBudget(perSecond: configuration.resetsPerSecond, now: now)
        cookies = SynCookies(drawingFrom: &random)
        joinTargets = JoinTargets(
            perAddress: configuration.joinsToSilentAddress, inAll: configuration.joinsToSilentAddresses, now: now)
        self.random = random
    }

    // MARK: Interfaces

    /// - Parameters:
    ///   - mtu: largest IP packet on the wire, bytes.
    ///   - maximumPacket: largest IP packet that may be handed over: `mtu`, or up to 65,535 where the device segments.
    ///   - checksumOffload: the device finishes TCP checksums.
    ///   - ownsAddresses: nobody else answers for the interface's addresses, so a segment for nobody gets a RST.
    ///   - lendsFrom: payloads of this many bytes and more are not copied behind their headers but lent, see
    ///     ``withLentPayload(_:_:)``; only with `checksumOffload`.
    public mutating func addInterface(
        name: String, mtu: Int, maximumPacket: Int, checksumOffload: Bool, ownsAddresses: Bool = true,
        lendsFrom: Int = .max
    ) -> InterfaceID {
        var interface = RouteTable.Interface(
            name: name, mtu: mtu, maximumPacket: max(mtu, maximumPacket), checksumOffload: checksumOffload,
            ownsAddresses: ownsAddresses)
        interface.lendsFrom = max(1, lendsFrom)
        return routes.addInterface(interface)
    }

    /// The interface is gone: its subflows end, the peer is told on the others.
    public mutating func removeInterface(_ interface: InterfaceID, now: MonotonicInstant) {
        let gone = routes.locals.filter { $0.interface == interface }
        routes.removeInterface(interface)
        peers.removeAll(on: interface)
        for address in gone { withdraw(address.address, interface, now: now) }
    }

    /// An interface that was removed is there again, without addresses and routes.
    public mutating func restoreInterface(
        _ interface: InterfaceID, mtu: Int, maximumPacket: Int, checksumOffload: Bool
    ) {
        routes.restoreInterface(
            interface, mtu: mtu, maximumPacket: max(mtu, maximumPacket), checksumOffload: checksumOffload)
    }

    public mutating func setMTU(_ mtu: Int, of interface: InterfaceID) { routes.setMTU(mtu, interface) }

    /// A new address is joined from, or announced, by the connections that are open.
    public mutating func addAddress(_ address: IPAddress, prefixLength: Int, to interface: InterfaceID) {
        routes.addAddress(
            address, prefixLength: prefixLength, to: interface, use: configuration.usesEndpoints ? [] : .automatic)
    }

    /// Makes the connections that are open use addresses that were added since they began.
    public mutating func announceAddresses(now: MonotonicInstant) {
        let locals = routes.locals
        for index in slots.indices where slots[index].connection != nil {
            slots[index].connection?.setLocalAddresses(locals, now: now)
            follow(Int32(index), now: now)
        }
    }

    public mutating func removeAddress(_ address: IPAddress, now: MonotonicInstant) {
        routes.removeAddress(address)
        withdraw(address, nil, now: now)
    }

    /// What lies behind an interface beside its own subnets; prefix length 0 for a default route.
    public mutating func addRoute(_ destination: IPAddress, prefixLength: Int, through interface: InterfaceID) {
        routes.addRoute(destination, prefixLength: prefixLength, interface: interface)
    }

    /// Replaces what lies behind an interface; see ``addRoute(_:prefixLength:through:)``.
    public mutating func setRoutes(
        _ destinations: [(address: IPAddress, prefixLength: Int)], through interface: InterfaceID
    ) {
        routes.removeRoutes(of: interface)
        for route in destinations {
            routes.addRoute(route.address, prefixLength: route.prefixLength, interface: interface)
        }
    }

    /// An interface has come back to life or reaches more than before: what had failed or could not be reached from its
    /// addresses is tried again at once.
    public mutating func retryPaths(from interface: InterfaceID, now: MonotonicInstant) {
        let locals = routes.locals.filter { $0.interface == interface }.map(\.address)
        for index in slots.indices where slots[index].connection != nil {
            slots[index].connection?.retryPaths(from: locals, now: now)
            follow(Int32(index), now: now)
        }
    }

    /// The host's addresses on all interfaces but one.
    public func addresses(except interface: InterfaceID) -> [IPAddress] {
        routes.locals.filter { $0.interface != interface }.map(\.address)
    }

    public func interfaceName(_ interface: InterfaceID) -> String? { routes.interface(interface)?.name }

    private mutating func withdraw(_ address: IPAddress, _ interface: InterfaceID?, now: MonotonicInstant) {
        for index in slots.indices where slots[index].connection != nil {
            slots[index].connection?.localAddressRemoved(address, interface: interface, now: now, counters: &counters)
            follow(Int32(index), now: now)
        }
    }

    /// What earlier connections taught about peers: which begin with version 0, to which Multipath TCP does not get through.
    public var rememberedPeers: [PeerRecord] { peers.all }

    /// Takes what an earlier run has learnt.
    public mutating func remember(_ record: PeerRecord) { peers.remember(record) }

    /// Forgets it all, as after a change of network.
    public mutating func forgetPeers() { peers.removeAll() }

    /// Ports for connections and joins from now on; see ``HostConfiguration/ephemeralPorts``.
    public mutating func setEphemeralPorts(_ ports: [UInt16]?) { configuration.ephemeralPorts = ports }

    // MARK: Events and time

    public mutating func nextEvent() -> HostEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// When ``advance(to:)`` has something to do by itself; `distantFuture` when never.
    public var nextDeadline: MonotonicInstant { deadlines.next }

    /// Fires every timer that is due.
    public mutating func advance(to now: MonotonicInstant) {
        // Each connection once: one whose deadline stays in the past waits for the caller to transmit.
        var budget = slots.count + 1
        while budget > 0, let slot = deadlines.due(at: now) {
            budget -= 1
            slots[Int(slot)].connection?.advance(to: now, counters: &counters)
            if slots[Int(slot)].orphanDeadline <= now {
                slots[Int(slot)].connection?.abort(now: now, counters: &counters)
                slots[Int(slot)].orphanDeadline = .distantFuture
            }
            follow(slot, now: now, exact: true)
        }
    }
}

/// A place for one connection.
struct ConnectionSlot: ~Copyable {
    var generation: UInt32 = 0
    var connection: Connection?
    /// Stands in the queue of those that may have packets to send.
    var isReady = false
    /// The application is done with it: what arrives is discarded.
    var isReleased = false
    /// When a released connection that does not end is aborted.
    var orphanDeadline = MonotonicInstant.distantFuture
    /// The listener whose accept queue it is meant for; -1 for active opens and after `accept`.
    var listener: Int32 = -1
    var isHalfOpen = false

    // Reading through an optional of a type that can't be copied takes a switch.

    var liveSubflows: Int {
        switch connection {
        case .some(let connection): connection.liveSubflows
        case .none: 0
        }
    }

    var initialTuple: FourTuple? {
        switch connection {
        case .some(let connection): connection.initialTuple
        case .none: nil
        }
    }

    var openingLesson: (lesson: OpeningLesson, peer: IPAddress, interface: InterfaceID)? {
        switch connection {
        case .some(let connection):
            guard connection.configuration.multipath == .automatic, let lesson = connection.openingLesson,
                let interface = connection.initialInterface
            else { return nil }
            return (lesson, connection.initialTuple.remote.address, interface)
        case .none: return nil
        }
    }

    /// Whether a SYN with the connection's token is welcome at this port: its first, or the one announced for joins.
    func takesJoins(at port: UInt16) -> Bool {
        switch connection {
        case .some(let connection):
            connection.initialTuple.local.port == port || connection.configuration.joinPort == port
        case .none: false
        }
    }

    /// Something beside packets to send waits to be looked at.
    var isEventful: Bool {
        switch connection {
        case .some(let connection): connection.hasEvents || connection.wantsPathCheck
        case .none: false
        }
    }

    func copyLentPayload(_ lent: LentPayload, into buffer: inout MutableRawSpan, at position: Int) {
        switch connection {
        case .some(let connection): connection.copyLentPayload(lent, into: &buffer, at: position)
        case .none: break
        }
    }

    func snapshot() -> ConnectionSnapshot? {
        switch connection {
        case .some(let connection): connection.snapshot()
        case .none: nil
        }
    }
}

/// A bound port that takes connections.
struct Listener {
    var generation: UInt32
    var endpoint: Endpoint
    var configuration: ConnectionConfiguration
    var backlog: Int
    var halfOpen = 0
    var queue: [ConnectionID] = []
    var isOpen = true
    /// Until then a cookie may come back.
    var cookiesUntil = MonotonicInstant.zero

    var isHalfOpenFull: Bool { halfOpen >= max(backlog, 16) * 4 }
    var isQueueFull: Bool { queue.count >= backlog }
}
