import DequeModule
import TransportPolicies
import TransportValues

/// The tail loss probe's variables (RFC 8985 §7).
struct TailProbe: BitwiseCopyable {
    /// TLP.end_seq while a probe is unanswered.
    var end: Int64?
    /// TLP.is_retrans.
    var isRetransmission = false
    /// The last segment is to be sent again.
    var isDue = false
    /// Bytes of new data that may go out beyond the congestion window, as the probe.
    var allowance = 0
}

extension Subflow {
    /// Sets or stops the probe timer after new data was sent or acknowledged.
    mutating func scheduleLossProbe(_ now: MonotonicInstant) {
        timers.lossProbe = .distantFuture
        //= RFC 8985 §7.2: with SACK, no selectively acknowledged data, not in loss recovery
        guard handshake.sackPermitted, recovery.phase == .open, !sent.isEmpty, sent.sackedBytes == 0,
            sent.pendingLost == 0, recovery.probe.end == nil, roundTrip.hasSample
        else { return }
        var timeout = roundTrip.smoothed * 2
        //= RFC 8985 §7.2: with one segment in flight the peer's delayed acknowledgement is waited for
        if send.flight <= maximumSegmentSize { timeout = timeout + Self.longestDelayedAcknowledgement }
        let due = now + max(timeout, .milliseconds(2))
        // Not beside a retransmission timer that comes first anyway.
        if due < timers.retransmission { timers.lossProbe = due }
    }

    /// TLP.max_ack_delay, that of deployed receivers.
    static let longestDelayedAcknowledgement = TimeSpan.milliseconds(200)

    /// The probe timer expired (TLP_send_probe(), RFC 8985 §7.3).
    mutating func lossProbeTimedOut(_ now: MonotonicInstant) {
        timers.lossProbe = .distantFuture
        guard recovery.phase == .open, !sent.isEmpty, recovery.probe.end == nil else { return }
        let segment = dataPayloadLimit
        if send.dataWaiting == .behindOwnWindow, canSendData, send.peerWindowEdge &- send.next >= Int64(segment) {
            recovery.probe.allowance = segment
        } else {
            recovery.probe.isDue = true
        }
        //= RFC 8985 §7.3: after the probe the RTO timer MUST be re-armed, not the probe's
        startRetransmissionTimer(now)
    }

    /// What the probe sends: the last segment once more.
    func probeRange() -> RetransmissionRange? {
        guard recovery.probe.isDue, !sent.isEmpty else { return nil }
        let last = sent.records[sent.records.count &- 1]
        if last.marks.contains(.sacked) { return nil }
        let segment = dataPayloadLimit
        return last.range(from: max(last.start, last.start &+ Int64(last.length) &- Int64(segment)), limit: segment)
    }

    mutating func noteProbe(isRetransmission: Bool) {
        recovery.probe = TailProbe()
        recovery.probe.end = send.next
        recovery.probe.isRetransmission = isRetransmission
        statistics.lossProbes &+= 1
    }

    /// TLP_process_ack() of RFC 8985 §7.4.2.
    /// - Parameter duplicate: what a D-SACK of this acknowledgement reported.
    mutating func answerProbe(
        _ acknowledgment: Int64, duplicate: Range<Int64>?, hasBlocks: Bool, advanced: Bool, _ now: MonotonicInstant
    ) {
        guard let end = recovery.probe.end, acknowledgment >= end else { return }
        if !recovery.probe.isRetransmission {
            recovery.probe = TailProbe()
        } else if let duplicate, duplicate.upperBound == end {
            // Original and probe both arrived.
            recovery.probe = TailProbe()
        } else if acknowledgment > end {
            // The probe repaired a loss, which is congestion like any other.
            recovery.probe = TailProbe()
            statistics.lossProbeRepairs &+= 1
            guard recovery.phase == .open else { return }
            congestion.lost(inFlight: send.flight, now: now)
            congestion.recovered(now: now)
            recovery.reducedAt = now
        } else if !advanced, !hasBlocks {
            recovery.probe = TailProbe()
        }
    }
}
