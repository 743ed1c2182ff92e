import DequeModule
import TransportPolicies
import TransportValues

/// RACK's variables about deliveries (RFC 8985 §5.2, §5.3).
struct DeliveryRecord: BitwiseCopyable {
    /// RACK.xmit_ts and RACK.end_seq: sending time and end of the segment sent latest among those delivered.
    var sentAt = MonotonicInstant.zero
    var end: Int64 = 0
    /// RACK.rtt; nil before the first delivery.
    var roundTrip: TimeSpan?
    /// RACK.fack: the highest end among what was delivered.
    var forward: Int64 = 0
    /// RACK.reordering_seen.
    var sawReordering = false
    /// What was sent at or after this cannot be acknowledged yet: then it is an earlier transmission that arrived.
    var latestPlausible = MonotonicInstant.zero
    var now = MonotonicInstant.zero
    /// Something below ``originalsBelow`` that was sent once only was delivered by this acknowledgement.
    var sawOriginal = false
    var originalsBelow: Int64 = 0

    /// RACK_sent_after(RACK.xmit_ts, RACK.end_seq, sentAt, end).
    func isSentAfter(_ otherSentAt: MonotonicInstant, _ otherEnd: Int64) -> Bool {
        sentAt > otherSentAt || (sentAt == otherSentAt && end > otherEnd)
    }
}

/// What was found lost since the last report.
struct LossLog: BitwiseCopyable {
    var bytes = 0
    /// The record among it that was sent latest.
    private(set) var latest: SentRecord?

    mutating func add(_ record: SentRecord) {
        bytes &+= Int(record.span)
        if let latest, latest.sentAt > record.sentAt { return }
        latest = record
    }
}

/// One retransmission that is under way.
struct Retransmission: BitwiseCopyable {
    var start: Int64
    var end: Int64
    var sentAt: MonotonicInstant
}

extension SentSegments {
    /// An acknowledgement is about to be taken in.
    mutating func beginAcknowledgement(_ now: MonotonicInstant, minimumRoundTrip: TimeSpan) {
        rack.now = now
        rack.latestPlausible = now - minimumRoundTrip
        rack.sawOriginal = false
        collection = DeliveryRateEstimator.Collection()
    }

    /// RFC 8985 §6.2 steps 2 and 3 for a segment that is newly acknowledged, one way or the other.
    mutating func noteDelivered(_ record: SentRecord, through end: Int64, bytes: Int) {
        let wasSentAgain = record.marks.contains(.ambiguous)
        if end > rack.forward {
            rack.forward = end
        } else if end < rack.forward, !wasSentAgain {
            //= RFC 8985 §6.2 step 3: an original below the highest delivered sequence: the network reorders
            rack.sawReordering = true
        }
        if wasSentAgain {
            //= RFC 8985 §6.2 step 2: a retransmission acknowledged within less than a round trip is not what arrived
            if record.sentAt > rack.latestPlausible { return collection.add(bytes: bytes) }
        } else if record.start < rack.originalsBelow {
            rack.sawOriginal = true
        }
        collection.add(record.stamp, sentAt: record.sentAt, end: end, bytes: bytes)
        if record.sentAt > rack.sentAt || (record.sentAt == rack.sentAt && end > rack.end) {
            rack.sentAt = record.sentAt
            rack.end = end
            rack.roundTrip = max(rack.now - record.sentAt, .zero)
        }
    }

    /// What one look at the flight found.
    struct LossFindings: BitwiseCopyable {
        var foundLoss = false
        /// When the latest of the retransmissions that are lost was sent.
        var retransmissionLost: MonotonicInstant?
        /// When to look again.
        var deadline = MonotonicInstant.distantFuture
    }

    /// RACK_detect_loss() of RFC 8985 §6.2 step 5.
    ///
    /// Originals were sent in the order of the queue and retransmissions in the order of theirs, so both looks end at the
    /// first that was sent too late to be judged: an acknowledgement costs no walk over the flight.
    mutating func judgeLosses(reorderingWindow: TimeSpan, _ now: MonotonicInstant) -> LossFindings {
        var findings = LossFindings()
        guard !records.isEmpty, let roundTrip = rack.roundTrip else { return findings }
        let patience = roundTrip + reorderingWindow
        judgeOriginals(patience, now, &findings)
        judgeRetransmissions(patience, now, &findings)
        return findings
    }

    private mutating func judgeOriginals(_ patience: TimeSpan, _ now: MonotonicInstant, _ findings: inout LossFindings)
    {
        var index = index(of: max(judgedEdge, records[0].start))
        while index < records.count {
            let record = records[index]
            if record.marks.isDisjoint(with: [.sacked, .lost, .retransmitted]) {
                guard rack.isSentAfter(record.sentAt, record.end) else { return }
                let due = record.sentAt + patience
                guard due <= now else {
                    findings.deadline = min(findings.deadline, due)
                    return
                }
                markLost(index)
                findings.foundLoss = true
            }
            judgedEdge = record.end
            index &+= 1
        }
    }

    private mutating func judgeRetransmissions(
        _ patience: TimeSpan, _ now: MonotonicInstant, _ findings: inout LossFindings
    ) {
        while !retransmissions.isEmpty {
            let entry = retransmissions[0]
            let isAlive = entry.end > records[0].start && isUnderWay(entry)
            if isAlive {
                guard rack.isSentAfter(entry.sentAt, entry.end) else { return }
                let due = entry.sentAt + patience
                guard due <= now else {
                    findings.deadline = min(findings.deadline, due)
                    return
                }
                markLostAgain(entry)
                findings.foundLoss = true
                findings.retransmissionLost = entry.sentAt
            }
            retransmissions.removeFirst(1)
        }
    }

    /// Whether some of a retransmission is neither acknowledged nor sent once more nor known to be lost.
    private func isUnderWay(_ entry: Retransmission) -> Bool {
        var index = index(of: entry.start)
        while index < records.count, records[index].start < entry.end {
            if isOf(entry, records[index]) { return true }
            index &+= 1
        }
        return false
    }

    private func isOf(_ entry: Retransmission, _ record: SentRecord) -> Bool {
        record.marks.intersection([.sacked, .retransmitted]) == .retransmitted && record.sentAt == entry.sentAt
    }

    private mutating func markLostAgain(_ entry: Retransmission) {
        var index = index(of: entry.start)
        while index < records.count, records[index].start < entry.end {
            if isOf(entry, records[index]) {
                let hadPending = pendingLost > 0
                losses.add(records[index])
                update(index) {
                    $0.marks.insert(.lost)
                    $0.marks.remove(.retransmitted)
                }
                noteLost(records[index], hadPending: hadPending)
            }
            index &+= 1
        }
    }
}

/// How patient RACK is with reordering (RFC 8985 §6.2 step 4).
struct ReorderingTolerance: BitwiseCopyable {
    /// RACK.reo_wnd_mult, quarters of the least round trip.
    var multiplier: Int64 = 1
    /// RACK.reo_wnd_persist: recoveries until the window shrinks again.
    var persistence = 16
    /// RACK.dsack_round: no further widening before this is acknowledged.
    var roundEnd: Int64?

    /// A duplicate was reported: something was sent again needlessly. The window widens, once a round trip.
    mutating func duplicateReported(unacknowledged: Int64, next: Int64) {
        if let end = roundEnd, unacknowledged < end { return }
        roundEnd = next
        multiplier = min(multiplier &+ 1, 64)
        persistence = 16
    }

    /// A recovery ended without such a report.
    mutating func recoveryEnded() {
        persistence &-= 1
        if persistence <= 0 {
            multiplier = 1
            persistence = 16
        }
    }
}

extension Subflow {
    /// RACK.reo_wnd (RFC 8985 §6.2 step 4).
    private var reorderingWindow: TimeSpan {
        if !sent.rack.sawReordering {
            if recovery.phase != .open { return .zero }
            //= RFC 8985 §6.2 step 4: RACK.segs_sacked >= DupThresh without reordering so far: no patience. Counted as
            // RFC 6675 §4 IsLost() does, since one record may be many segments.
            if sent.sackedBytes > (Self.duplicateThreshold &- 1) &* maximumSegmentSize
                || sent.sacked.ranges.count >= Self.duplicateThreshold
            {
                return .zero
            }
        }
        //= RFC 8985 §6.2 step 4: RACK.reo_wnd = min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)
        return min(roundTrip.minimum * recovery.tolerance.multiplier / 4, roundTrip.smoothed)
    }

    /// Looks for losses; true: some were found. The reordering timer runs while some may turn out to be.
    mutating func detectLosses(_ now: MonotonicInstant) -> Bool {
        let findings = sent.judgeLosses(reorderingWindow: reorderingWindow, now)
        timers.reordering = findings.deadline
        reportLosses(now)
        if let sentAt = findings.retransmissionLost {
            statistics.retransmissionsLost &+= 1
            // Only what was sent after the last reduction tells of new congestion.
            if recovery.phase != .open, sentAt >= recovery.reducedAt { retransmissionLost(now) }
        }
        return findings.foundLoss
    }

    /// Tells the controller what was found lost since it was last told.
    mutating func reportLosses(_ now: MonotonicInstant) {
        guard let latest = sent.losses.latest else { return }
        rate.packetLost(sent.losses.bytes)
        sent.losses = LossLog()
        congestion.packetsLost(
            LossReport(
                size: Int(latest.span), inFlightWhenSent: Int(latest.stamp.inFlight),
                lostSince: Int(rate.lost &- latest.stamp.lost), isApplicationLimited: latest.stamp.isApplicationLimited,
                totalDelivered: rate.delivered, now: now))
    }

    /// The reordering timer expired (RFC 8985 §6.2 step 5).
    mutating func reorderingTimedOut(_ now: MonotonicInstant) {
        timers.reordering = .distantFuture
        guard !sent.isEmpty, detectLosses(now) else { return }
        if recovery.phase == .open { enterFastRecovery(acknowledged: 0, newlySacked: 0, now) }
    }
}
