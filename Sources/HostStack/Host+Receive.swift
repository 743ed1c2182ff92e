import BasicContainers
import DequeModule
import MPTCPConnection
public import TransportValues
import WireFormats

extension Host {
    /// Takes one IP packet that arrived on an interface. Whatever it holds, it is processed or counted.
    public mutating func receive(
        _ packet: RawSpan, on interface: InterfaceID, metadata: ReceivedPacketMetadata = ReceivedPacketMetadata(),
        now: MonotonicInstant
    ) {
        let ip: IPHeader
        do { ip = try IPHeader(packet) } catch { return count(error) }
        guard routes.isLocal(ip.destination) else { return counters.count(.packetNotForUs) }
        switch ip.protocolNumber {
        case IPHeader.tcp:
            let segment: TCPSegment
            do { segment = try TCPSegment(packet, ip: ip, checksum: metadata.checksum) } catch { return count(error) }
            let tuple = FourTuple(
                local: Endpoint(ip.destination, segment.destinationPort),
                remote: Endpoint(ip.source, segment.sourcePort))
            receive(segment, packet, tuple, interface, now: now)
        case IPHeader.icmp, IPHeader.icmpV6:
            let message: ICMPMessage
            do { message = try ICMPMessage(packet, ip: ip) } catch { return counters.count(.icmpIgnored) }
            receive(message, now: now)
        default:
            counters.count(.packetUnsupported)
        }
    }

    private mutating func count(_ error: WireError) {
        switch error {
        case .badChecksum: counters.count(.packetBadChecksum)
        case .fragment: counters.count(.packetFragment)
        case .wrongProtocol, .unsupported: counters.count(.packetUnsupported)
        case .truncated, .badLength, .badVersion, .tooManyExtensionHeaders: counters.count(.packetMalformed)
        }
    }

    private mutating func receive(
        _ segment: TCPSegment, _ packet: RawSpan, _ tuple: FourTuple, _ interface: InterfaceID, now: MonotonicInstant
    ) {
        if let flow = flows.find(tuple) {
            let index = Int(flow.connection)
            lastReceiver = flow.connection
            slots[index].connection?.receive(
                segment, packet: packet, subflow: Int(flow.subflow), now: now, counters: &counters)
            return followSegment(flow.connection, now: now)
        }
        guard segment.flags.contains(.syn), !segment.flags.contains(.ack), !segment.flags.contains(.rst) else {
            if cookiesUntil > now, receiveCookie(segment, packet, tuple, interface, now: now) { return }
            return refuse(segment, tuple, interface, reason: nil, now: now)
        }
        guard tuple.remote.address.isUnicast, tuple.remote.port != 0 else { return counters.count(.segmentForNobody) }
        if case .join(.syn(_, _, let token, _))? = segment.options.multipath.other {
            return receiveJoin(segment, tuple, interface, token: token, now: now)
        }
        receiveSyn(segment, tuple, interface, now: now)
    }

    /// Answers with RST, within the budget, where the address is ours alone or the port one of ours.
    private mutating func refuse(
        _ segment: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, reason: UInt8?, now: MonotonicInstant
    ) {
        counters.count(.segmentForNobody)
        guard !segment.flags.contains(.rst), routes.isUp(interface) else { return }
        guard routes.ownsAddresses(interface) || answers(tuple.local.port) else { return }
        guard resetBudget.take(now: now), replies.count < Self.replyLimit else {
            return counters.count(.resetRateLimited)
        }
        counters.count(.resetSent)
        replies.append(StatelessReply(resetting: segment, tuple, interface, reason: reason))
    }

    private func answers(_ port: UInt16) -> Bool {
        joinPorts[port] != nil || formerPorts.contains(port) || listenerIndex.keys.contains { $0.port == port }
            || configuration.ephemeralPorts?.contains(port) == true
    }

    /// Answers that wait at one time.
    static var replyLimit: Int { 256 }

    mutating func listenerFor(_ local: Endpoint) -> Int? {
        // Under a flood it is the same one again and again.
        if let found = lastListener, found.local == local { return found.index }
        let any = Endpoint(local.address.isIPv6 ? .anyIPv6 : .anyIPv4, local.port)
        guard let index = (listenerIndex[local] ?? listenerIndex[any]).map(Int.init) else { return nil }
        lastListener = (local, index)
        return index
    }

    private mutating func receiveSyn(
        _ segment: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, now: MonotonicInstant
    ) {
        guard let index = listenerFor(tuple.local) else {
            //= RFC 8684 §3.4.1 a port that was announced for joins takes nothing else: a new connection there would not be
            // what its listener is for
            guard joinPorts[tuple.local.port] != nil || routes.announces(tuple.local) else {
                return refuse(segment, tuple, interface, reason: nil, now: now)
            }
            counters.count(.MPCapableEndpAttempt)
            return refuse(segment, tuple, interface, reason: MPTCPReset.administrativelyProhibited, now: now)
        }
        //= RFC 9293 §3.10.7.2 a listener bounds what waits: the peer tries again
        if Connection.ignores(syn: segment, listeners[index].configuration.multipath) {
            return counters.count(.synDroppedExtensibility)
        }
        if listeners[index].isQueueFull { return counters.count(.synDroppedBacklog) }
        if listeners[index].isHalfOpenFull { return answerWithCookie(index, segment, tuple, interface, now: now) }
        let listener = listeners[index]
        guard let local = routes.local(tuple.local.address), let slot = try? claimSlot() else {
            return counters.count(.synDroppedLimit)
        }
        // Answers leave where the SYN came in: that is the path that works.
        let arrived = LocalAddress(id: local.id, address: local.address, interface: interface)
        let connection = Connection.respond(
            listener.configuration, key: freshKey(), setup: setup(tuple, arrived, now: now), syn: segment,
            random: random.fork(), now: now, counters: &counters)
        listeners[index].halfOpen += 1
        lastReceiver = slot
        _ = install(connection, slot, tuple, now: now)
        slots[Int(slot)].listener = Int32(index)
        slots[Int(slot)].isHalfOpen = true
    }

    //= RFC 8684 §3.2 the token finds the connection, whatever the addresses; an unknown one is answered with RST
    private mutating func receiveJoin(
        _ segment: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, token: UInt32, now: MonotonicInstant
    ) {
        guard let slot = tokens[token], let local = routes.local(tuple.local.address),
            slots[Int(slot)].takesJoins(at: tuple.local.port) || routes.announces(tuple.local)
        else {
            counters.count(.MPJoinNoTokenFound)
            return refuse(segment, tuple, interface, reason: MPTCPReset.multipathSpecificError, now: now)
        }
        //= RFC 8684 §3.2 half-open joins are state that a stranger with a token makes: bounded here in all, in the
        // connection for its token; dropped without an answer, since the peer tries again
        guard counters[.joinsHalfOpen] < UInt64(max(0, configuration.maximumHalfOpenJoins)) else {
            return counters.count(.joinDroppedLimit)
        }
        let arrived = LocalAddress(id: local.id, address: local.address, interface: interface)
        var setup = setup(tuple, arrived, now: now)
        setup.isBackup = local.use.contains(.backup)
        if slots[Int(slot)].connection?.initialTuple.local == tuple.local { setup.localAddressID = AddressID(0) }
        switch slots[Int(slot)].connection?.acceptJoin(setup, syn: segment, now: now, counters: &counters) ?? .refused {
        case .accepted(let subflow):
            _ = flows.insert(tuple, FlowTable.Flow(connection: slot, subflow: Int32(subflow)))
            follow(slot, now: now)
        case .dropped: break
        case .refused: refuse(segment, tuple, interface, reason: MPTCPReset.multipathSpecificError, now: now)
        }
    }

    // MARK: ICMP

    private mutating func receive(_ message: ICMPMessage, now: MonotonicInstant) {
        guard let flow = flows.find(message.embedded) else { return counters.count(.icmpIgnored) }
        let index = Int(flow.connection)
        switch message.kind {
        case .packetTooBig(let mtu):
            let changed =
                slots[index].connection?.pathMTUChanged(
                    Int(flow.subflow), mtu: mtu, sequence: message.embeddedSequence, now: now) ?? false
            counters.count(changed ? .icmpTooBig : .icmpIgnored)
        case .unreachable:
            //= RFC 5461 §4 an error in the handshake ends the attempt; later it is a hint that is not followed
            counters.count(.icmpUnreachable)
            slots[index].connection?.handshakeUnreachable(Int(flow.subflow), now: now, counters: &counters)
        }
        follow(flow.connection, now: now)
    }
}
