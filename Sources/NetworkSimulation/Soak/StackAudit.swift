import HostStack
import MPTCPConnection
import TransportValues

/// Checks what must hold of the stacks of a network while it runs.
///
/// After every packet, once the host has sent what it had to send and its applications have acted: every invariant of
/// the connection that the packet was for, with all its subflows and queues, and that no position moved back. After
/// every timer: the same of all the host's connections. Every 512th check: the host's tables against its connections.
final class StackAudit {
    private var marks: [[(generation: UInt32, marks: ConnectionMarks)?]]
    private(set) var checks = 0
    private(set) var tableChecks = 0
    /// The most bytes that one host's connections held when the tables were checked.
    private(set) var peakBytes = 0

    init(hosts: Int) { marks = Array(repeating: [], count: hosts) }

    func afterPacket(to host: SimulatedHost) -> String? {
        let slot = host.stack.lastReceiverSlot
        if slot >= 0, let fault = check(slot, host) { return fault }
        return checkTables(host)
    }

    func afterTimer(of host: SimulatedHost) -> String? {
        for slot in 0..<host.stack.slotCount {
            if let fault = check(slot, host) { return fault }
        }
        return checkTables(host)
    }

    private func check(_ slot: Int, _ host: SimulatedHost) -> String? {
        guard let now = host.stack.marks(ofSlot: slot) else { return nil }
        checks += 1
        while marks[host.index].count <= slot { marks[host.index].append(nil) }
        if let before = marks[host.index][slot], before.generation == now.generation,
            let fault = now.marks.regression(since: before.marks)
        {
            return "\(host.name), slot \(slot): \(fault)"
        }
        marks[host.index][slot] = now
        return host.stack.brokenInvariant(ofSlot: slot).map { "\(host.name), slot \(slot): \($0)" }
    }

    private func checkTables(_ host: SimulatedHost) -> String? {
        tableChecks += 1
        guard tableChecks % 512 == 0 else { return nil }
        peakBytes = max(peakBytes, host.stack.bytesHeld)
        return host.stack.brokenTables().map { "\(host.name): \($0)" }
    }
}
