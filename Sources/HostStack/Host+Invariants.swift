import BasicContainers
import DequeModule
package import MPTCPConnection
package import TransportValues

/// What must hold between calls, when nothing is left to transmit and no event waits. For checks, not for the data path.
extension Host {
    /// The slot of the connection that the last segment was for; -1: of none.
    package var lastReceiverSlot: Int { Int(lastReceiver) }
    package var slotCount: Int { slots.count }

    /// Which connection stands in a slot, and how far it is; nil when there is none.
    package func marks(ofSlot index: Int) -> (generation: UInt32, marks: ConnectionMarks)? {
        guard index >= 0, index < slots.count else { return nil }
        let generation = slots[index].generation
        switch slots[index].connection {
        case .some(let connection): return (generation, connection.marks)
        case .none: return nil
        }
    }

    /// Nil, or what is broken about the connection in a slot.
    package func brokenInvariant(ofSlot index: Int) -> String? {
        guard index >= 0, index < slots.count else { return nil }
        switch slots[index].connection {
        case .none: return nil
        case .some(let connection):
            if let fault = connection.brokenInvariant() { return fault }
            // A deadline that the heap does not know is a timer that never fires.
            let own = min(connection.nextDeadline, slots[index].orphanDeadline)
            if deadlines.deadline(of: Int32(index)) > own {
                return "the host's deadline is later than the connection's"
            }
            return nil
        }
    }

    /// Nil, or what is broken about the tables. O(connections).
    package func brokenTables() -> String? {
        var tuples = 0
        var halfOpen = 0
        var live = 0
        for index in slots.indices {
            switch slots[index].connection {
            case .none: continue
            case .some(let connection):
                live += 1
                tuples += connection.heldTuples
                if slots[index].isHalfOpen { halfOpen += 1 }
            }
        }
        if live != liveConnections { return "\(live) connections, \(liveConnections) slots in use" }
        if tuples != flows.count { return "\(flows.count) flows, the connections have \(tuples)" }
        let counted = listeners.reduce(0) { $0 + $1.halfOpen }
        if counted != halfOpen { return "\(counted) half-open connections counted, \(halfOpen) there" }
        for (token, slot) in tokens {
            switch slots[Int(slot)].connection {
            case .none: return "a token without a connection"
            case .some(let connection):
                if connection.localToken != token { return "a token of another connection" }
            }
        }
        return nil
    }

    /// Connections whose deadline has come although the host has been let act.
    package func overdueDescriptions(at now: MonotonicInstant) -> [String] {
        var texts: [String] = []
        for index in slots.indices {
            switch slots[index].connection {
            case .none: continue
            case .some(let connection):
                guard min(connection.nextDeadline, slots[index].orphanDeadline) <= now else { continue }
                texts.append("\(connection.dueTimers(at: now)): \(connection.progressDescription)")
            }
        }
        return texts
    }

    /// How far a connection is, for reports of what hangs.
    package func progressDescription(of id: ConnectionID) -> String? {
        guard let index = slot(id) else { return nil }
        switch slots[index].connection {
        case .some(let connection): return connection.progressDescription
        case .none: return nil
        }
    }

    /// Bytes that the connections hold: rings and records.
    package var bytesHeld: Int {
        var bytes = 0
        for index in slots.indices {
            switch slots[index].connection {
            case .none: continue
            case .some(let connection): bytes += connection.bytesHeld
            }
        }
        return bytes
    }

    /// Nil when the host is as it was before its first connection, but for what it remembers of peers; or what is left.
    package var leftover: String? {
        if liveConnections > 0 { return "\(liveConnections) connections: " + describeConnections() }
        if flows.count > 0 { return "\(flows.count) flows" }
        if !tokens.isEmpty { return "\(tokens.count) tokens" }
        if !deadlines.isEmpty || nextDeadline != .distantFuture { return "a timer runs" }
        if listeners.contains(where: { $0.halfOpen > 0 || !$0.queue.isEmpty }) { return "a listener holds connections" }
        if !ready.isEmpty || !replies.isEmpty || !events.isEmpty { return "something waits to be sent or told" }
        if bytesHeld > 0 { return "\(bytesHeld) bytes" }
        return nil
    }

    private func describeConnections() -> String {
        var texts: [String] = []
        for index in slots.indices where texts.count < 4 {
            guard let snapshot = slots[index].snapshot() else { continue }
            let subflows = snapshot.subflows.map { "\($0.state) \($0.closeReason ?? "")" }.joined(separator: ", ")
            texts.append(
                "\(snapshot.local) \(snapshot.remote) \(snapshot.state) released \(slots[index].isReleased) [\(subflows)]"
            )
        }
        return texts.joined(separator: "; ")
    }
}
