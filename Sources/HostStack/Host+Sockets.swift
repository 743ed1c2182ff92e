import BasicContainers
import DequeModule
public import MPTCPConnection
public import TransportValues
import WireFormats

extension Host {
    // MARK: Opening

    /// Opens a connection. `from` and `localPort` nil: by route and RFC 6056.
    public mutating func connect(
        to remote: Endpoint, from local: IPAddress? = nil, localPort: UInt16? = nil,
        configuration settings: ConnectionConfiguration? = nil, now: MonotonicInstant
    ) throws(HostError) -> ConnectionID {
        guard remote.address.isUnicast, remote.port != 0 else { throw .invalidAddress(remote.address) }
        let source = try sourceAddress(for: remote.address, requested: local)
        let tuple = try freeTuple(from: source.address, to: remote, port: localPort)
        let slot = try claimSlot()
        let settings = settings ?? configuration.connection
        let setup = setup(tuple, source, now: now)
        let connection = Connection.initiate(
            settings, key: freshKey(), setup: setup, random: random.fork(),
            version: peers.version(for: remote.address, on: source.interface, now: now), now: now, counters: &counters)
        return install(connection, slot, tuple, now: now)
    }

    private func sourceAddress(for remote: IPAddress, requested: IPAddress?) throws(HostError) -> LocalAddress {
        if let requested {
            guard let local = routes.local(requested) else { throw .notLocal(requested) }
            return local
        }
        guard let local = routes.source(for: remote) else {
            if !routes.locals.contains(where: { $0.address.isIPv6 == remote.isIPv6 }) {
                throw .noAddress(isIPv6: remote.isIPv6)
            }
            throw .noRoute(remote)
        }
        return local
    }

    /// Takes connections on an endpoint; an unspecified address stands for all of its family, `::` for both families.
    public mutating func listen(
        on local: Endpoint, backlog: Int = 128, configuration settings: ConnectionConfiguration? = nil,
        now: MonotonicInstant
    ) throws(HostError) -> ListenerID {
        guard local.address.isUnspecified || routes.isLocal(local.address) else { throw .notLocal(local.address) }
        var endpoints = [local]
        if local.address == .anyIPv6 { endpoints.append(Endpoint(.anyIPv4, local.port)) }
        for endpoint in endpoints where listenerIndex[endpoint] != nil { throw .addressInUse(endpoint) }
        let index = listeners.firstIndex { !$0.isOpen && $0.queue.isEmpty && $0.halfOpen == 0 } ?? listeners.count
        let generation = index < listeners.count ? listeners[index].generation &+ 1 : 0
        let listener = Listener(
            generation: generation, endpoint: local, configuration: settings ?? configuration.connection,
            backlog: max(1, backlog))
        if index < listeners.count { listeners[index] = listener } else { listeners.append(listener) }
        for endpoint in endpoints { listenerIndex[endpoint] = Int32(index) }
        return ListenerID(index: Int32(index), generation: generation)
    }

    private func listener(_ id: ListenerID) -> Int? {
        let index = Int(id.index)
        guard index < listeners.count, listeners[index].generation == id.generation, listeners[index].isOpen else {
            return nil
        }
        return index
    }

    /// The oldest connection that is ready; nil when there is none.
    public mutating func accept(_ id: ListenerID) -> ConnectionID? {
        guard let index = listener(id), !listeners[index].queue.isEmpty else { return nil }
        let connection = listeners[index].queue.removeFirst()
        if let slot = slot(connection) { slots[slot].listener = -1 }
        return connection
    }

    /// Takes no more connections; those that nobody accepted are aborted.
    public mutating func closeListener(_ id: ListenerID, now: MonotonicInstant) {
        guard let index = listener(id) else { return }
        listeners[index].isOpen = false
        formerPorts.insert(listeners[index].endpoint.port)
        listenerIndex = listenerIndex.filter { $0.value != Int32(index) }
        let waiting = listeners[index].queue
        listeners[index].queue = []
        for connection in waiting {
            abort(connection, now: now)
            release(connection, now: now)
        }
    }

    // MARK: The stream

    func slot(_ id: ConnectionID) -> Int? {
        let index = Int(id.index)
        guard index < slots.count, slots[index].generation == id.generation, slots[index].connection != nil else {
            return nil
        }
        return index
    }

    /// Copies bytes into the send buffer; returns how many. 0: no room, or no such open connection.
    public mutating func write(_ id: ConnectionID, _ bytes: RawSpan, now: MonotonicInstant) -> Int {
        guard let index = slot(id) else { return 0 }
        let count = slots[index].connection?.write(bytes, now: now) ?? 0
        if count > 0 { markReady(id.index) }
        return count
    }

    /// Copies received bytes to the start of `target`.
    public mutating func read(_ id: ConnectionID, into target: inout MutableRawSpan, now: MonotonicInstant)
        -> ReadResult
    {
        guard let index = slot(id) else { return .endOfStream }
        let result = slots[index].connection?.read(into: &target, now: now) ?? .endOfStream
        if case .bytes = result { markReady(id.index) }
        return result
    }

    /// Ends the sending direction; what was written is still delivered.
    public mutating func finishWriting(_ id: ConnectionID, now: MonotonicInstant) {
        guard let index = slot(id) else { return }
        slots[index].connection?.finishWriting(now: now)
        follow(id.index, now: now)
    }

    /// Ends the connection at once with MP_FASTCLOSE or RST.
    public mutating func abort(_ id: ConnectionID, now: MonotonicInstant) {
        guard let index = slot(id) else { return }
        slots[index].connection?.abort(now: now, counters: &counters)
        follow(id.index, now: now)
    }

    /// The caller is done with the ID. A connection that is open is closed in the background, and aborted when that
    /// takes longer than a minute.
    public mutating func release(_ id: ConnectionID, now: MonotonicInstant) {
        guard let index = slot(id) else { return }
        slots[index].isReleased = true
        slots[index].orphanDeadline = now + .seconds(60)
        slots[index].connection?.discardIncoming = true
        slots[index].connection?.finishWriting(now: now)
        follow(id.index, now: now)
    }

    /// Changes how the connection uses its paths.
    public mutating func setPathUse(_ id: ConnectionID, _ use: PathUse, now: MonotonicInstant) {
        guard let index = slot(id) else { return }
        slots[index].connection?.setPathUse(use, now: now)
        follow(id.index, now: now)
    }

    public func snapshot(_ id: ConnectionID) -> ConnectionSnapshot? {
        guard let index = slot(id) else { return nil }
        return slots[index].snapshot()
    }

    /// Whether every subflow is over, those in TIME-WAIT included: nothing more will be sent but answers.
    public func isDrained(_ id: ConnectionID) -> Bool {
        guard let index = slot(id) else { return true }
        return slots[index].liveSubflows == 0
    }

    public func localEndpoint(_ id: ConnectionID) -> Endpoint? {
        guard let index = slot(id) else { return nil }
        return slots[index].initialTuple?.local
    }

    public func localEndpoint(_ id: ListenerID) -> Endpoint? { listener(id).map { listeners[$0].endpoint } }

    /// Every connection that has not been released.
    public var connections: [ConnectionID] {
        var result: [ConnectionID] = []
        for index in slots.indices where slots[index].connection != nil && !slots[index].isReleased {
            result.append(ConnectionID(index: Int32(index), generation: slots[index].generation))
        }
        return result
    }

    /// Connections that hold memory: open, closing, in TIME-WAIT, or closed and not released.
    public var liveConnections: Int { slots.count - freeSlots.count }
}
