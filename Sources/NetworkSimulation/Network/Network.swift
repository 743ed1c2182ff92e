import BasicContainers
public import HostStack
public import TransportValues

/// Hosts with the real stack on emulated links, in virtual time, in one thread.
///
/// Every random choice, the hosts' included, comes from one seed: the same calls give the same packets at the same
/// instants (``digest``). Nothing here reads a clock; to watch a network live, call ``run(until:)`` with the wall
/// clock's progress.
public final class Network {
    enum Wake: BitwiseCopyable {
        case link(Int)
        case host(Int)
        case reader(Int)
        case action(Int)
    }

    /// What a tap is told of a packet beside its bytes.
    public struct Sighting {
        public var time: MonotonicInstant
        public var host: SimulatedHost
        public var interface: InterfaceID
        public var isSent: Bool
        /// The link's index, as ``connect(_:_:forward:backward:)`` returned it.
        public var link: Int
    }

    public private(set) var hosts: [SimulatedHost] = []
    public internal(set) var now = MonotonicInstant.zero
    /// Over every packet that arrived anywhere, with its time and place.
    public internal(set) var digest = RunningDigest()
    /// Packets that arrived anywhere.
    public internal(set) var packetsDelivered: UInt64 = 0
    /// Told of every packet when it is sent (before the link's queue) and when it arrives.
    public var tap: ((RawSpan, Sighting) -> Void)?
    /// Asked after each packet that arrived; a sentence stops the run as a ``violation``.
    public var invariant: ((Network, SimulatedHost) -> String?)?
    /// Told of the events of connections and listeners that have no ``StreamPlan``: an application of the caller's own,
    /// which works on the host's ``SimulatedHost/stack``.
    public var application: ((Network, SimulatedHost, HostEvent) -> Void)?
    /// Each connection's bytes depend on the client's port; false: all connections carry the same.
    public var tellsStreamsByPort = true
    /// The first broken invariant.
    public internal(set) var violation: String?

    /// Checks what must hold of the stacks, see ``StackAudit``.
    var audit: StackAudit?
    var links = UniqueArray<DuplexLink>()
    var events = EventQueue<Wake>()
    var drivers: [StreamDriver] = []
    var openStreams = 0
    var actions: [((Network) -> Void)?] = []
    var transmitBuffer = [UInt8](repeating: 0, count: 1 << 16)
    var segmentBuffer = [UInt8](repeating: 0, count: 1 << 16)
    var applicationBuffer = [UInt8](repeating: 0, count: 1 << 16)
    var sameInstantWakes = 0
    private var randomness: RandomSource
    let patternBase: UInt64

    public init(seed: UInt64) {
        randomness = RandomSource(seed: seed)
        patternBase = randomness.next()
    }

    public func addHost(_ name: String, configuration: HostConfiguration = HostConfiguration()) -> SimulatedHost {
        let host = SimulatedHost(
            name: name, index: hosts.count, configuration: configuration, randomness: randomness.fork(), now: now)
        hosts.append(host)
        return host
    }

    /// Joins two hosts by a new interface each; returns the link's index. The MTU is the directions' own.
    /// - Parameter boxes: what stands in the path, in the order from the first host to the second.
    public func connect(
        _ a: LinkPort, _ b: LinkPort, forward: LinkConfiguration, backward: LinkConfiguration, boxes: [Middlebox] = []
    ) -> Int {
        let index = links.count
        let first = plug(a, mtu: forward.mtu, link: index, end: .a)
        let second = plug(b, mtu: backward.mtu, link: index, end: .b)
        links.append(
            DuplexLink(
                path: EmulatedLink(
                    forward: LinkModel(forward, randomness: randomness.fork()),
                    backward: LinkModel(backward, randomness: randomness.fork()), boxes: boxes,
                    randomness: boxes.isEmpty ? randomness : randomness.fork()), ends: (first, second)))
        return index
    }

    private func plug(_ port: LinkPort, mtu: Int, link: Int, end: LinkEnd) -> DuplexLink.Port {
        let interface = port.host.stack.addInterface(
            name: port.name, mtu: mtu, maximumPacket: max(mtu, port.maximumPacket),
            checksumOffload: port.checksumOffload)
        for (address, prefixLength) in port.addresses {
            port.host.stack.addAddress(address, prefixLength: prefixLength, to: interface)
        }
        port.host.attach(interface, to: link, end: end)
        return DuplexLink.Port(host: port.host.index, interface: interface)
    }

    // MARK: What happens to links

    /// Takes both directions of a link away, with what is on them, or brings them back. The hosts are not told.
    public func setLink(_ link: Int, up: Bool) {
        links[link].path.setUp(up, now: now)
    }

    /// Changes what a link does to packets offered from now on.
    public func configure(_ link: Int, forward: LinkConfiguration, backward: LinkConfiguration) {
        links[link].path.forward.configure(forward)
        links[link].path.backward.configure(backward)
    }

    /// Puts a packet on a link as if the host at `end` had sent it, whatever addresses it has.
    public func inject(_ packet: RawSpan, on link: Int, from end: LinkEnd) {
        links[link].path.enqueue(packet, from: end, now: now)
        scheduleLink(link)
    }

    /// Replaces the boxes of a link; see ``EmulatedLink/install(_:randomness:)``.
    public func install(_ boxes: [Middlebox], on link: Int) {
        links[link].path.install(boxes, randomness: randomness.fork())
    }

    /// What each box of a link has done, see ``EmulatedLink/interventions``.
    public func interventions(on link: Int) -> [UInt64] { links[link].path.interventions }

    /// The longest packet that a link's forward direction takes.
    func mtu(of link: Int) -> Int { links[link].path.forward.configuration.mtu }

    /// No packet is on the link.
    func isEmpty(_ link: Int) -> Bool { links[link].path.nextDeparture == .distantFuture }

    public func isUp(_ link: Int) -> Bool { links[link].path.forward.isUp && links[link].path.backward.isUp }

    /// The counters of the direction that leaves `end`.
    public func counters(of link: Int, from end: LinkEnd) -> LinkCounters {
        end == .a ? links[link].path.forward.counters : links[link].path.backward.counters
    }

    /// The interface at one end of a link, as its host knows it.
    public func interface(of link: Int, end: LinkEnd) -> InterfaceID { links[link].port(end).interface }

    /// Removes the interface at one end: its host is told, and the link has no end there any more.
    public func removeInterface(of link: Int, end: LinkEnd) {
        let port = links[link].port(end)
        let host = hosts[port.host]
        host.attachments[Int(port.interface.rawValue)] = nil
        host.stack.removeInterface(port.interface, now: now)
        pump(host)
    }

    /// Gives the interface at one end of a link another address, as a new lease does; the host is told.
    public func changeAddress(
        from old: IPAddress, to new: IPAddress, prefixLength: Int, of link: Int, end: LinkEnd
    ) {
        let port = links[link].port(end)
        let host = hosts[port.host]
        host.stack.removeAddress(old, now: now)
        host.stack.addAddress(new, prefixLength: prefixLength, to: port.interface)
        host.stack.announceAddresses(now: now)
        pump(host)
    }

    /// Runs `action` at an instant, or as the next event when that has passed.
    public func schedule(at time: MonotonicInstant, _ action: @escaping (Network) -> Void) {
        actions.append(action)
        events.insert(.action(actions.count - 1), at: max(time, now))
    }
}
