import BasicContainers
import DequeModule
import MPTCPConnection
import TransportValues
import WireFormats

extension Host {
    // MARK: Keys, ports, sequence numbers

    //= RFC 8684 §3.1, RFC 6824 §3.1 a key is hard to guess and unique, and its token no other connection's
    /// A key whose token no connection has, in either version.
    mutating func freshKey() -> UInt64 {
        while true {
            let key = random.next()
            // Which version it will be is not known yet.
            let token = KeyMaterial.token(of: key, version: .one)
            let tokenZero = KeyMaterial.token(of: key, version: .zero)
            if key != 0, token != 0, tokenZero != 0, tokens[token] == nil, tokens[tokenZero] == nil { return key }
            counters.count(.MPFallbackTokenInit)
        }
    }

    /// A four-tuple that nothing uses: the port after RFC 6056 §3.3.3 (double hash of the other three).
    mutating func freeTuple(
        from local: IPAddress, to remote: Endpoint, port requested: UInt16?
    ) throws(HostError) -> FourTuple {
        var tuple = FourTuple(local: Endpoint(local, requested ?? 0), remote: remote)
        if requested != nil {
            guard flows.find(tuple) == nil else { throw .addressInUse(tuple.local) }
            return tuple
        }
        let ports = configuration.ephemeralPorts
        let count = UInt32(ports?.count ?? 28_232)
        guard count > 0 else { throw .noPorts }
        let offset = UInt32(truncatingIfNeeded: portHash(tuple))
        for _ in 0..<count {
            let choice = (offset &+ portCounter) % count
            portCounter = portCounter &+ 1
            tuple.local.port = ports.map { $0[Int(choice)] } ?? UInt16(32_768 + choice)
            if flows.find(tuple) == nil, listenerIndex[Endpoint(local, tuple.local.port)] == nil { return tuple }
        }
        throw .noPorts
    }

    //= RFC 6528 §3 ISN = M + F(localip, localport, remoteip, remoteport, secretkey), M of 4 µs
    //= RFC 8684 §3 initial subflow sequence numbers after RFC 6528
    func setup(_ tuple: FourTuple, _ local: LocalAddress, now: MonotonicInstant) -> SubflowSetup {
        let hash = sequenceHash(tuple)
        let clock = UInt32(truncatingIfNeeded: now.nanoseconds / 4_000)
        let interface = routes.interface(local.interface)
        var setup = SubflowSetup(
            tuple: tuple, interface: local.interface, mtu: interface?.mtu ?? 1280,
            maximumPacket: interface?.maximumPacket ?? 1280, checksumOffload: interface?.checksumOffload ?? false,
            initialSequence: SequenceNumber(clock &+ UInt32(truncatingIfNeeded: hash)),
            timestampOffset: UInt32(truncatingIfNeeded: hash >> 32), localAddressID: local.id)
        setup.lendsFrom = interface?.lendsFrom ?? .max
        return setup
    }

    /// As in ``setup(_:_:now:)``.
    func timestampOffset(_ tuple: FourTuple) -> UInt32 { UInt32(truncatingIfNeeded: sequenceHash(tuple) >> 32) }

    // MARK: Slots

    mutating func claimSlot() throws(HostError) -> Int32 {
        if let slot = freeSlots.popLast() { return slot }
        guard slots.count < configuration.maximumConnections else { throw .tooManyConnections }
        slots.append(ConnectionSlot())
        return Int32(slots.count - 1)
    }

    /// Puts a new connection into its slot and the tables.
    mutating func install(
        _ connection: consuming Connection, _ slot: Int32, _ tuple: FourTuple, now: MonotonicInstant
    ) -> ConnectionID {
        let index = Int(slot)
        if connection.usesToken { tokens[connection.localToken] = slot }
        slots[index].connection = consume connection
        slots[index].isReleased = false
        slots[index].orphanDeadline = .distantFuture
        slots[index].listener = -1
        slots[index].isHalfOpen = false
        _ = flows.insert(tuple, FlowTable.Flow(connection: slot, subflow: 0))
        follow(slot, now: now)
        return ConnectionID(index: slot, generation: slots[index].generation)
    }

    private mutating func free(_ slot: Int32) {
        let index = Int(slot)
        if let token = slots[index].connection?.localToken, tokens[token] == slot { tokens[token] = nil }
        slots[index].connection?.releaseGauges(&counters)
        leaveHalfOpen(index)
        slots[index].connection = nil
        slots[index].generation &+= 1
        slots[index].isReleased = false
        deadlines.remove(slot)
        freeSlots.append(slot)
    }

    mutating func markReady(_ slot: Int32) {
        guard !slots[Int(slot)].isReady else { return }
        slots[Int(slot)].isReady = true
        ready.append(slot)
    }

    // MARK: After every call

    /// Does what a call to a connection brought about: events, joins, freed four-tuples, timers, packets to send.
    mutating func follow(_ slot: Int32, now: MonotonicInstant, exact: Bool = false, queue: Bool = true) {
        let index = Int(slot)
        guard slots[index].connection != nil else { return }
        let happened = slots[index].connection?.takeEvents() ?? []
        if !happened.isEmpty { report(happened, slot, now: now) }
        let opened = openWantedPaths(slot, now: now)
        if happened.contains(.subflowClosed) || happened.contains(.closed) || exact { forgetClosed(slot) }
        let isQuiet = slots[index].connection?.isQuiet ?? false
        if isQuiet, slots[index].isReleased || slots[index].listener >= 0 {
            if slots[index].listener >= 0 { dropFromQueue(slot) }
            return free(slot)
        }
        let own = slots[index].connection?.nextDeadline ?? .distantFuture
        deadlines.update(slot, min(own, slots[index].orphanDeadline), exact: exact)
        if queue || opened { markReady(slot) }
    }

    /// After a segment: timers and the rest wait for the end of the batch, when nothing is left to transmit.
    mutating func followSegment(_ slot: Int32, now: MonotonicInstant) {
        if slots[Int(slot)].isEventful { follow(slot, now: now) } else { markReady(slot) }
    }

    private mutating func report(_ happened: ConnectionEvents, _ slot: Int32, now: MonotonicInstant) {
        let index = Int(slot)
        let id = ConnectionID(index: slot, generation: slots[index].generation)
        if happened.contains(.connected) || happened.contains(.accepted) {
            let locals = routes.locals
            slots[index].connection?.setLocalAddresses(locals, now: now)
            if slots[index].connection?.usesToken == false, let token = slots[index].connection?.localToken,
                tokens[token] == slot
            {
                tokens[token] = nil
            }
        }
        if happened.contains(.connected), let lesson = slots[index].openingLesson {
            peers.learn(lesson.lesson, peer: lesson.peer, on: lesson.interface, now: now)
        }
        if happened.contains(.accepted) { enqueueAccepted(id) }
        if happened.contains(.closed) { leaveHalfOpen(index) }
        if happened.contains(.joinAnswered), let address = slots[index].connection?.answeredTarget ?? nil {
            joinTargets.noteAnswered(address, now: now)
        }
        guard !slots[index].isReleased else { return }
        if happened.contains(.connected) { events.append(.connected(id)) }
        // Before accept() nobody knows the ID; whoever accepts looks for himself.
        if happened.contains(.readable) { events.append(.readable(id)) }
        if happened.contains(.writable) { events.append(.writable(id)) }
        if happened.contains(.finished) { events.append(.finished(id)) }
        if happened.contains(.closed), let reason = slots[index].connection?.closeReason {
            events.append(.closed(id, reason))
        }
    }

    private mutating func enqueueAccepted(_ id: ConnectionID) {
        let index = Int(id.index)
        leaveHalfOpen(index)
        let listener = Int(slots[index].listener)
        guard listener >= 0, listener < listeners.count else { return }
        listeners[listener].queue.append(id)
        if listeners[listener].queue.count == 1 {
            events.append(
                .acceptable(ListenerID(index: Int32(listener), generation: listeners[listener].generation)))
        }
    }

    func isListening(_ listener: Int) -> Bool {
        listener >= 0 && listener < listeners.count && listeners[listener].isOpen
    }

    private mutating func leaveHalfOpen(_ index: Int) {
        guard slots[index].isHalfOpen else { return }
        slots[index].isHalfOpen = false
        let listener = Int(slots[index].listener)
        if listener >= 0, listener < listeners.count, listeners[listener].halfOpen > 0 {
            listeners[listener].halfOpen -= 1
        }
    }

    private mutating func dropFromQueue(_ slot: Int32) {
        let listener = Int(slots[Int(slot)].listener)
        guard listener < listeners.count else { return }
        let id = ConnectionID(index: slot, generation: slots[Int(slot)].generation)
        listeners[listener].queue.removeAll { $0 == id }
    }

    private mutating func forgetClosed(_ slot: Int32) {
        while let tuple = slots[Int(slot)].connection?.takeClosedTuple() ?? nil { flows.remove(tuple) }
    }

    /// Opens the subflows that the connection's path manager asks for.
    private mutating func openWantedPaths(_ slot: Int32, now: MonotonicInstant) -> Bool {
        let index = Int(slot)
        var opened = false
        while let request = slots[index].connection?.nextPathRequest(now: now) ?? nil {
            let local =
                request.local.address.isUnspecified
                ? routes.source(for: request.remote.address) ?? request.local : request.local
            guard !routes.isBroadcast(request.remote.address), !routes.isLocal(request.remote.address) else {
                counters.count(.addAddrInvalid)
                slots[index].connection?.pathUnavailable(request)
                continue
            }
            if request.isUnproven, !joinTargets.permits(request.remote.address, now: now) {
                counters.count(.joinTargetLimited)
                slots[index].connection?.pathPostponed(request, until: now + JoinTargets.window)
                continue
            }
            guard routes.interface(local.interface) != nil, routes.isLocal(local.address),
                routes.reach(request.remote.address, through: local.interface) != nil,
                let tuple = try? freeTuple(from: local.address, to: request.remote, port: nil)
            else {
                slots[index].connection?.pathUnavailable(request)
                continue
            }
            var setup = setup(tuple, local, now: now)
            setup.localAddressID = local.address == slots[index].initialTuple?.local.address ? AddressID(0) : local.id
            setup.isBackup = local.use.contains(.backup)
            guard
                let subflow = slots[index].connection?.openJoin(
                    setup, remoteAddressID: request.remoteID, isUnproven: request.isUnproven, now: now,
                    counters: &counters) ?? nil
            else { break }
            _ = flows.insert(tuple, FlowTable.Flow(connection: slot, subflow: Int32(subflow)))
            opened = true
        }
        return opened
    }
}
