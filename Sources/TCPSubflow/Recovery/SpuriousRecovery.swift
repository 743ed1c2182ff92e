import TransportPolicies
import TransportValues

// Three ways to learn that nothing was lost: by timestamps (Eifel, RFC 3522), by what a timeout's acknowledgement
// covers (F-RTO, RFC 5682), by reports of duplicates (RFC 3708). The response is that of RFC 4015: what the event took
// from the congestion window is given back.
extension Subflow {
    /// An acknowledgement that advanced echoes a timestamp from before the first retransmission: what it acknowledges
    /// is the original (RFC 3522 §3.2 step 5). Only the first acknowledgement after that retransmission tells.
    mutating func undoIfEchoIsOld(echo: UInt32, _ now: MonotonicInstant) {
        guard recovery.mayUndo, recovery.awaitsEcho, let first = recovery.firstRetransmission else { return }
        recovery.awaitsEcho = false
        guard Int32(bitPattern: echo &- first) < 0 else { return }
        undoRecovery(now)
    }

    /// Something that was sent only once, before the timer expired, arrived: the flight was late, not lost.
    ///
    ///= RFC 5682 §3.1 step 3: with SACK, an acknowledgement of data that was not retransmitted after the timeout
    mutating func undoIfOriginalsArrive(_ now: MonotonicInstant) {
        guard recovery.phase == .timeout, recovery.mayUndo, handshake.sackPermitted, sent.rack.sawOriginal else {
            return
        }
        undoRecovery(now)
    }

    /// The peer reported that it had received `range` twice (RFC 2883).
    mutating func noteDuplicate(_ range: Range<Int64>, _ now: MonotonicInstant) {
        statistics.duplicateReports &+= 1
        if recovery.probe.isRetransmission, range.upperBound == recovery.probe.end { return }
        // The network may duplicate packets, too: what was never sent again proves nothing.
        guard statistics.duplicateReports <= statistics.segmentsRetransmitted else { return }
        //= RFC 8985 §6.2 step 4: a D-SACK widens the reordering window
        // Beyond the RFC's step 3, which looks at what was never sent again: a needless retransmission is reordering, too,
        // and without this a network that always reorders further than three segments would never be seen to.
        sent.rack.sawReordering = true
        recovery.tolerance.duplicateReported(unacknowledged: send.unacknowledged, next: send.next)
        guard recovery.mayUndo, recovery.sentAgain > 0, range.lowerBound >= recovery.undoFrom else { return }
        //= RFC 3708 §4: when every retransmission of a window is reported as duplicate, none was necessary
        recovery.sentAgain &-= min(recovery.sentAgain, Int(range.upperBound &- range.lowerBound))
        if recovery.sentAgain == 0 { undoRecovery(now) }
    }

    private mutating func undoRecovery(_ now: MonotonicInstant) {
        statistics.spuriousRecoveries &+= 1
        recovery.mayUndo = false
        if recovery.phase == .fast { sent.rack.sawReordering = true }
        congestion.spurious(now: now)
        sent.forgetLosses()
        recovery.retransmitFirst = false
        recovery.phase = .open
        sent.rack.originalsBelow = 0
    }
}
