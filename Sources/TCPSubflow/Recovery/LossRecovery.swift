import DequeModule
import TransportPolicies
import TransportValues

/// Where loss recovery stands (RFC 8985; without SACK RFC 6582).
struct RecoveryState: BitwiseCopyable {
    enum Phase: UInt8, BitwiseCopyable {
        /// Nothing is known to be lost.
        case open
        /// Losses found by acknowledgements are repaired.
        case fast
        /// The retransmission timer expired; slow start from one segment.
        case timeout
    }

    var phase = Phase.open
    /// RecoveryPoint: the phase ends when everything below is acknowledged.
    var point: Int64 = 0
    var duplicates = 0
    /// Without SACK: bytes that duplicate acknowledgements say have left the network (RFC 6582's window inflation).
    var departed = 0
    /// The first retransmission of a recovery goes out whatever the window says (RFC 6675 §5 step 4.3).
    var retransmitFirst = false
    var reduction = RateReduction()
    var tolerance = ReorderingTolerance()
    var probe = TailProbe()
    /// When the congestion window was last lowered.
    var reducedAt = MonotonicInstant.zero
    /// Our timestamp clock when the first retransmission of this recovery went out, to tell a spurious one.
    var firstRetransmission: UInt32?
    /// The next acknowledgement that advances tells by its echo whether the recovery is spurious.
    var awaitsEcho = false
    /// The congestion window may still be given back.
    var mayUndo = false
    /// Where the flight began when it was lowered, and bytes sent again since that no D-SACK has reported.
    var undoFrom: Int64 = 0
    var sentAgain = 0
}

extension Subflow {
    /// DupThresh of RFC 6675.
    static let duplicateThreshold = 3

    /// What an acknowledgement brought, for loss recovery.
    struct Progress: BitwiseCopyable {
        /// SND.UNA moved.
        var advanced = false
        /// Sequence numbers taken off by the cumulative acknowledgement.
        var acknowledged = 0
        /// Those that were not counted before, and newly selectively acknowledged ones.
        var delivered = 0
        var newlySacked = 0
        /// Without SACK: a duplicate acknowledgement.
        var isDuplicate = false
    }

    /// Loss detection and recovery after an acknowledgement was taken in.
    mutating func updateRecovery(_ progress: Progress, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome) {
        let segment = segmentPayloadLimit(multipathOptionBytes: 0)
        if progress.advanced { recoveryAdvanced(progress.acknowledged, segment, now) }
        var departing = 0
        if progress.isDuplicate {
            recovery.duplicates &+= 1
            if !handshake.sackPermitted, recovery.phase != .timeout {
                //= RFC 5681 §3.2: a receiver may make up duplicates: those that count SHOULD be no more than the segments
                // that were outstanding
                let limit = recovery.phase == .fast ? min(sent.pipe, recovery.reduction.entryFlight) : sent.pipe
                let departed = min(recovery.departed &+ segment, max(0, limit))
                departing = max(0, departed &- recovery.departed)
                recovery.departed = departed
            }
        }
        if sent.isEmpty {
            timers.reordering = .distantFuture
            return
        }
        var foundLoss = false
        if handshake.sackPermitted {
            foundLoss = detectLosses(now)
        } else if recovery.phase == .open {
            //= RFC 5681 §3.2: the third duplicate acknowledgement
            foundLoss = recovery.duplicates >= Self.duplicateThreshold
        }
        if recovery.phase == .open {
            guard foundLoss else { return }
            enterFastRecovery(acknowledged: progress.acknowledged, newlySacked: progress.newlySacked, now)
            outcome.enteredRecovery = true
        }
        if recovery.phase == .fast {
            let counts = handshake.sackPermitted || progress.advanced
            recovery.reduction.acknowledged(
                delivered: counts ? progress.delivered : departing,
                isSafe: progress.advanced && !foundLoss, inFlight: inFlight, target: congestionWindow, segment: segment)
        }
    }

    private mutating func recoveryAdvanced(_ acknowledged: Int, _ segment: Int, _ now: MonotonicInstant) {
        recovery.duplicates = 0
        if recovery.phase == .open || send.unacknowledged >= recovery.point {
            if recovery.phase != .open {
                recovery.tolerance.recoveryEnded()
                sent.rack.originalsBelow = 0
                congestion.recovered(now: now)
            }
            recovery.phase = .open
            recovery.departed = 0
            recovery.retransmitFirst = false
            return
        }
        if handshake.sackPermitted { return }
        //= RFC 6582 §3.2 step 3: a partial acknowledgement: retransmit the first unacknowledged segment, and deflate by
        // what was acknowledged, less the segment that the retransmission adds
        recovery.departed = max(0, recovery.departed &- max(0, acknowledged &- segment))
        if recovery.phase == .fast, !sent.isEmpty, !sent.records[0].marks.contains(.retransmitted) {
            sent.markHeadLost(limit: dataPayloadLimit)
            recovery.retransmitFirst = true
        }
    }

    /// A retransmission was lost in its turn.
    mutating func retransmissionLost(_ now: MonotonicInstant) {
        //= RFC 5681 §4.3: the loss of a retransmission is a second indication of congestion: lowered twice
        congestion.lost(inFlight: min(send.flight, congestionWindow), now: now)
        recovery.mayUndo = false
        recovery.reducedAt = now
        recovery.reduction = RateReduction(
            flight: send.flight, acknowledged: 0, sacked: sent.sackedBytes, newlySacked: 0)
        recovery.retransmitFirst = true
    }

    /// The bytes that may be in flight now.
    var sendWindow: Int {
        recovery.phase == .fast && reducesProportionally ? recovery.reduction.window : congestionWindow
    }

    mutating func enterFastRecovery(acknowledged: Int, newlySacked: Int, _ now: MonotonicInstant) {
        statistics.fastRecoveries &+= 1
        recovery.phase = .fast
        recovery.point = send.next
        recovery.firstRetransmission = nil
        recovery.mayUndo = true
        recovery.awaitsEcho = true
        recovery.undoFrom = send.unacknowledged
        recovery.sentAgain = 0
        recovery.reducedAt = now
        recovery.probe = TailProbe()
        timers.lossProbe = .distantFuture
        recovery.reduction = RateReduction(
            flight: send.flight, acknowledged: acknowledged, sacked: sent.sackedBytes, newlySacked: newlySacked)
        //= RFC 5681 §3.2: ssthresh = cwnd = FlightSize / 2, or what the algorithm has in its place
        congestion.lost(inFlight: send.flight, now: now)
        recovery.reduction.window = inFlight
        if !handshake.sackPermitted { sent.markHeadLost(limit: dataPayloadLimit) }
        recovery.retransmitFirst = true
    }

    /// The retransmission timer expired while data is outstanding (RFC 6298 §5, RFC 6675 §5.1).
    mutating func enterTimeoutRecovery(_ now: MonotonicInstant) {
        //= RFC 2018 §8: SACK information is dropped after a timeout if the peer may have taken it back: it holds
        // what the cumulative acknowledgement should then cover, or the timer expired a second time
        let headIsSacked = !sent.isEmpty && sent.records[0].marks.contains(.sacked)
        if headIsSacked { statistics.sackReneging &+= 1 }
        if headIsSacked || timers.consecutiveTimeouts > 1 { sent.forgetSacked() }
        if timers.consecutiveTimeouts == 1 {
            //= RFC 5681 §3.1 (and RFC 9438 §4.8): ssthresh is set at the first timeout of a segment only
            congestion.timedOut(inFlight: send.flight, now: now)
            recovery.firstRetransmission = nil
            recovery.mayUndo = recovery.phase == .open
            recovery.awaitsEcho = recovery.mayUndo
            recovery.undoFrom = send.unacknowledged
            recovery.sentAgain = 0
            recovery.reducedAt = now
        } else {
            recovery.mayUndo = false
        }
        recovery.phase = .timeout
        //= RFC 6582 §4, RFC 6675 §5.1: after a timeout no new recovery before all that was sent is acknowledged
        recovery.point = send.next
        recovery.duplicates = 0
        recovery.departed = 0
        recovery.retransmitFirst = true
        recovery.probe = TailProbe()
        timers.lossProbe = .distantFuture
        timers.reordering = .distantFuture
        // From here on it is the window that limits, whatever the application did before.
        send.windowLimitedUntil = send.next
        sent.judgedEdge = send.unacknowledged
        if handshake.sackPermitted, timers.consecutiveTimeouts == 1, let roundTrip = sent.rack.roundTrip {
            sent.markLost(sentBefore: now - roundTrip)
        } else {
            sent.markAllLost()
        }
        sent.rack.originalsBelow = recovery.mayUndo ? send.next : 0
        reportLosses(now)
        updatePacing()
    }

    /// What is to be sent again now, if anything (RFC 6675 NextSeg, RFC 6298 §5.4).
    func nextRetransmission(_ now: MonotonicInstant) -> RetransmissionRange? {
        if sent.pendingLost == 0 { return recovery.probe.isDue ? probeRange() : nil }
        if sent.isEmpty { return nil }
        let segment = dataPayloadLimit
        let paced = pacer.room(rate: pacingRate, segment: segment, now: now)
        if paced <= 0, !recovery.retransmitFirst { return nil }
        let room = min(sendWindow &- inFlight, max(paced, segment))
        let record = sent.records[sent.index(of: sent.firstPendingLost)]
        if room < segment {
            // The first segment of a recovery goes out in any case; so does the head while nothing is in flight.
            guard recovery.retransmitFirst || inFlight == 0 else { return nil }
            return record.range(from: record.start, limit: segment)
        }
        return record.range(from: record.start, limit: burst(room, segment))
    }

    /// Whole segments of `room`, within one burst.
    private func burst(_ room: Int, _ segment: Int) -> Int {
        let bytes = min(room, configuration.maximumBurst)
        return max(segment, bytes &- bytes % segment)
    }
}
