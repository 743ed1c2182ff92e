import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
import WireFormats

extension Connection {
    /// Ends the connection at once: MP_FASTCLOSE (or RST) to the peer, what was not delivered is lost.
    public mutating func abort(now: MonotonicInstant, counters: inout StackCounters) {
        guard !phase.isClosed else { return }
        //= RFC 6824 §3.5 MP_FASTCLOSE stands on an ACK of one subflow; no waiting for the peer's RST here: ours follows
        if isFullyMultipath, keys.remote != 0, !keys.version.allowsFastCloseOnReset {
            fastCloseSubflow = bestReadySubflow()
        }
        closeAll(.aborted)
    }

    /// Closes every subflow with RST and the connection with a reason.
    mutating func closeAll(_ reason: ConnectionCloseReason) {
        guard !phase.isClosed else { return }
        close(reason)
        for index in contexts.indices where !contexts[index].isClosed {
            if contexts[index].closeReason == nil { contexts[index].closeReason = reason.description }
            contexts[index].tcp.abort()
            contexts[index].isDying = true
        }
    }

    mutating func close(_ reason: ConnectionCloseReason) {
        phase = .closed(reason)
        dataTimer = .distantFuture
        dataFinTimer = .distantFuture
        silenceTimer = .distantFuture
        headTimer = .distantFuture
        drainTimer = .distantFuture
        pathlessDeadline = .distantFuture
        signalPause = .distantFuture
        send.reinjections.removeAll()
        events.insert(.closed)
        if receive.available > 0 || receive.isFinished { noteReadable() }
    }

    /// A host or router said that the first subflow's peer can't be reached, before there was any answer.
    public mutating func handshakeUnreachable(_ index: Int, now: MonotonicInstant, counters: inout StackCounters) {
        guard index < contexts.count, contexts[index].tcp.phase == .synSent else { return }
        contexts[index].closeReason = "unreachable"
        if phase == .handshake { handshakeError = .unreachable }
        contexts[index].tcp.abandon()
        settle(index, now: now, counters: &counters)
    }

    /// ICMP "packet too big" for a segment of this subflow (RFC 1191, RFC 8201; checked after RFC 5927).
    public mutating func pathMTUChanged(
        _ index: Int, mtu: Int, sequence: SequenceNumber, now: MonotonicInstant
    ) -> Bool {
        guard index < contexts.count, !contexts[index].isClosed else { return false }
        let floor = contexts[index].setup.tuple.isIPv6 ? 1280 : 552
        guard mtu < contexts[index].setup.mtu else { return false }
        let payload = max(mtu, floor) - contexts[index].networkHeaderLength - 20
        return contexts[index].tcp.pathMTUChanged(payload, embeddedSequence: sequence, now: now)
    }

    /// Closes one subflow with RST; its data goes to the others.
    mutating func resetSubflow(_ index: Int, reason: UInt8, why: String) {
        guard !contexts[index].isClosed || contexts[index].closeReason == nil else { return }
        contexts[index].resetReason = reason
        if contexts[index].closeReason == nil { contexts[index].closeReason = why }
        reinjectUnacknowledged(index)
        contexts[index].wasReinjected = true
        contexts[index].tcp.abort()
        contexts[index].isDying = true
    }

    /// An interface or address is gone: its subflows end without a word that could not leave anyway.
    public mutating func localAddressRemoved(
        _ address: IPAddress, interface: InterfaceID?, now: MonotonicInstant, counters: inout StackCounters
    ) {
        //= RFC 6897 §5.3.3 subflows from an address that is taken away are closed, and the peer is told
        let keeps = keepsAway(address, now: now)
        addresses.removeLocal(address, isTold: !keeps)
        for index in contexts.indices
        where contexts[index].setup.tuple.local.address == address && !contexts[index].isClosed {
            if let interface, contexts[index].setup.interface != interface { continue }
            if keeps {
                contexts[index].isAway = true
                continue
            }
            contexts[index].closeReason = "local address removed"
            contexts[index].tcp.abandon()
            settle(index, now: now, counters: &counters)
        }
    }

    // MARK: Orderly close

    /// Moves the close on: DATA_FIN when all data has been sent, FIN when both directions are over.
    mutating func progressClose(now: MonotonicInstant) {
        if sendsAsTCP {
            guard send.finish == .queued, !send.hasUnsent, phase != .handshake else { return }
            send.finish = .sent
            for index in contexts.indices where !contexts[index].isClosed { contexts[index].tcp.close() }
            return
        }
        //= RFC 8684 §3.3.3 DATA_FIN says that the sender has no more data; sent after the last of it
        guard state.isMultipath, send.finish == .queued, !send.hasUnsent else { return }
        startDataFin(now: now)
        if let index = bestReadySubflow() { contexts[index].tcp.requestAcknowledgement() }
    }

    /// Looks at what a call did to one subflow and to the whole: reinjection, FINs, the end.
    mutating func settle(_ index: Int, now: MonotonicInstant, counters: inout StackCounters) {
        if contexts[index].isClosed { subflowClosed(index, now: now, counters: &counters) }
        if phase.isClosed || !state.isMultipath { leaveEstablished(&counters) }
        if phase.isClosed { return retireClosed() }
        if discardIncoming, receive.available > 0 { receive.consume(receive.available) }
        progressClose(now: now)
        closeFinishedSubflows(index)
        noteTCPFinish()
        if receive.isFinished, send.finish == .acknowledged, phase == .open { beginDraining(now: now) }
        updateDataWaiting(now: now)
        hastenDraining(now: now)
        finishIfOver(now: now, counters: &counters)
        retireClosed()
    }

    private mutating func subflowClosed(_ index: Int, now: MonotonicInstant, counters: inout StackCounters) {
        leaveHalfOpen(index, counters: &counters)
        guard !contexts[index].isReported else { return }
        events.insert(.subflowClosed)
        wantsPathCheck = true
        noteEndedJoin(index)
        noteFailedPath(index, now: now)
        if contexts[index].tcp.phase == .closed, !contexts[index].wasReinjected {
            contexts[index].wasReinjected = true
            reinjectUnacknowledged(index)
        }
    }

    /// A subflow whose peer has sent FIN carries nothing more of ours once its data is through.
    private mutating func closeFinishedSubflows(_ index: Int) {
        guard isFullyMultipath, contexts[index].tcp.phase == .closeWait, phase == .open else { return }
        //= RFC 8684 §3.3.3 the last subflow that works is not closed while data waits for its DATA_ACK
        guard hasOtherReady(than: index) || send.acknowledged == send.end else { return }
        // The peer ends this subflow, not the stream: ours ends too, the rest goes elsewhere.
        reinjectUnacknowledged(index)
        contexts[index].tcp.close()
    }

    private func hasOtherReady(than index: Int) -> Bool {
        for other in contexts.indices where other != index && contexts[other].isReady && contexts[other].tcp.canSendData
        {
            return true
        }
        return false
    }

    private mutating func noteTCPFinish() {
        guard sendsAsTCP, send.finish == .sent, send.acknowledged == send.end else { return }
        for index in contexts.indices where contexts[index].tcp.isFinAcknowledged {
            send.finish = .acknowledged
            events.insert(.finished)
        }
    }

    //= RFC 8684 §3.3.3 once DATA_FINs are acknowledged both ways, every subflow is closed with FIN
    private mutating func beginDraining(now: MonotonicInstant) {
        phase = .draining
        drainTimer = now + Self.drainLimit
        send.reinjections.removeAll()
        dataTimer = .distantFuture
        // Where all are silent, the peer may not know yet that we have everything: only what is said in order tells it.
        var isAnyHeard = false
        for index in contexts.indices where contexts[index].isReady && !contexts[index].isStalled { isAnyHeard = true }
        for index in contexts.indices where !contexts[index].isClosed {
            if contexts[index].isReady, !contexts[index].isStalled || !isAnyHeard {
                contexts[index].tcp.close()
            } else {
                resetSubflow(index, reason: MPTCPReset.unspecified, why: "not in use when the connection ended")
            }
        }
    }

    /// As long as Linux leaves a socket in FIN-WAIT-2.
    static let drainLimit = TimeSpan.seconds(60)

    /// Once one subflow has ended in order, both ends know that the streams are over: the others get a few round trips
    /// more, then they are cut off, since their FIN may be lost on a path that is dead.
    var hasEndedInOrder: Bool {
        for index in contexts.indices where contexts[index].isClosed && contexts[index].closeReason == nil {
            return true
        }
        return false
    }

    private mutating func hastenDraining(now: MonotonicInstant) {
        guard phase == .draining, state.isMultipath else { return }
        var grace = TimeSpan.seconds(1)
        for index in contexts.indices where !contexts[index].isClosed {
            grace = max(grace, contexts[index].tcp.roundTrip.retransmissionTimeout * 4)
        }
        if hasEndedInOrder { drainTimer = min(drainTimer, now + grace) }
    }

    /// Cuts off what has not ended by itself; nothing is lost with it.
    mutating func drainTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        drainTimer = .distantFuture
        guard phase == .draining else { return }
        for index in contexts.indices where !contexts[index].isClosed {
            resetSubflow(index, reason: MPTCPReset.unacceptablePerformance, why: "silent while closing")
            settle(index, now: now, counters: &counters)
        }
    }

    /// Has the peer's window probed where nothing else will tell when it opens: everything sent is acknowledged, and there
    /// is more. A window that is closed at the data level is closed on every subflow, whatever it last said there; an open
    /// one may still be closed on a subflow that has not heard of it.
    mutating func updateDataWaiting(now: MonotonicInstant) {
        let waiting: DataWaiting =
            !send.hasUnsent || send.acknowledged < send.next
            ? .none : send.next >= send.peerEdge && isFullyMultipath ? .behindSharedWindow : .behindOwnWindow
        for index in contexts.indices where contexts[index].dataWaiting != waiting && contexts[index].isReady {
            contexts[index].dataWaiting = waiting
            contexts[index].tcp.setDataWaiting(waiting, now: now)
        }
    }

    /// Ends the connection when no subflow is left to carry it.
    private mutating func finishIfOver(now: MonotonicInstant, counters: inout StackCounters) {
        guard liveSubflows == 0 else { return }
        if phase == .draining { return close(.finished) }
        if receive.isFinished, send.finish == .acknowledged { return close(.finished) }
        if staysWithoutPath(now: now) { return }
        close(failureReason)
    }

    /// Why a connection without a subflow ends.
    var failureReason: ConnectionCloseReason {
        if peerHasForgotten { return .reset }
        var reason = handshakeError ?? .timedOut
        for index in contexts.indices {
            guard let why = contexts[index].closeReason else { continue }
            if why.hasPrefix("refused") {
                reason = .refused
            } else if why.hasPrefix("reset by peer") {
                reason = .reset
            } else if why == "local address removed" {
                reason = .noPath
            } else if why != "timed out", why != "no answer", why != "unreachable" {
                reason = .protocolError(why)
            }
        }
        return allSubflowsEndedWithFin ? .reset : reason
    }

    /// Every subflow was closed with FIN although the data level had not ended.
    var allSubflowsEndedWithFin: Bool {
        for index in contexts.indices where contexts[index].closeReason != nil { return false }
        return true
    }

    // MARK: Slots

    private mutating func retireClosed() {
        for index in contexts.indices
        where contexts[index].tcp.phase == .closed && contexts[index].isReported && !contexts[index].isRetired {
            contexts[index].isRetired = true
            if closedSubflows.count < 64 { closedSubflows.append(snapshot(of: index)) }
        }
    }

    /// Four-tuples whose subflows are over (not those in TIME-WAIT), each given once: the host may forget them.
    public mutating func takeClosedTuple() -> FourTuple? {
        for index in contexts.indices
        where contexts[index].tcp.phase == .closed && !contexts[index].isReported {
            contexts[index].isReported = true
            let tuple = contexts[index].setup.tuple
            retireClosed()
            return tuple
        }
        return nil
    }

    /// Nothing is left to send, wait for or time out: the connection's slot may be freed once the owner lets go.
    public var isQuiet: Bool {
        guard phase.isClosed else { return false }
        for index in contexts.indices where !contexts[index].isRetired { return false }
        return true
    }
}
