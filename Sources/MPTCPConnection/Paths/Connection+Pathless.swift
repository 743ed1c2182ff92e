import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
import WireFormats

/// A connection whose last subflow has failed is kept for a time, and tries again on every path.
extension Connection {
    var isPathless: Bool { pathlessDeadline != .distantFuture }

    /// Called when no subflow is left. True: the connection waits for a new one.
    mutating func staysWithoutPath(now: MonotonicInstant) -> Bool {
        guard isFullyMultipath, state == .multipath(confirmed: true), phase == .open, !peerHasForgotten,
            configuration.pathlessTimeout > .zero, !allSubflowsEndedWithFin
        else { return false }
        if !isPathless {
            let patience =
                lastEndWasReset
                ? min(configuration.pathlessTimeoutAfterReset, configuration.pathlessTimeout)
                : configuration.pathlessTimeout
            guard patience > .zero else { return false }
            pathlessDeadline = now + patience
            addresses.hasten(now: now)
        }
        wantsPathCheck = true
        return true
    }

    /// The peer reset the subflow that ended last, for good.
    private var lastEndWasReset: Bool {
        for index in contexts.indices where contexts[index].isClosed && !contexts[index].isRetired {
            return contexts[index].closeReason?.hasPrefix("reset by peer") == true && !contexts[index].endedTransiently
        }
        return false
    }

    /// A subflow came to life.
    mutating func notePath() {
        guard isPathless else { return }
        pathlessDeadline = .distantFuture
        peerHasForgotten = false
    }

    // MARK: An address that is away

    /// Whether the subflow from an address that is gone stays, silent, in case the address comes back: it is the only one,
    /// and no other could be opened in its place from here (the peer joins, or it is plain TCP).
    mutating func keepsAway(_ address: IPAddress, now: MonotonicInstant) -> Bool {
        guard phase == .open, configuration.pathlessTimeout > .zero, role == .listener || !isFullyMultipath else {
            return false
        }
        var isAffected = false
        for index in contexts.indices where !contexts[index].isClosed {
            guard contexts[index].setup.tuple.local.address == address, contexts[index].isReady else { return false }
            isAffected = true
        }
        if isAffected, !isPathless { pathlessDeadline = now + configuration.pathlessTimeout }
        return isAffected
    }

    /// Subflows whose address is there again go on at once.
    mutating func resumeAway(_ values: [LocalAddress], now: MonotonicInstant) {
        for index in contexts.indices where contexts[index].isAway && !contexts[index].isClosed {
            guard let value = values.first(where: { $0.address == contexts[index].setup.tuple.local.address }) else {
                continue
            }
            contexts[index].isAway = false
            contexts[index].setup.interface = value.interface
            contexts[index].tcp.hastenRetransmission(now: now)
            contexts[index].tcp.requestAcknowledgement()
            pathlessDeadline = .distantFuture
        }
    }

    /// Another subflow has come to life: those without an address are not needed any more.
    mutating func abandonAway(now: MonotonicInstant, counters: inout StackCounters) {
        for index in contexts.indices where contexts[index].isAway && !contexts[index].isClosed {
            contexts[index].closeReason = "local address removed"
            contexts[index].tcp.abandon()
            settle(index, now: now, counters: &counters)
        }
    }

    mutating func pathlessTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        pathlessDeadline = .distantFuture
        guard phase == .open else { return }
        counters.count(.pathlessTimeout)
        for index in contexts.indices where contexts[index].isAway && !contexts[index].isClosed {
            contexts[index].closeReason = "local address removed"
        }
        let reason = failureReason
        for index in contexts.indices where !contexts[index].isClosed { contexts[index].tcp.abandon() }
        close(reason)
        for index in contexts.indices { settle(index, now: now, counters: &counters) }
    }

    /// A pair of addresses whose subflow ended is not the first to be tried again.
    mutating func noteFailedPath(_ index: Int, now: MonotonicInstant) {
        guard role == .initiator, state.isMultipath, contexts[index].closeReason != nil else { return }
        let tuple = contexts[index].setup.tuple
        addresses.noteFailed(
            tuple.local.address, tuple.remote, forGood: contexts[index].endedForGood, now: now)
        //= RFC 8684 §3.2 a join with an unknown token is answered with RST
        if isPathless, contexts[index].isJoin, contexts[index].closeReason == "refused",
            tuple.remote == initialTuple.remote
        {
            peerHasForgotten = true
        }
    }

    // MARK: How paths are used together

    /// Changes the use of paths while connected: priorities are told (MP_PRIO), paths joined or left.
    public mutating func setPathUse(_ use: PathUse, now: MonotonicInstant) {
        guard use != pathUse else { return }
        pathUse = use
        wantsPathCheck = true
        guard isFullyMultipath, phase == .open, let best = bestReadySubflow() else { return }
        for index in contexts.indices where contexts[index].isReady {
            //= RFC 8684 §3.4.2 a subflow that works is closed with FIN
            if use == .single, index != best {
                reinjectUnacknowledged(index)
                contexts[index].tcp.close()
                continue
            }
            let backup = use == .handover && index != best
            guard contexts[index].setup.isBackup != backup else { continue }
            contexts[index].setup.isBackup = backup
            contexts[index].priorityDue = backup
            contexts[index].tcp.requestAcknowledgement()
        }
    }

    /// Whether the use of paths wants another subflow now.
    var wantsAnotherPath: Bool {
        switch pathUse {
        case .aggregate, .handover: return true
        case .single: return liveSubflows == 0
        case .interactive:
            if liveSubflows == 0 { return true }
            for index in contexts.indices where contexts[index].isReady && !isSlow(index) { return false }
            return true
        }
    }

    /// Stalled, losing more than 2 %, or with a round trip of four times its best (and 100 ms at least).
    func isSlow(_ index: Int) -> Bool {
        if contexts[index].isStalled { return true }
        let statistics = contexts[index].tcp.statistics
        if statistics.segmentsSent >= 50, statistics.segmentsRetransmitted * 50 > statistics.segmentsSent {
            return true
        }
        let roundTrip = contexts[index].tcp.roundTrip
        return roundTrip.hasSample && roundTrip.smoothed > max(roundTrip.minimum * 4, .milliseconds(100))
    }
}
