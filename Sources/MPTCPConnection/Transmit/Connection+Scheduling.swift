import BasicContainers
import TCPSubflow
import TransportPolicies
import TransportValues

/// What goes out next, and on which subflow.
extension Connection {
    struct Work {
        var start: Int64
        var available: Int
        var isReinjection: Bool
        /// The subflow that is to carry it; nil: the scheduler says.
        var subflow: Int?
    }

    /// What is to be sent next: repairs first, then new data inside the peer's window.
    func nextWork(now: MonotonicInstant) -> Work? {
        guard phase == .open || phase == .draining || phase == .handshake else { return nil }
        if let range = send.reinjections.first {
            return Work(
                start: range.lowerBound, available: Int(range.upperBound - range.lowerBound), isReinjection: true)
        }
        if scheduler.isRedundant, let copy = nextCopy(now: now) { return copy }
        let limit = min(send.end, send.peerEdge)
        guard send.next < limit else { return nil }
        return Work(start: send.next, available: Int(limit - send.next), isReinjection: false)
    }

    /// Redundant scheduling: what another subflow has sent and this one has not, on the subflow that lags most behind.
    private func nextCopy(now: MonotonicInstant) -> Work? {
        var best: (index: Int, from: Int64)?
        for index in contexts.indices
        where contexts[index].isUsable && contexts[index].tcp.sendRoom(now: now) > 0 {
            let from = max(contexts[index].sentThrough, send.acknowledged)
            if from < send.next, best == nil || from < best!.from { best = (index, from) }
        }
        guard let best else { return nil }
        return Work(
            start: best.from, available: Int(send.next - best.from), isReinjection: true, subflow: best.index)
    }

    mutating func chooseSubflow(for work: Work, optionBytes: Int, now: MonotonicInstant) -> Int? {
        if let subflow = work.subflow { return subflow }
        snapshots.removeAll(keepingCapacity: true)
        for index in contexts.indices where contexts[index].isReady && contexts[index].tcp.canSendData {
            snapshots.append(snapshot(of: index, room: segmentLength(index, work, optionBytes: optionBytes, now: now)))
        }
        if snapshots.isEmpty { return nil }
        if snapshots.count == 1 { return snapshots[0].room > 0 ? snapshots[0].index : nil }
        let task = SchedulingWork(
            backlog: applicationHasMore ? .max : Int(send.end - send.next),
            window: Int(max(0, send.peerEdge - send.next)), isReinjection: work.isReinjection)
        var policy = scheduler
        let choice = policy.choose(snapshots.span, for: task)
        scheduler = policy
        // A policy of the program's own may name what was not offered.
        guard let choice, snapshots.contains(where: { $0.index == choice && $0.room > 0 }) else { return nil }
        return choice
    }

    private borrowing func snapshot(of index: Int, room: Int) -> PathSnapshot {
        let roundTrip = contexts[index].tcp.roundTrip
        // What a path that is idle once had in its queue says nothing any more: it would never be tried again.
        let isIdle = contexts[index].tcp.inFlight == 0 && roundTrip.minimum > .zero
        var path = PathSnapshot(
            index: index, smoothedRoundTrip: isIdle ? roundTrip.minimum : roundTrip.smoothed,
            congestionWindow: contexts[index].tcp.congestionWindow, inFlight: contexts[index].tcp.inFlight,
            room: room, maximumSegmentSize: contexts[index].tcp.maximumSegmentSize,
            isBackup: contexts[index].peerWantsBackup || contexts[index].setup.isBackup,
            isStalled: contexts[index].isStalled || contexts[index].isSuspect || contexts[index].hasAsked)
        path.roundTripVariation = contexts[index].tcp.roundTrip.variance
        path.bytesSent = contexts[index].freshBytesSent
        path.weight = contexts[index].setup.weight
        return path
    }

    /// Bytes for one segment on this subflow now; 0 when it should wait (windows, Nagle, silly windows).
    borrowing func segmentLength(_ index: Int, _ work: Work, optionBytes: Int, now: MonotonicInstant) -> Int {
        let room = contexts[index].tcp.sendRoom(now: now)
        if room <= 0 { return 0 }
        let segment = contexts[index].tcp.segmentPayloadLimit(multipathOptionBytes: optionBytes)
        // The burst leaves room for the most options; beside fewer, a whole segment is longer and still fits the MTU.
        let length = min(work.available, room, max(contexts[index].maximumBurst, segment), 65_535)
        if length >= segment { return wholeSegments(length, segment, work) }
        let isTail = work.isReinjection || work.start + Int64(length) == send.end
        if isTail, length == work.available {
            //= RFC 9293 §3.7.4 Nagle: a small segment waits while data is unacknowledged
            if configuration.nagle, send.finish == .open, !work.isReinjection, send.next > send.acknowledged {
                return 0
            }
            return length
        }
        //= RFC 9293 §3.8.6.2.1 sender's silly-window avoidance: a part of a segment waits unless it is half the window,
        // or nothing is on its way that would open the window further: on any subflow where the shared window limits,
        // or on this one
        let isAlone = length == work.available ? send.next == send.acknowledged : contexts[index].tcp.inFlight == 0
        return isAlone || length >= send.largestWindow / 2 ? length : 0
    }

    /// A whole number of segments, but for a tail that empties the buffer and may go now.
    private borrowing func wholeSegments(_ length: Int, _ segment: Int, _ work: Work) -> Int {
        let drains = length == work.available && work.start + Int64(length) == send.end
        if drains, !configuration.nagle || send.finish != .open { return length }
        return length / segment * segment
    }
}
