import BasicContainers
package import TransportValues

/// Four-tuples to subflows: seeded open addressing with linear probing; deletion closes the gap, so no tombstones.
package struct FlowTable: ~Copyable {
    package struct Flow: BitwiseCopyable {
        package var connection: Int32
        package var subflow: Int32

        package init(connection: Int32, subflow: Int32) {
            self.connection = connection
            self.subflow = subflow
        }
    }

    struct Entry {
        var tuple: FourTuple
        var flow: Flow
        var isUsed: Bool
    }

    private var entries: UniqueArray<Entry>
    private var mask: Int
    package private(set) var count = 0
    private let hash: KeyedHash

    package init(hash: KeyedHash) {
        self.hash = hash
        mask = 63
        entries = Self.empty(64)
    }

    private static func empty(_ capacity: Int) -> UniqueArray<Entry> {
        var entries = UniqueArray<Entry>(minimumCapacity: capacity)
        let blank = Endpoint(.anyIPv4, 0)
        let entry = Entry(
            tuple: FourTuple(local: blank, remote: blank), flow: Flow(connection: -1, subflow: -1), isUsed: false)
        for _ in 0..<capacity { entries.append(entry) }
        return entries
    }

    package func find(_ tuple: FourTuple) -> Flow? {
        var index = home(tuple)
        while entries[index].isUsed {
            if entries[index].tuple == tuple { return entries[index].flow }
            index = (index + 1) & mask
        }
        return nil
    }

    /// False when the four-tuple is in use already.
    package mutating func insert(_ tuple: FourTuple, _ flow: Flow) -> Bool {
        if (count + 1) * 4 > (mask + 1) * 3 { grow() }
        var index = home(tuple)
        while entries[index].isUsed {
            if entries[index].tuple == tuple { return false }
            index = (index + 1) & mask
        }
        entries[index] = Entry(tuple: tuple, flow: flow, isUsed: true)
        count += 1
        return true
    }

    package mutating func remove(_ tuple: FourTuple) {
        var index = home(tuple)
        while entries[index].isUsed, entries[index].tuple != tuple { index = (index + 1) & mask }
        guard entries[index].isUsed else { return }
        count -= 1
        var next = (index + 1) & mask
        while entries[next].isUsed {
            let wanted = home(entries[next].tuple)
            // Move back what may stand at the gap: its home is not between the gap and its place.
            if (next - wanted) & mask >= (next - index) & mask {
                entries[index] = entries[next]
                index = next
            }
            next = (next + 1) & mask
        }
        entries[index].isUsed = false
    }

    private func home(_ tuple: FourTuple) -> Int { Int(truncatingIfNeeded: hash(tuple)) & mask }

    private mutating func grow() {
        var old = Self.empty((mask + 1) * 2)
        swap(&old, &entries)
        mask = mask * 2 + 1
        for position in old.indices where old[position].isUsed {
            var index = home(old[position].tuple)
            while entries[index].isUsed { index = (index + 1) & mask }
            entries[index] = old[position]
        }
    }
}
