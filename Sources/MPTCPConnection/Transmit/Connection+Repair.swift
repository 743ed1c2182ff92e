import BasicContainers
import TCPSubflow
import TransportPolicies
import TransportValues

/// Data is repeated on another subflow where it would arrive sooner: before the peer, or its application, waits for it.
extension Connection {
    /// The tail of what slow subflows carry, once there is nothing else to send or the peer's window is used up. Each piece
    /// is repeated once as slow here, and once as overdue by ``nextOverdue(now:)``.
    mutating func nextRepair(now: MonotonicInstant) -> Work? {
        guard repairs, send.acknowledged < send.next, let fast = idleSubflow(now: now) else { return nil }
        var oldest: (piece: OutstandingPiece, subflow: Int)?
        for slow in contexts.indices where slow != fast && contexts[slow].isReady {
            guard let piece = slowPiece(on: slow, beside: fast, now: now) else { continue }
            if let oldest, oldest.piece.dataOffset <= piece.dataOffset { continue }
            oldest = (piece, slow)
        }
        guard let (piece, slow) = oldest else { return nil }
        contexts[slow].repairedThrough = max(contexts[slow].repairedThrough, piece.end)
        return work(repeating: piece, on: fast)
    }

    /// Overdue data of the subflow that holds up the stream; before anything else.
    mutating func nextOverdue(now: MonotonicInstant) -> Work? {
        guard let slow = lateSubflow else { return nil }
        guard repairs, contexts[slow].isReady, let fast = idleSubflow(now: now, except: slow) else {
            if !repairs || !contexts[slow].isReady { lateSubflow = nil }
            return nil
        }
        while let piece = contexts[slow].tcp.firstOutstanding(from: contexts[slow].overdueThrough) {
            if due(piece, on: slow) > now { break }
            contexts[slow].overdueThrough = piece.end
            contexts[slow].repairedThrough = max(contexts[slow].repairedThrough, piece.end)
            if let work = work(repeating: piece, on: fast) { return work }
        }
        lateSubflow = nil
        return nil
    }

    private var repairs: Bool {
        configuration.repairsHeadOfLine && contexts.count > 1 && state.isMultipath && !sendReverted
            && (phase == .open || phase == .draining)
    }

    private borrowing func work(repeating piece: OutstandingPiece, on fast: Int) -> Work? {
        let start = max(piece.dataOffset, send.acknowledged)
        let end = min(piece.dataOffset + Int64(piece.length), send.next)
        guard start < end, start >= send.ring.start else { return nil }
        return Work(start: start, available: Int(end - start), isReinjection: true, subflow: fast)
    }

    /// The subflow with the lowest round trip that could send now.
    private borrowing func idleSubflow(now: MonotonicInstant, except slow: Int = -1) -> Int? {
        var best: Int?
        for index in contexts.indices
        where index != slow && contexts[index].isUsable
            && contexts[index].tcp.sendRoom(now: now) > 0
        {
            if contexts[index].peerWantsBackup || contexts[index].setup.isBackup { continue }
            if let other = best,
                contexts[other].tcp.roundTrip.smoothed <= contexts[index].tcp.roundTrip.smoothed
            {
                continue
            }
            best = index
        }
        return best
    }

    /// The first piece on `slow` that would arrive sooner on `fast`.
    private mutating func slowPiece(on slow: Int, beside fast: Int, now: MonotonicInstant) -> OutstandingPiece? {
        let usual = contexts[slow].tcp.roundTrip.smoothed
        let faster = contexts[fast].tcp.roundTrip.smoothed
        for _ in 0..<16 {
            guard let piece = contexts[slow].tcp.firstOutstanding(from: contexts[slow].repairedThrough) else { return nil }
            let rest = piece.sentAt + usual - now
            if piece.dataOffset + Int64(piece.length) > send.acknowledged, rest > faster + faster / 4 { return piece }
            // Through already, or about to be: those behind it were sent later.
            contexts[slow].repairedThrough = piece.end
        }
        return nil
    }

    // MARK: The head of the stream

    /// After this time an acknowledgement is overdue on a subflow. Shorter than its retransmission timer, which has to
    /// be right, since its window depends on it; this costs one copy at the most.
    func patience(with index: Int) -> TimeSpan {
        let roundTrip = contexts[index].tcp.roundTrip
        return roundTrip.smoothed + roundTrip.smoothed / 4 + roundTrip.variance * 4 + .milliseconds(5 as Int64)
    }

    /// When a piece is worth a copy: at once if it was lost, since its retransmission takes a round trip at least.
    private func due(_ piece: OutstandingPiece, on index: Int) -> MonotonicInstant {
        piece.wasLost ? .zero : piece.sentAt + patience(with: index)
    }

    /// The first piece under way on a subflow that no DATA_ACK covers: what was repaired stays outstanding on a dead path.
    private mutating func firstUncovered(_ index: Int) -> OutstandingPiece? {
        while let piece = contexts[index].tcp.firstOutstanding(from: contexts[index].coveredThrough) {
            if piece.dataOffset + Int64(piece.length) > send.acknowledged { return piece }
            contexts[index].coveredThrough = piece.end
        }
        return nil
    }

    /// Watches that the peer's DATA_ACK moves; in the busy case one comparison a packet.
    mutating func armHeadTimer(now: MonotonicInstant) {
        guard headTimer == .distantFuture, contexts.count > 1 else { return }
        var ready = 0
        var shortest = TimeSpan.seconds(1 as Int64)
        for index in contexts.indices where contexts[index].isReady {
            ready += 1
            shortest = min(shortest, patience(with: index))
        }
        if ready > 1 { headTimer = now + shortest * Int64(1 << min(headTries, 8)) }
    }

    //= RFC 8684 §3.3.6 a sender may retransmit on another subflow data that is not acknowledged at the data level
    mutating func headTimedOut(now: MonotonicInstant) {
        headTimer = .distantFuture
        guard repairs, send.acknowledged < send.next else { return }
        var holder: (subflow: Int, due: MonotonicInstant)?
        for index in contexts.indices where contexts[index].isReady {
            guard let piece = firstUncovered(index), piece.dataOffset <= send.acknowledged, send.acknowledged < piece.dataOffset + Int64(piece.length)
            else { continue }
            let due = due(piece, on: index)
            if holder == nil || due < holder!.due { holder = (index, due) }
        }
        // Acknowledged where it went: that is the data timer's.
        guard let (slow, due) = holder else { return }
        if due > now {
            headTimer = due
            return
        }
        if hasOtherUsable(than: slow) { lateSubflow = slow }
        headTries += 1
        armHeadTimer(now: now)
    }
}
