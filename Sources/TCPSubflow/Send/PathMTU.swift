import DequeModule
import TransportPolicies
public import TransportValues

extension Subflow {
    /// The path does not carry our packets: an ICMP "too big" for one of ours (RFC 1191 §6.4, RFC 8201 §5.4).
    /// - Parameters:
    ///   - mtuPayload: the reported MTU less the fixed IP and TCP headers.
    ///   - embeddedSequence: of the TCP header that the message quotes.
    /// - Returns: whether the message was believed; then segments are smaller, and what was sent in larger ones and is
    ///   not acknowledged goes out again without a reduction of the congestion window.
    public mutating func pathMTUChanged(
        _ mtuPayload: Int, embeddedSequence: SequenceNumber, now: MonotonicInstant
    ) -> Bool {
        let offset = embeddedSequence.offset(from: send.initial, near: send.unacknowledged)
        //= RFC 5927 §4.1: SND.UNA =< SEG.SEQ < SND.NXT, or the message is discarded
        guard phase.isSynchronized, offset >= send.unacknowledged, offset < send.next, mtuPayload < send.segmentLimit
        else {
            statistics.pathMTUIgnored &+= 1
            return false
        }
        let limit = max(mtuPayload, Self.minimumPathPayload)
        guard limit < send.segmentLimit else {
            statistics.pathMTUIgnored &+= 1
            return false
        }
        limitSegments(limit)
        return true
    }

    /// Retransmissions of long segments that nobody answers may be too long for the path, and what says so may be lost
    /// (RFC 2923 §2.1): after two time-outs they get shorter, as RFC 4821 §7.7 asks, and the full size is tried again
    /// later, since the path may only have been away.
    mutating func suspectBlackHole(_ now: MonotonicInstant) {
        guard timers.consecutiveTimeouts >= 2, !sent.isEmpty, Int(sent.records[0].length) > Self.probedPayload,
            Self.probedPayload + 60 < send.segmentLimit
        else { return }
        send.limitBefore = send.segmentLimit
        send.limitUntil = now + .seconds(60) * Int64(1 << min(send.suspicions, 4))
        send.suspicions += 1
        limitSegments(Self.probedPayload + 60)
    }

    /// Goes back to the size before a suspicion when its time is over.
    mutating func retryLongSegments(_ now: MonotonicInstant) {
        send.limitUntil = .distantFuture
        send.segmentLimit = max(send.segmentLimit, send.limitBefore)
        congestion.maximumSegmentSizeChanged(segmentPayloadLimit(multipathOptionBytes: 0))
    }

    /// RFC 4821 §7.2: a size that passes almost everywhere.
    private static let probedPayload = 1024

    private mutating func limitSegments(_ limit: Int) {
        statistics.pathMTUReductions &+= 1
        send.segmentLimit = limit
        congestion.maximumSegmentSizeChanged(segmentPayloadLimit(multipathOptionBytes: 0))
        let payload = dataPayloadLimit
        for index in 0..<sent.records.count where Int(sent.records[index].length) > payload {
            sent.markLost(index)
        }
        // No congestion: the controller is not told.
        sent.losses = LossLog()
    }

    /// No reported path is believed to carry less than this beside its headers (Linux's least path MTU of 552).
    static let minimumPathPayload = 512
}
