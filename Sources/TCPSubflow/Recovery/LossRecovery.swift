import DequeModule
import TransportPolicies
import TransportValues

/// Where loss recovery stands (RFC 6675, RFC 6582).
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
    /// What may be in flight during fast recovery (RFC 6937).
    var window = 0
    /// FlightSize when fast recovery began (RecoverFS), and bytes delivered and sent since.
    var entryFlight = 0
    var delivered = 0
    var sentOut = 0
    /// The last segment was sent again in this recovery (NextSeg rule 4).
    var rescued = false
    /// Our timestamp clock when the first retransmission of this recovery went out, to tell a spurious one.
    var firstRetransmission: UInt32?
    /// The congestion window may still be given back.
    var mayUndo = false
}

extension Subflow {
    /// DupThresh of RFC 6675.
    static let duplicateThreshold = 3

    /// Loss detection and recovery after an acknowledgement was taken in.
    /// - Parameters:
    ///   - advanced: SND.UNA moved.
    ///   - acknowledged: sequence numbers taken off by the cumulative acknowledgement.
    ///   - delivered: those that were not counted before, and newly selectively acknowledged ones.
    mutating func updateRecovery(
        advanced: Bool, acknowledged: Int, delivered: Int, isDuplicate: Bool, _ now: MonotonicInstant,
        _ outcome: inout SegmentOutcome
    ) {
        let segment = segmentPayloadLimit(multipathOptionBytes: 0)
        if advanced { recoveryAdvanced(acknowledged, segment, now) }
        var departing = 0
        if isDuplicate {
            recovery.duplicates &+= 1
            if !handshake.sackPermitted, recovery.phase != .timeout {
                //= RFC 5681 §3.2: a receiver may make up duplicates: those that count SHOULD be no more than the segments
                // that were outstanding
                let limit = recovery.phase == .fast ? min(sent.pipe, recovery.entryFlight) : sent.pipe
                let departed = min(recovery.departed &+ segment, max(0, limit))
                departing = max(0, departed &- recovery.departed)
                recovery.departed = departed
            }
        }
        if sent.isEmpty { return }
        let edge = handshake.sackPermitted ? sent.lossEdge(segmentSize: segment) : 0
        if recovery.phase == .open {
            //= RFC 6675 §5 steps (1) and (2): DupAcks >= DupThresh, or IsLost(HighACK + 1)
            guard recovery.duplicates >= Self.duplicateThreshold || edge > send.unacknowledged else { return }
            enterFastRecovery(edge: edge, segment, now)
            outcome.enteredRecovery = true
        } else {
            sent.judgeLost(below: edge)
            repairRetransmissions(now)
        }
        if recovery.phase == .fast {
            reduceProportionally(handshake.sackPermitted || advanced ? delivered : departing, segment)
        }
    }

    private mutating func recoveryAdvanced(_ acknowledged: Int, _ segment: Int, _ now: MonotonicInstant) {
        recovery.duplicates = 0
        if recovery.phase == .open || send.unacknowledged >= recovery.point {
            if recovery.phase == .fast { congestion.recovered(now: now) }
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

    /// Notices retransmissions that were lost in their turn: what was sent well after them has arrived. RFC 6675 leaves
    /// them to the timer, and then a queue that overflowed in slow start costs a timeout nearly every time; sending
    /// times tell more (RFC 8985 §3.2 uses them for everything).
    private mutating func repairRetransmissions(_ now: MonotonicInstant) {
        guard handshake.sackPermitted else { return }
        let margin = max(roundTrip.minimum / 4, .milliseconds(1))
        guard sent.isHeadLostAgain(margin: margin) else { return }
        statistics.retransmissionsLost &+= 1
        sent.markRetransmissionsLost(before: sent.latestDelivered - margin)
        //= RFC 5681 §4.3: the loss of a retransmission is a second indication of congestion: lowered twice
        congestion.lost(inFlight: min(send.flight, congestionWindow), now: now)
        recovery.mayUndo = false
        recovery.entryFlight = max(1, send.flight)
        recovery.delivered = 0
        recovery.sentOut = 0
        recovery.retransmitFirst = true
    }

    /// Proportional rate reduction (RFC 6937 §3.1): sending follows delivery, so that a recovery neither stops for half
    /// a round trip nor bursts into the queue that has just overflowed. RFC 9438 §4.6 names it.
    private mutating func reduceProportionally(_ delivered: Int, _ segment: Int) {
        recovery.delivered &+= delivered
        let pipe = inFlight
        let target = congestionWindow
        var allowance: Int
        if pipe > target {
            let share = min(recovery.delivered, 1 << 32) &* target / max(1, recovery.entryFlight)
            allowance = share &- recovery.sentOut
        } else {
            // PRR-SSRB: back up to the target as fast as slow start would.
            let limit = max(recovery.delivered &- recovery.sentOut, delivered) &+ segment
            allowance = min(target &- pipe, limit)
        }
        recovery.window = pipe &+ max(0, allowance)
    }

    /// The bytes that may be in flight now.
    var sendWindow: Int { recovery.phase == .fast ? recovery.window : congestionWindow }

    private mutating func enterFastRecovery(edge: Int64, _ segment: Int, _ now: MonotonicInstant) {
        statistics.fastRecoveries &+= 1
        recovery.phase = .fast
        recovery.point = send.next
        recovery.rescued = false
        recovery.firstRetransmission = nil
        recovery.mayUndo = true
        send.starved = false
        send.hadRoom = false
        recovery.entryFlight = max(1, send.flight)
        recovery.delivered = 0
        recovery.sentOut = 0
        sent.highestRetransmitted = send.unacknowledged
        //= RFC 6675 §5 step 4.2: ssthresh = cwnd = (FlightSize / 2), or what the algorithm has in its place
        congestion.lost(inFlight: send.flight, now: now)
        sent.judgeLost(below: edge)
        if sent.pendingLost == 0 || sent.firstPendingLost != send.unacknowledged {
            sent.markHeadLost(limit: dataPayloadLimit)
        }
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
        } else {
            recovery.mayUndo = false
        }
        recovery.phase = .timeout
        //= RFC 6582 §4, RFC 6675 §5.1: after a timeout no new recovery before all that was sent is acknowledged
        recovery.point = send.next
        recovery.duplicates = 0
        recovery.departed = 0
        recovery.rescued = false
        recovery.retransmitFirst = true
        // From here on it is the window that limits, whatever the application did before.
        send.windowLimitedUntil = send.next
        sent.highestRetransmitted = send.unacknowledged
        sent.judgedEdge = send.unacknowledged
        sent.markAllLost()
    }

    /// An acknowledgement that advanced echoes a timestamp from before the first retransmission: what it acknowledges
    /// is the original, and the recovery was spurious (Eifel detection, RFC 3522 §3.2; response RFC 4015).
    mutating func undoIfSpurious(echo: UInt32, _ now: MonotonicInstant) {
        guard recovery.mayUndo, let first = recovery.firstRetransmission else { return }
        recovery.mayUndo = false
        guard Int32(bitPattern: echo &- first) < 0 else { return }
        statistics.spuriousRecoveries &+= 1
        congestion.spurious(now: now)
        sent.forgetLosses()
        recovery.retransmitFirst = false
        recovery.phase = .open
    }

    /// What is to be sent again now, if anything (RFC 6675 NextSeg, RFC 6298 §5.4). `limit`: payload bytes at most.
    func nextRetransmission(_ now: MonotonicInstant) -> RetransmissionRange? {
        if sent.isEmpty || (sent.pendingLost == 0 && recovery.phase != .fast) { return nil }
        let segment = dataPayloadLimit
        let room = sendWindow &- inFlight
        if sent.pendingLost > 0 {
            let record = sent.records[sent.index(of: sent.firstPendingLost)]
            if room < segment {
                // The first segment of a recovery goes out in any case; so does the head while nothing is in flight.
                guard recovery.retransmitFirst || inFlight == 0 else { return nil }
                return record.range(from: record.start, limit: segment)
            }
            return record.range(from: record.start, limit: burst(room, segment))
        }
        // Rules 3 and 4 only when there is no new data to send instead.
        guard room >= segment, send.starved || send.finOffset != nil || send.peerWindowEdge <= send.next else {
            return nil
        }
        if let index = sent.unsackedHole() {
            let record = sent.records[index]
            return record.range(from: record.start, limit: burst(room, segment))
        }
        return rescue(segment)
    }

    /// Whole segments of `room`, within one burst.
    private func burst(_ room: Int, _ segment: Int) -> Int {
        let bytes = min(room, configuration.maximumBurst)
        return max(segment, bytes &- bytes % segment)
    }

    /// NextSeg() rule 4: once a recovery the last segment, if it is not acknowledged.
    private func rescue(_ segment: Int) -> RetransmissionRange? {
        guard handshake.sackPermitted, !recovery.rescued, send.unacknowledged < recovery.point else { return nil }
        let last = sent.records[sent.records.count &- 1]
        guard last.marks.isDisjoint(with: [.sacked, .lost, .retransmitted]) else { return nil }
        let start = max(last.start, last.start &+ Int64(last.length) &- Int64(segment))
        return last.range(from: start, limit: segment)
    }
}
