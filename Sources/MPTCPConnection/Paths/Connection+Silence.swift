import BasicContainers
import TCPSubflow
import TransportPolicies
import TransportValues

/// A path that is lost shows itself by silence while its siblings are heard, long before its retransmission timer expires.
///
/// An acknowledgement is overdue when one round trip has passed since the oldest unacknowledged segment was sent (as in
/// RFC 8985's probe timer, which counts from sending, not from the last acknowledgement). A subflow that is overdue and
/// has been silent for a margin, while another one was heard, is given no more data and what it has is sent elsewhere.
/// It is used again with the first segment that comes on it.
extension Connection {
    /// Below this, scheduling and delayed acknowledgements look like silence.
    private static let shortestMargin = TimeSpan.milliseconds(30)
    //= RFC 8985 §7.2: a lone segment may wait for the longest delayed acknowledgement
    private static let longestDelay = TimeSpan.milliseconds(200)

    private func silenceMargin(_ index: Int) -> TimeSpan {
        let roundTrip = contexts[index].tcp.roundTrip
        let margin = max(Self.shortestMargin, roundTrip.smoothed / 4, roundTrip.variance)
        let isLone = contexts[index].tcp.inFlight <= contexts[index].tcp.maximumSegmentSize
        return margin * Int64(1 << contexts[index].falseAlarms) + (isLone ? Self.longestDelay : .zero)
    }

    /// When this subflow's silence begins to mean something; nil: it has nothing outstanding, or is known to be silent.
    private func silenceDeadline(_ index: Int) -> MonotonicInstant? {
        guard contexts[index].isReady, !contexts[index].isSuspect, !contexts[index].isStalled,
            contexts[index].tcp.roundTrip.hasSample, let sentAt = contexts[index].tcp.oldestUnacknowledgedSentAt
        else { return nil }
        return max(sentAt + contexts[index].tcp.roundTrip.smoothed, contexts[index].tcp.lastReceived)
            + silenceMargin(index)
    }

    /// Data went out on a subflow.
    mutating func watchSilence(_ index: Int) {
        guard silenceTimer == .distantFuture, contexts.count > 1, let deadline = silenceDeadline(index) else { return }
        silenceTimer = deadline
    }

    mutating func silenceTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        silenceTimer = .distantFuture
        guard isFullyMultipath, phase == .open else { return }
        for index in contexts.indices {
            guard var deadline = silenceDeadline(index) else { continue }
            if deadline <= now {
                if isHeardElsewhere(than: index) {
                    suspect(index, counters: &counters)
                    continue
                }
                askSibling(of: index)
                deadline = now + silenceMargin(index)
            }
            silenceTimer = min(silenceTimer, deadline)
        }
    }

    /// A sibling was heard when this subflow was silent already.
    private func isHeardElsewhere(than index: Int) -> Bool {
        let since = contexts[index].tcp.lastReceived + silenceMargin(index) / 2
        for other in contexts.indices where other != index && contexts[other].isUsable {
            if contexts[other].tcp.lastReceived > since { return true }
        }
        return false
    }

    /// Siblings without traffic say nothing: the first overdue segment goes there too, and its acknowledgement tells.
    private mutating func askSibling(of index: Int) {
        guard !contexts[index].hasAsked, hasOtherUsable(than: index) else { return }
        for other in contexts.indices where other != index && contexts[other].isUsable {
            if contexts[other].tcp.hasUnacknowledgedData { return }
        }
        contexts[index].hasAsked = true
        var first: Range<Int64>?
        contexts[index].tcp.forEachUnacknowledged { offset, length in
            if first == nil { first = offset..<offset + Int64(length) }
        }
        guard let first else { return }
        let end = min(first.upperBound, first.lowerBound + Int64(contexts[index].tcp.maximumSegmentSize))
        _ = send.reinject(first.lowerBound..<end)
    }

    private mutating func suspect(_ index: Int, counters: inout StackCounters) {
        counters.count(.subflowSilent)
        contexts[index].isSuspect = true
        wantsPathCheck = true
        if hasOtherUsable(than: index) { reinjectUnacknowledged(index) }
    }

    /// A segment came: the path is not lost. Where no timer expired meanwhile, it was only slow, and gets more patience.
    mutating func noteHeard(_ index: Int) {
        contexts[index].hasAsked = false
        guard contexts[index].isSuspect else { return }
        contexts[index].isSuspect = false
        if !contexts[index].isStalled { contexts[index].falseAlarms = min(contexts[index].falseAlarms + 1, 3) }
    }
}
