import DequeModule
import TransportPolicies
public import TransportValues

/// Every timer of a subflow; `distantFuture`: not running.
struct TimerState: BitwiseCopyable {
    /// RFC 6298, and the SYN's.
    var retransmission = MonotonicInstant.distantFuture
    /// Tail loss probe (RFC 8985 §7).
    var lossProbe = MonotonicInstant.distantFuture
    /// RACK's reordering timer (RFC 8985 §6.2 step 5).
    var reordering = MonotonicInstant.distantFuture
    /// When the pacer lets out more.
    var pacing = MonotonicInstant.distantFuture
    /// Zero-window probes (RFC 9293 §3.8.6.1).
    var persist = MonotonicInstant.distantFuture
    var keepalive = MonotonicInstant.distantFuture
    var timeWait = MonotonicInstant.distantFuture
    /// Doublings of the timeout since the last sample.
    var backoff = 0
    var persistBackoff = 0
    var consecutiveTimeouts = 0
    /// Window probes since the peer was last heard.
    var unansweredProbes = 0
    /// Keepalive probes since the peer was last heard.
    var keepaliveProbes = 0
    /// A probe is to be sent.
    var probeDue = false
    /// The timeout before the first sample.
    var initialTimeout = RoundTripEstimator.initialTimeout
    /// Since when data waits for an acknowledgement without any progress.
    var waitingSince: MonotonicInstant
    var isWaiting = false
    /// When the retransmission timer last expired.
    var lastTimeout = MonotonicInstant.zero

    init(began now: MonotonicInstant) { waitingSince = now }

    mutating func clear() {
        retransmission = .distantFuture
        lossProbe = .distantFuture
        reordering = .distantFuture
        pacing = .distantFuture
        persist = .distantFuture
        keepalive = .distantFuture
        timeWait = .distantFuture
        probeDue = false
        isWaiting = false
    }
}

/// Whether the connection has data that only the peer's window keeps from being sent.
public enum DataWaiting: UInt8, Sendable, BitwiseCopyable {
    case none
    /// Where this subflow's own window is closed.
    case behindOwnWindow
    /// The window that all subflows share is closed at the data level, whatever it was last on this one (RFC 8684
    /// §3.3.5).
    case behindSharedWindow
}

extension Subflow {
    /// RTO without back-off.
    var retransmissionTimeout: TimeSpan {
        roundTrip.hasSample ? roundTrip.retransmissionTimeout : timers.initialTimeout
    }

    private func backedOff(_ doublings: Int) -> TimeSpan {
        //= RFC 6298 §5 rule 5.5: RTO <- RTO * 2, up to a maximum
        let timeout = min(
            retransmissionTimeout * (Int64(1) << Int64(min(doublings, 20))), RoundTripEstimator.maximumTimeout)
        guard sharesWindow, phase.isSynchronized else { return timeout }
        return min(timeout, max(configuration.sharedTimeoutLimit, retransmissionTimeout))
    }

    mutating func startRetransmissionTimer(_ now: MonotonicInstant) {
        timers.retransmission = now + backedOff(timers.backoff)
    }

    mutating func startKeepalive(_ now: MonotonicInstant) {
        guard let keepalive = configuration.keepalive else { return }
        timers.keepalive = now + keepalive.idle
        timers.keepaliveProbes = 0
    }

    /// The connection has data to send here that no window admits, or has none any more. While it has and the peer's
    /// window is closed with nothing outstanding, the window is probed.
    public mutating func setDataWaiting(_ waiting: DataWaiting, now: MonotonicInstant) {
        guard waiting != send.dataWaiting else { return }
        send.dataWaiting = waiting
        watchZeroWindow(now)
    }

    /// Starts or stops the persist timer as the peer's window says.
    mutating func watchZeroWindow(_ now: MonotonicInstant) {
        let isClosed: Bool
        switch send.dataWaiting {
        case .none: isClosed = false
        case .behindOwnWindow: isClosed = send.peerWindowEdge <= send.next
        case .behindSharedWindow: isClosed = true
        }
        let isBlocked = isClosed && canSendData && sent.isEmpty
        if isBlocked {
            if timers.persist == .distantFuture {
                //= RFC 9293 §3.8.6.1 SHLD-29: the first probe when a zero window has existed for the RTO
                timers.persistBackoff = 0
                timers.persist = now + retransmissionTimeout
                noteWaiting(now)
            }
        } else if timers.persist != .distantFuture {
            timers.persist = .distantFuture
            timers.persistBackoff = 0
            timers.probeDue = false
            if sent.isEmpty { timers.isWaiting = false }
        }
    }

    /// Something begins to wait for the peer.
    mutating func noteWaiting(_ now: MonotonicInstant) {
        if timers.isWaiting { return }
        timers.isWaiting = true
        timers.waitingSince = now
    }

    private var userDeadline: MonotonicInstant {
        guard timers.isWaiting, let limit = configuration.userTimeout else { return .distantFuture }
        return timers.waitingSince + limit
    }

    /// When ``advance(to:)`` is next worth calling; `distantFuture` when no timer runs.
    public var nextDeadline: MonotonicInstant {
        min(
            min(timers.retransmission, timers.persist, timers.keepalive), min(timers.timeWait, acknowledging.delayed),
            min(min(timers.lossProbe, timers.reordering), timers.pacing, userDeadline))
    }

    /// Lets time pass: every timer that has expired by `now` takes effect.
    public mutating func advance(to now: MonotonicInstant) -> TimeoutOutcome {
        var outcome = TimeoutOutcome()
        if phase == .closed { return outcome }
        if timers.timeWait <= now {
            enterClosed()
            outcome.closed = true
            return outcome
        }
        if userDeadline <= now {
            //= RFC 9293 §3.10.8: the user timeout closes in any state
            fail(.userTimeout, &outcome)
            return outcome
        }
        if timers.retransmission <= now {
            retransmissionTimedOut(now, &outcome)
        } else {
            if timers.reordering <= now {
                reorderingTimedOut(now)
                outcome.needsOutput = true
            }
            if timers.lossProbe <= now {
                lossProbeTimedOut(now)
                outcome.needsOutput = true
            }
        }
        if timers.pacing <= now {
            timers.pacing = .distantFuture
            outcome.needsOutput = true
        }
        if phase != .closed, timers.persist <= now { persistTimedOut(now, &outcome) }
        if phase != .closed, timers.keepalive <= now { keepaliveTimedOut(now, &outcome) }
        if acknowledging.delayed <= now {
            acknowledging.delayed = .distantFuture
            acknowledging.isImmediate = true
        }
        watchPacer(now)
        if acknowledging.isImmediate || timers.probeDue || resetDue != .none || handshake.synchronizeDue {
            outcome.needsOutput = true
        }
        return outcome
    }

    /// The path is known to be there again: what waits for a timer is sent now, with the time-out's doublings forgotten.
    public mutating func hastenRetransmission(now: MonotonicInstant) {
        timers.backoff = 0
        timers.persistBackoff = 0
        if timers.retransmission != .distantFuture { timers.retransmission = min(timers.retransmission, now) }
        if timers.persist != .distantFuture { timers.persist = min(timers.persist, now) }
    }

    private mutating func fail(_ reason: SubflowFailure, _ outcome: inout TimeoutOutcome) {
        enterClosed()
        outcome.failure = reason
        outcome.closed = true
    }

    private mutating func retransmissionTimedOut(_ now: MonotonicInstant, _ outcome: inout TimeoutOutcome) {
        if phase == .synSent || phase == .synReceived {
            //= RFC 9293 §3.8.3 MUST-23: R2 of a SYN is large enough for at least 3 minutes with the default of 6
            guard timers.consecutiveTimeouts < configuration.synRetries else {
                return fail(.handshakeTimedOut, &outcome)
            }
            timers.backoff &+= 1
            timers.consecutiveTimeouts &+= 1
            statistics.timeouts &+= 1
            handshake.synchronizeDue = true
            timers.retransmission = now + backedOff(timers.backoff)
        } else {
            guard !sent.isEmpty else {
                timers.retransmission = .distantFuture
                return
            }
            // A peer that shrank its window to nothing and answers is alive: such expiries count as window probes do.
            let isClosedWindow = send.peerWindowEdge <= send.unacknowledged && lastReceived > timers.lastTimeout
            if !isClosedWindow { timers.consecutiveTimeouts &+= 1 }
            // Where time-outs don't grow beyond seconds, their number says little: the user time-out decides.
            let isCounted = !sharesWindow || configuration.userTimeout == nil
            guard !isCounted || timers.consecutiveTimeouts <= configuration.dataRetries else {
                return fail(.timedOut, &outcome)
            }
            statistics.timeouts &+= 1
            timers.lastTimeout = now
            timers.backoff = min(timers.backoff &+ 1, 20)
            enterTimeoutRecovery(now)
            suspectBlackHole(now)
            timers.retransmission = now + backedOff(timers.backoff)
        }
        outcome.retransmissionTimedOut = true
        outcome.consecutiveTimeouts = timers.consecutiveTimeouts
        outcome.needsOutput = true
    }

    private mutating func persistTimedOut(_ now: MonotonicInstant, _ outcome: inout TimeoutOutcome) {
        //= RFC 9293 §3.8.6.1 MUST-35, MUST-36: the connection stays open as long as the peer answers probes
        guard timers.unansweredProbes < configuration.dataRetries else { return fail(.timedOut, &outcome) }
        timers.probeDue = true
        timers.persistBackoff = min(timers.persistBackoff &+ 1, 20)
        //= RFC 9293 §3.8.6.1 SHLD-30: the interval increases exponentially
        timers.persist = now + backedOff(timers.persistBackoff)
        outcome.needsOutput = true
    }

    private mutating func keepaliveTimedOut(_ now: MonotonicInstant, _ outcome: inout TimeoutOutcome) {
        guard let keepalive = configuration.keepalive, phase.isSynchronized else {
            timers.keepalive = .distantFuture
            return
        }
        if !sent.isEmpty || timers.persist != .distantFuture {
            //= RFC 9293 §3.8.4 MUST-27: probes only when no sent data is outstanding
            timers.keepalive = now + keepalive.idle
            return
        }
        guard timers.keepaliveProbes < keepalive.probes else { return fail(.keepaliveExpired, &outcome) }
        timers.keepaliveProbes &+= 1
        timers.probeDue = true
        timers.keepalive = now + keepalive.interval
        outcome.needsOutput = true
    }
}
