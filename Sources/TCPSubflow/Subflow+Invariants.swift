import DequeModule
import TransportPolicies
import TransportValues

extension Subflow {
    /// The largest right edge ever advertised; for tests.
    package var receiveEdge: Int64 { receiving.edge }
    /// The largest right edge that the connection asked for; for tests.
    package var askedReceiveEdge: Int64 { receiving.askedEdge }

    /// What must hold after every call; nil, or what does not. For tests: it walks the whole queue.
    package func brokenInvariant() -> String? {
        if let fault = brokenQueue() { return fault }
        if inFlight < 0 { return "inFlight \(inFlight)" }
        if congestionWindow < 1 { return "congestion window \(congestionWindow)" }
        if send.unacknowledged > send.next { return "SND.UNA beyond SND.NXT" }
        if receiving.next > receiving.edge { return "RCV.NXT \(receiving.next) beyond edge \(receiving.edge)" }
        let ranges = receiving.ranges.ranges
        if ranges.count > ReceiveState.maximumRanges { return "\(ranges.count) ranges" }
        if let first = ranges.first, first.lowerBound <= receiving.next { return "range at RCV.NXT" }
        if let last = ranges.last, last.upperBound > receiving.edge { return "range beyond edge" }
        if phase == .closed, nextDeadline != .distantFuture { return "a timer runs in CLOSED" }
        return nil
    }

    private func brokenQueue() -> String? {
        var pipe = 0
        var pending = 0
        var firstPending: Int64?
        var position = sent.records.isEmpty ? send.next : max(send.unacknowledged, 1)
        for index in 0..<sent.records.count {
            let record = sent.records[index]
            if record.start != position { return "record \(index) at \(record.start), expected \(position)" }
            if record.span <= 0 { return "empty record" }
            pipe += record.pipe
            if record.needsRetransmission {
                pending += Int(record.span)
                firstPending = firstPending ?? record.start
            }
            position = record.end
        }
        if position != send.next { return "queue ends at \(position), not at \(send.next)" }
        if pipe != sent.pipe { return "pipe \(sent.pipe), counted \(pipe)" }
        if pending != sent.pendingLost { return "pending \(sent.pendingLost), counted \(pending)" }
        if let firstPending, firstPending != sent.firstPendingLost {
            return "first pending \(sent.firstPendingLost), found \(firstPending)"
        }
        if sent.records.count > configuration.maximumSentRecords + 2 { return "\(sent.records.count) records" }
        if sent.sacked.ranges.count > SentSegments.maximumRanges { return "scoreboard overflows" }
        if let first = sent.sacked.first, first.lowerBound < send.unacknowledged { return "old scoreboard" }
        if !sent.records.isEmpty, timers.retransmission == .distantFuture, phase != .closed, phase != .timeWait {
            return "data outstanding without a timer"
        }
        return nil
    }
}
