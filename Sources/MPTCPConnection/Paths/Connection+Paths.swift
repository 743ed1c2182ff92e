import BasicContainers
import TCPSubflow
public import TransportValues
import WireFormats

extension Connection {
    /// Tells the connection the host's addresses; called when it opens and when they change.
    public mutating func setLocalAddresses(
        _ values: [LocalAddress], now: MonotonicInstant
    ) {
        let announce = role == .listener && configuration.announceAddresses
        addresses.setLocals(values, announce: announce, now: now)
        resumeAway(values, now: now)
        // An address may be the sign of a network that is there again.
        if isPathless { addresses.retry(from: values.map(\.address), now: now) }
        wantsPathCheck = true
        if state.isMultipath { addresses.advance(to: now, keys: keys) }
    }

    /// The next subflow that the path manager wants; the host opens it with
    /// ``openJoin(_:remoteAddressID:now:counters:)`` or answers ``pathUnavailable(_:)``.
    public mutating func nextPathRequest(now: MonotonicInstant) -> PathRequest? {
        guard wantsPathCheck else { return nil }
        guard mayOpenPaths else {
            wantsPathCheck = false
            return nil
        }
        var used: [(IPAddress, Endpoint)] = []
        for index in contexts.indices where !contexts[index].isClosed && !mayBeReplaced(index) {
            used.append((contexts[index].setup.tuple.local.address, contexts[index].setup.tuple.remote))
        }
        let request = addresses.nextPair(
            now: now, skipInitialRemote: peerForbidsJoinToInitial, isUrgent: isPathless
        ) { local, remote in
            used.contains { ($0.0 == local || local.isUnspecified) && $0.1 == remote }
        }
        if request == nil { wantsPathCheck = false }
        return request
    }

    /// A subflow that has been silent for some time-outs may be behind a translator that has forgotten it: a new one
    /// between the same addresses is tried beside it.
    private func mayBeReplaced(_ index: Int) -> Bool {
        guard contexts[index].tcp.consecutiveTimeouts >= 3, contexts[index].isReady, phase == .open else {
            return false
        }
        let tuple = contexts[index].setup.tuple
        for other in contexts.indices where other != index && !contexts[other].isClosed {
            let rival = contexts[other].setup.tuple
            if rival.local.address == tuple.local.address, rival.remote == tuple.remote { return false }
        }
        return true
    }

    /// A new subflow is up: a silent one between the same addresses is not needed any more.
    mutating func retireReplaced(by index: Int) {
        let tuple = contexts[index].setup.tuple
        for other in contexts.indices where other != index && !contexts[other].isClosed && contexts[other].isStalled {
            let rival = contexts[other].setup.tuple
            guard rival.local.address == tuple.local.address, rival.remote == tuple.remote else { continue }
            resetSubflow(other, reason: MPTCPReset.unacceptablePerformance, why: "silent; replaced")
        }
    }

    //= RFC 8684 §3.1 no subflow is opened before a DSS has come over the first
    //= RFC 8684 §3.9.2 only the connecting side opens them, so that both never do at once
    var mayOpenPaths: Bool {
        role == .initiator && configuration.fullMesh && state == .multipath(confirmed: true) && isFullyMultipath
            && phase == .open
            && (send.finish != .acknowledged || isPathless) && liveSubflows < configuration.maximumSubflows
            && wantsAnotherPath
    }

    /// Not now: there have been too many attempts at that address.
    public mutating func pathPostponed(_ request: PathRequest, until: MonotonicInstant) {
        addresses.postpone(request, until: until)
    }

    /// An own address is no endpoint any more: it is withdrawn, and the joins from and to it end.
    public mutating func endpointRemoved(_ address: IPAddress, now: MonotonicInstant, counters: inout StackCounters) {
        addresses.retire(address)
        for index in contexts.indices
        where contexts[index].setup.tuple.local.address == address && contexts[index].isJoin
            && !contexts[index].isClosed
        {
            resetSubflow(index, reason: MPTCPReset.administrativelyProhibited, why: "local endpoint removed")
            settle(index, now: now, counters: &counters)
        }
    }

    /// Paths from these addresses may work again.
    public mutating func retryPaths(from locals: [IPAddress], now: MonotonicInstant) {
        addresses.retry(from: locals, now: now)
        wantsPathCheck = true
    }

    public mutating func pathUnavailable(_ request: PathRequest) { addresses.noteUnreachable(request) }

    // MARK: The peer's announcements

    //= RFC 8684 §3.4.1 ADD_ADDR: the HMAC is checked, the echo repeats the option without it
    mutating func receiveAddAddress(_ address: AddAddress, now: MonotonicInstant, counters: inout StackCounters) {
        if address.isEcho, keys.version == .one {
            counters.count(.EchoAdd)
            if !addresses.noteEcho(address) { counters.count(.AddAddrDrop) }
            return
        }
        if keys.version == .zero { return receiveUnprovenAddress(address, counters: &counters) }
        guard let hmac = address.hmac else { return counters.count(.optionWrongVersion) }
        let expected = KeyMaterial.addAddressHMAC(
            senderKey: keys.remote, receiverKey: keys.local, addressID: address.addressID, address: address.address,
            port: address.port)
        guard hmac == expected else { return counters.count(.addAddrBadHMAC) }
        counters.count(.AddAddr)
        if address.port != nil { counters.count(.PortAdd) }
        if configuration.wire.addressProvesKeys { noteKeysKnown() }
        let echo = AddAddress(echoOf: address.addressID, address: address.address, port: address.port)
        if !addresses.enqueue(.addAddress(echo)) { counters.count(.AddAddrDrop) }
        let target = address.address
        guard target.isUnicast, !target.isLoopback, address.addressID.rawValue != 0, address.port != 0,
            !addresses.locals.contains(where: { $0.value.address == target })
        else { return counters.count(.addAddrInvalid) }
        //= RFC 8684 §3.4.1, §3.9.1 without a port that of the first subflow is meant, and is the one to join
        let endpoint = Endpoint(target, address.port ?? initialTuple.remote.port)
        switch addresses.accept(id: address.addressID, endpoint: endpoint) {
        case .accepted: wantsPathCheck = true
        case .known: break
        case .refused: counters.count(.AddAddrDrop)
        }
    }

    //= RFC 6824 §3.4.1 no HMAC and no echo; an ID that is known with another address, or with this port, is ignored
    private mutating func receiveUnprovenAddress(_ address: AddAddress, counters: inout StackCounters) {
        guard address.form == .zero else { return counters.count(.optionWrongVersion) }
        counters.count(.AddAddr)
        if address.port != nil { counters.count(.PortAdd) }
        let target = address.address
        guard target.isUnicast, !target.isLoopback, address.addressID.rawValue != 0, address.port != 0,
            !addresses.locals.contains(where: { $0.value.address == target })
        else { return counters.count(.addAddrInvalid) }
        //= RFC 7430 §2 anybody on the path could send connections to a third party with it
        guard
            configuration.acceptUnprovenAddresses
                || addresses.remotes.contains(where: { $0.endpoint.address == target })
        else { return counters.count(.addAddrUnproven) }
        let endpoint = Endpoint(target, address.port ?? initialTuple.remote.port)
        switch addresses.accept(id: address.addressID, endpoint: endpoint) {
        case .accepted: wantsPathCheck = true
        case .known: break
        case .refused: counters.count(.AddAddrDrop)
        }
    }

    //= RFC 8684 §3.4.2 REMOVE_ADDR: subflows to that address are closed
    mutating func receiveRemoveAddress(
        _ removal: RemoveAddress, now: MonotonicInstant, counters: inout StackCounters
    ) {
        counters.count(.RmAddr)
        for position in 0..<removal.count {
            let id = removal[position]
            let known = addresses.removeRemote(id)
            var closed = false
            for index in contexts.indices
            where !contexts[index].isClosed && remoteID(of: index) == id && liveSubflows > 1 {
                counters.count(.RmSubflow)
                resetSubflow(index, reason: MPTCPReset.unspecified, why: "the peer removed its address")
                settle(index, now: now, counters: &counters)
                closed = true
            }
            if !known, !closed { counters.count(.RmAddrDrop) }
        }
    }

    func remoteID(of index: Int) -> AddressID {
        contexts[index].isJoin ? contexts[index].remoteAddressID : AddressID(0)
    }
}
