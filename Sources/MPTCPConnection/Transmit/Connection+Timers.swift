import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
import WireFormats

extension Connection {
    /// When ``advance(to:counters:)`` or ``transmit(into:headroom:now:counters:)`` has something to do by itself.
    public var nextDeadline: MonotonicInstant {
        var deadline = min(dataTimer, dataFinTimer, min(drainTimer, failTimer, pathlessDeadline, signalPause))
        deadline = min(deadline, silenceTimer, headTimer)
        if isFullyMultipath, !phase.isClosed { deadline = min(deadline, addresses.nextAnnouncement) }
        if mayOpenPaths { deadline = min(deadline, addresses.nextAttempt) }
        for index in contexts.indices where !contexts[index].isRetired {
            deadline = min(deadline, contexts[index].tcp.nextDeadline)
            if case .joinAckSent(_, let retryAt, _) = contexts[index].handshake, !contexts[index].isClosed {
                deadline = min(deadline, retryAt)
            }
        }
        return deadline
    }

    /// Fires the timers that are due.
    public mutating func advance(to now: MonotonicInstant, counters: inout StackCounters) {
        for index in contexts.indices where !contexts[index].isRetired && contexts[index].tcp.nextDeadline <= now {
            let outcome = contexts[index].tcp.advance(to: now)
            if outcome.retransmissionTimedOut { subflowTimedOut(index, counters: &counters) }
            if let failure = outcome.failure { subflowFailed(index, failure, counters: &counters) }
            settle(index, now: now, counters: &counters)
        }
        advanceJoins(now: now, counters: &counters)
        if dataTimer <= now { dataTimedOut(now: now, counters: &counters) }
        if headTimer <= now { headTimedOut(now: now) }
        if dataFinTimer <= now { dataFinTimedOut(now: now, counters: &counters) }
        if silenceTimer <= now { silenceTimedOut(now: now, counters: &counters) }
        if pathlessDeadline <= now { pathlessTimedOut(now: now, counters: &counters) }
        if failTimer <= now { failTimedOut(now: now, counters: &counters) }
        if signalPause <= now {
            signalPause = .distantFuture
            signalRun = 0
        }
        if drainTimer <= now { drainTimedOut(now: now, counters: &counters) }
        if isFullyMultipath, !phase.isClosed { addresses.advance(to: now, keys: keys) }
        if mayOpenPaths, addresses.nextAttempt <= now { wantsPathCheck = true }
        noteReadable()
        noteWritable()
    }

    // MARK: A subflow's timers

    private mutating func subflowTimedOut(_ index: Int, counters: inout StackCounters) {
        guard state.isMultipath, contexts[index].isReady else { return }
        if phase == .draining, contexts[index].tcp.consecutiveTimeouts > 1,
            hasOtherUsable(than: index) || hasEndedInOrder
        {
            // Every byte is through, both ways, and the peer hears so elsewhere: a silent path has nothing left to say.
            return resetSubflow(index, reason: MPTCPReset.unacceptablePerformance, why: "silent while closing")
        }
        if contexts[index].lastTimeouts == 0 { counters.count(.SubflowStale) }
        wantsPathCheck = true
        if pathUse == .single, role == .initiator, phase == .open, isFullyMultipath,
            state == .multipath(confirmed: true),
            contexts[index].tcp.consecutiveTimeouts >= 3, addresses.hasAlternative
        {
            // Break before make: the path is given up, then another is joined.
            return resetSubflow(index, reason: MPTCPReset.unacceptablePerformance, why: "silent; another path is tried")
        }
        contexts[index].lastTimeouts = contexts[index].tcp.consecutiveTimeouts
        guard hasOtherUsable(than: index) else { return }
        reinjectUnacknowledged(index)
    }

    private mutating func subflowFailed(_ index: Int, _ failure: SubflowFailure, counters: inout StackCounters) {
        if case .initial = contexts[index].handshake, phase == .handshake {
            contexts[index].closeReason = "no answer"
        } else if contexts[index].closeReason == nil {
            contexts[index].closeReason = "timed out"
        }
        _ = failure
    }

    func hasOtherUsable(than index: Int) -> Bool {
        for other in contexts.indices where other != index && contexts[other].isUsable { return true }
        return false
    }

    //= RFC 8684 §3.3.6 what goes out on another subflow is still repeated on its own
    /// Queues everything that this subflow has not got through for the others.
    mutating func reinjectUnacknowledged(_ index: Int) {
        guard state.isMultipath, !sendReverted else { return }
        var ranges: [Range<Int64>] = []
        contexts[index].tcp.forEachUnacknowledged { offset, length in ranges.append(offset..<offset + Int64(length)) }
        for range in ranges { _ = send.reinject(range) }
    }

    mutating func noteSubflowProgress(_ index: Int, counters: inout StackCounters) {
        if contexts[index].lastTimeouts > 0 {
            contexts[index].lastTimeouts = 0
            counters.count(.SubflowRecover)
        }
    }

    // MARK: The data level's timers

    private var dataTimeout: TimeSpan {
        var longest = TimeSpan.milliseconds(200)
        for index in contexts.indices where contexts[index].isReady {
            longest = max(longest, contexts[index].tcp.roundTrip.retransmissionTimeout)
        }
        return min(longest * Int64(1 << min(dataTimerBackoff, 8)), .seconds(120))
    }

    mutating func armDataTimer(now: MonotonicInstant) {
        guard state.isMultipath, !sendReverted, dataTimer == .distantFuture, send.acknowledged < send.next else {
            return
        }
        dataTimer = now + dataTimeout + .milliseconds(100)
    }

    /// DATA_ACK moved: the timer starts anew, or stops.
    mutating func noteDataProgress(now: MonotonicInstant) {
        dataTimerBackoff = 0
        headTries = 0
        dataTimer = .distantFuture
        dataWaitingSince = now
        armDataTimer(now: now)
    }

    //= RFC 8684 §3.3.6 data that subflows have acknowledged but no DATA_ACK covers is sent again at the data level
    private mutating func dataTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        dataTimer = .distantFuture
        guard state.isMultipath, !sendReverted, !phase.isClosed, send.acknowledged < send.next else { return }
        dataTimerBackoff += 1
        // Subflows that come, carry nothing and go would otherwise keep a connection for ever.
        if now - dataWaitingSince > max(configuration.userTimeout, configuration.pathlessTimeout) {
            counters.count(.dataTimeout)
            closeAll(.timedOut)
            for index in contexts.indices { settle(index, now: now, counters: &counters) }
            return
        }
        if !isOutstandingAnywhere(send.acknowledged) {
            counters.count(.dataTimeout)
            if actOnBareAcknowledgments(now: now, counters: &counters) { return }
            _ = send.reinject(send.acknowledged..<min(send.next, send.acknowledged + 65_536))
        }
        armDataTimer(now: now)
    }

    /// Whether some live subflow is still at work on this byte by itself.
    private func isOutstandingAnywhere(_ offset: Int64) -> Bool {
        for index in contexts.indices where contexts[index].isReady {
            var found = false
            contexts[index].tcp.forEachUnacknowledged { start, length in
                if start <= offset, offset < start + Int64(length) { found = true }
            }
            if found { return true }
        }
        return false
    }

    mutating func startDataFin(now: MonotonicInstant) {
        send.finish = .sent
        dataFinTries = 0
        dataFinSince = now
        dataFinTimer = now + dataTimeout
    }

    private mutating func dataFinTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        dataFinTimer = .distantFuture
        guard send.finish == .sent, !phase.isClosed, state.isMultipath, !sendReverted else { return }
        dataFinTries += 1
        if dataFinTries > 1, actOnBareAcknowledgments(now: now, counters: &counters) { return }
        if dataFinTries == 5, giveUpDeafSubflows(now: now, counters: &counters) { return }
        if dataFinTries > 12 {
            return closeAll(.timedOut)
        }
        dataFinTimer = now + min(dataTimeout * Int64(1 << min(dataFinTries, 6)), .seconds(60))
        // A DATA_FIN that rode on data is also said by itself; on every subflow, since one of them may be dead.
        requestDataAck()
    }
}
