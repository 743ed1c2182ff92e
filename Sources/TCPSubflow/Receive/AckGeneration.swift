import TransportValues
import WireFormats

/// When an acknowledgement is due.
struct AcknowledgementState: BitwiseCopyable {
    var isImmediate = false
    /// A delayed acknowledgement goes out then.
    var delayed = MonotonicInstant.distantFuture
    /// Payload bytes that arrived since the last acknowledgement.
    var pendingBytes = 0
    /// The largest payload of one segment so far, not above what we announced: a full-sized segment.
    var segmentEstimate = 0
    /// Acknowledgements that are not delayed, so that the peer's slow start is not throttled.
    var quick = 16
    /// RFC 5961 §7: at most 10 challenge ACKs in 5 s; here for each subflow.
    var challenges = AcknowledgementRateLimit(count: 10, period: .seconds(5 as Int64))
    /// Answers to empty segments outside the window, which two confused ends could exchange for ever.
    var unacceptable = AcknowledgementRateLimit(count: 10, period: .seconds(1 as Int64))

    mutating func clear() {
        isImmediate = false
        delayed = .distantFuture
        pendingBytes = 0
    }

    func isDue(_ now: MonotonicInstant) -> Bool { isImmediate || delayed <= now }
}

extension Subflow {
    /// The connection consumed data and its window grew, or it wants a signal carried: an acknowledgement is due now.
    public mutating func requestAcknowledgement() {
        guard phase.isSynchronized else { return }
        acknowledging.isImmediate = true
    }

    /// Payload inside the window arrived; `start` is where the segment's payload began.
    mutating func noteArrival(_ range: Range<Int64>, from start: Int64, _ now: MonotonicInstant) {
        let count = Int(range.upperBound &- range.lowerBound)
        if start < receiving.next { reportDuplicate(start..<receiving.next) }
        if range.lowerBound > receiving.next {
            statistics.outOfOrder &+= 1
            //= RFC 5681 §4.2: an immediate duplicate ACK SHOULD be sent when an out-of-order segment arrives
            acknowledging.isImmediate = true
        }
        if !receiving.ranges.isEmpty {
            acknowledging.isImmediate = true
            if receiving.ranges.contains(range) {
                statistics.duplicateSegments &+= 1
                reportDuplicate(range)
            }
        }
        let announced = configuration.maximumSegmentSize
        if count > acknowledging.segmentEstimate { acknowledging.segmentEstimate = min(count, announced) }
        acknowledging.pendingBytes &+= count
        //= RFC 9293 §3.8.6.3 MUST-58-61: an ACK SHOULD be generated for at least every second full-sized segment, and
        // MUST NOT be delayed by 500 ms or more
        if acknowledging.quick > 0 || acknowledging.pendingBytes >= 2 &* acknowledging.segmentEstimate {
            acknowledging.isImmediate = true
        } else if acknowledging.delayed == .distantFuture {
            acknowledging.delayed = now + configuration.delayedAcknowledgement
        }
    }

    /// A D-SACK block becomes due (RFC 2883 §4), if the peer takes SACK.
    mutating func reportDuplicate(_ range: Range<Int64>) {
        guard handshake.sackPermitted, !range.isEmpty else { return }
        receiving.duplicate = range
        acknowledging.isImmediate = true
    }

    /// A challenge ACK (RFC 5961), within its rate.
    mutating func challenge(_ now: MonotonicInstant) {
        guard acknowledging.challenges.allow(now: now) else {
            statistics.acknowledgementsSuppressed &+= 1
            return
        }
        statistics.challengeAcknowledgements &+= 1
        acknowledging.isImmediate = true
    }

    /// The acknowledgement that an unacceptable segment gets; without payload only so many a second.
    mutating func acknowledgeUnacceptable(hasPayload: Bool, _ now: MonotonicInstant) {
        guard hasPayload || acknowledging.unacceptable.allow(now: now) else {
            statistics.acknowledgementsSuppressed &+= 1
            return
        }
        acknowledging.isImmediate = true
    }

    /// The SACK blocks to report now: a duplicate first (RFC 2883 §4), then the most recently changed (RFC 2018 §4).
    func blocksToReport() -> SACKBlocks {
        var blocks = SACKBlocks()
        if let duplicate = receiving.duplicate { blocks.append(block(duplicate)) }
        if receiving.ranges.isEmpty { return blocks }
        for index in 0..<4 {
            let offset = receiving.recent[index]
            guard offset >= 0, let range = receiving.ranges.range(containing: offset) else { continue }
            let candidate = block(range)
            var isKnown = false
            // The duplicate's block may equal a stored range and is then repeated (RFC 2883 §4).
            for other in (receiving.duplicate == nil ? 0 : 1)..<max(blocks.count, 1) where other < blocks.count {
                if blocks[other] == candidate { isKnown = true }
            }
            if !isKnown { blocks.append(candidate) }
        }
        return blocks
    }

    private func block(_ range: Range<Int64>) -> SACKBlock {
        SACKBlock(
            left: receiving.initial.advanced(by: range.lowerBound),
            right: receiving.initial.advanced(by: range.upperBound))
    }

    /// A segment with an acknowledgement went out.
    /// - Parameter isComplete: it carried the SACK blocks that were due; otherwise a bare acknowledgement must follow.
    mutating func noteAcknowledged(isComplete: Bool) {
        timestamps.lastAcknowledgementSent = receiving.next
        guard isComplete else { return }
        acknowledging.clear()
        receiving.duplicate = nil
        if acknowledging.quick > 0 { acknowledging.quick &-= 1 }
    }
}
