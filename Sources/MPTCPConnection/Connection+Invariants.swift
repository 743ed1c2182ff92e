import BasicContainers
import TCPSubflow
package import TransportValues

/// Positions of a connection that only ever grow, for checks from call to call.
package struct ConnectionMarks: BitwiseCopyable {
    package var written: Int64
    package var sent: Int64
    package var acknowledged: Int64
    package var peerEdge: Int64
    package var received: Int64
    package var read: Int64
    package var ownEdge: Int64

    /// The first position that is lower here than it was; nil when none is.
    package func regression(since old: ConnectionMarks) -> String? {
        if written < old.written { return "the end of what was written moved back" }
        if sent < old.sent { return "the next new byte moved back" }
        if acknowledged < old.acknowledged { return "the DATA_ACK taken moved back" }
        if peerEdge < old.peerEdge { return "the peer's window edge moved back" }
        if received < old.received { return "the DATA_ACK sent moved back" }
        if read < old.read { return "the reading position moved back" }
        if ownEdge < old.ownEdge { return "the advertised window edge moved back" }
        return nil
    }
}

extension Connection {
    package var marks: ConnectionMarks {
        ConnectionMarks(
            written: send.end, sent: send.next, acknowledged: send.acknowledged, peerEdge: send.peerEdge,
            received: receive.next, read: receive.readPosition, ownEdge: receive.edge)
    }

    /// Four-tuples that the host still has to know.
    package var heldTuples: Int {
        var count = 0
        for index in contexts.indices where !contexts[index].isReported { count += 1 }
        return count
    }

    /// Bytes of stream data and of records about it that are held now.
    package var bytesHeld: Int {
        var bytes = send.ring.capacity + receive.ring.capacity
        for index in contexts.indices {
            bytes += contexts[index].holding.capacity
            bytes +=
                contexts[index].tcp.recordCount * 64 + contexts[index].mappings.count
                * MemoryLayout<ReceiveMapping>.size
        }
        return bytes
    }

    /// The most that ``bytesHeld`` may come to, from the settings alone: rings grow by doubling.
    package var bytesBound: Int {
        func ring(_ bytes: Int) -> Int { bytes <= 4096 ? 4096 : 1 << (Int.bitWidth - (bytes - 1).leadingZeroBitCount) }
        let perSubflow =
            ring(2 * receive.maximum) + 8192 * 64 + ReceiveMappings.limit * MemoryLayout<ReceiveMapping>.size
        return ring(2 * send.limit) + ring(receive.maximum + (1 << 16)) + contexts.count * perSubflow
    }

    /// What must hold whenever nothing is left to transmit; nil, or what does not. For checks: it walks every queue.
    package func brokenInvariant() -> String? {
        if let fault = brokenSendStream() { return fault }
        if let fault = receive.brokenInvariant(slack: windowSlack) { return fault }
        for index in contexts.indices {
            if let fault = contexts[index].tcp.brokenInvariant() { return "subflow \(index): \(fault)" }
            if contexts[index].mappings.count > ReceiveMappings.limit { return "subflow \(index): too many mappings" }
            if contexts[index].isRetired, !contexts[index].isReported { return "subflow \(index): retired unreported" }
        }
        if bytesHeld > bytesBound { return "\(bytesHeld) bytes held, \(bytesBound) at most" }
        if phase.isClosed { return brokenAfterClose() }
        return brokenProgress()
    }

    private func brokenSendStream() -> String? {
        if send.acknowledged > send.next { return "acknowledged \(send.acknowledged) beyond sent \(send.next)" }
        if send.next > send.end { return "sent \(send.next) beyond written \(send.end)" }
        if send.end - send.acknowledged > Int64(send.limit) { return "more unacknowledged bytes than the buffer holds" }
        if !phase.isClosed, send.ring.capacity > 0 || send.acknowledged < send.end {
            if send.ring.start > send.acknowledged { return "unacknowledged bytes were freed" }
            if send.ring.limit < send.end { return "written bytes lie outside the ring" }
        }
        if let first = send.reinjections.first, first.lowerBound < send.acknowledged {
            return "repairs of acknowledged bytes"
        }
        if let last = send.reinjections.last, last.upperBound > send.next { return "repairs of bytes never sent" }
        return nil
    }

    private func brokenAfterClose() -> String? {
        for timer in [dataTimer, dataFinTimer, drainTimer, pathlessDeadline, silenceTimer, headTimer] where timer != .distantFuture {
            return "a timer of the data level runs although the connection is closed"
        }
        for index in contexts.indices where !contexts[index].isClosed {
            return "subflow \(index) lives in a closed connection"
        }
        return nil
    }

    /// Outstanding work without anything that will move it on is a hang. Keepalive does not count: it only finds out that
    /// a peer is dead.
    private func brokenProgress() -> String? {
        if liveSubflows == 0, !isPathless { return "open without a subflow and without a limit to that" }
        if phase == .draining, drainTimer == .distantFuture { return "draining without a limit to that" }
        if failNotice != nil, failTimer == .distantFuture { return "a MP_FAIL waits without a timer" }
        let owes = send.acknowledged < send.end || send.finish == .queued || send.finish == .sent
        if owes || phase == .handshake, !hasWorkTimer {
            return "outstanding work (\(progressDescription)) and no timer"
        }
        guard state.isMultipath, !sendReverted, phase == .open else { return nil }
        if send.acknowledged < send.next, dataTimer == .distantFuture {
            return "data outstanding without the data timer"
        }
        if send.finish == .sent, dataFinTimer == .distantFuture { return "DATA_FIN outstanding without its timer" }
        return nil
    }

    private var hasWorkTimer: Bool {
        for timer in [dataTimer, dataFinTimer, drainTimer, failTimer, pathlessDeadline] where timer != .distantFuture {
            return true
        }
        for index in contexts.indices where !contexts[index].isClosed {
            if contexts[index].tcp.hasWorkTimer { return true }
            // A join whose fourth ACK is awaited asks again.
            if case .joinAckSent(_, let retryAt, _) = contexts[index].handshake, retryAt != .distantFuture { return true }
        }
        return false
    }

    /// The timers that are due.
    package func dueTimers(at now: MonotonicInstant) -> [String] {
        var due: [String] = []
        let timers = [
            ("data", dataTimer), ("DATA_FIN", dataFinTimer), ("drain", drainTimer), ("fail", failTimer),
            ("pathless", pathlessDeadline), ("announcement", addresses.nextAnnouncement),
            ("attempt", mayOpenPaths ? addresses.nextAttempt : .distantFuture),
        ]
        for (name, time) in timers where time <= now { due.append(name) }
        for index in contexts.indices where !contexts[index].isRetired {
            if contexts[index].tcp.nextDeadline <= now { due.append("subflow \(index)") }
            if case .joinAckSent(_, let retryAt, _) = contexts[index].handshake, retryAt <= now {
                due.append("join \(index)")
            }
        }
        return due
    }

    /// How far both streams and every subflow are.
    package var progressDescription: String {
        var text = "acknowledged \(send.acknowledged), sent \(send.next), written \(send.end), edge \(send.peerEdge), "
        text += "end \(send.finish), repairs \(send.reinjections.ranges), received \(receive.next), "
        text +=
            "own edge \(receive.edge), first beyond \(receive.firstOutOfOrder.map { "\($0)" } ?? "-"), \(phase.name), "
        text += "reverted \(sendReverted) \(receiveReversion), data timer \(dataTimer.nanoseconds)"
        for index in contexts.indices where !contexts[index].isClosed {
            text +=
                "; [\(index)] \(contexts[index].setup.tuple.local) \(contexts[index].tcp.phase) ready \(contexts[index].isReady)"
            text += " mappings \(contexts[index].mappings.count) holding \(contexts[index].holding.capacity)"
            text += " " + contexts[index].tcp.progressDescription
        }
        return text
    }
}

extension ReceiveStream {
    func brokenInvariant(slack: Int) -> String? {
        if readPosition > next { return "read \(readPosition) beyond received \(next)" }
        if next > edge + Int64(slack) + 1 { return "received \(next) beyond the window's edge \(edge)" }
        if limit > maximum { return "receive window above its maximum" }
        if let first = firstOutOfOrder, first.lowerBound <= next, !isFinished { return "bytes at the next place wait" }
        if let last = lastOutOfOrder, last.upperBound > ring.limit { return "bytes lie outside the receive ring" }
        if outOfOrderCount > 4097 { return "\(outOfOrderCount) runs out of order" }
        return nil
    }
}
