import BasicContainers
public import TransportValues

/// Events in the order of their time and, among equal times, of their insertion: a binary heap over plain values.
///
/// The serial makes the order total, so a run does not depend on how the heap happens to balance. Nothing is allocated
/// once the heap has reached its largest size.
public struct EventQueue<Payload: BitwiseCopyable>: ~Copyable {
    struct Entry: BitwiseCopyable {
        var time: MonotonicInstant
        var serial: UInt64
        var payload: Payload

        func isBefore(_ other: Entry) -> Bool {
            time == other.time ? serial < other.serial : time < other.time
        }
    }

    private var entries: UniqueArray<Entry>
    private var nextSerial: UInt64 = 0

    public init(minimumCapacity: Int = 64) {
        entries = UniqueArray(minimumCapacity: minimumCapacity)
    }

    public var count: Int { entries.count }

    /// When the first event is due; `distantFuture` when there is none.
    public var nextTime: MonotonicInstant { entries.isEmpty ? .distantFuture : entries[0].time }

    /// Complexity: O(log count).
    public mutating func insert(_ payload: Payload, at time: MonotonicInstant) {
        entries.append(Entry(time: time, serial: nextSerial, payload: payload))
        nextSerial += 1
        siftUp(entries.count - 1)
    }

    /// Takes out the first event when it is due at `now` or was before. Complexity: O(log count).
    public mutating func popFirst(dueAt now: MonotonicInstant) -> (time: MonotonicInstant, payload: Payload)? {
        guard !entries.isEmpty, entries[0].time <= now else { return nil }
        let first = entries[0]
        let last = entries.removeLast()
        if !entries.isEmpty {
            entries[0] = last
            siftDown(0)
        }
        return (first.time, first.payload)
    }

    private mutating func siftUp(_ start: Int) {
        let entry = entries[start]
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            let above = entries[parent]
            if !entry.isBefore(above) { break }
            entries[index] = above
            index = parent
        }
        entries[index] = entry
    }

    private mutating func siftDown(_ start: Int) {
        let count = entries.count
        let entry = entries[start]
        var index = start
        while true {
            var child = 2 * index + 1
            if child >= count { break }
            if child + 1 < count, entries[child + 1].isBefore(entries[child]) { child += 1 }
            let below = entries[child]
            if !below.isBefore(entry) { break }
            entries[index] = below
            index = child
        }
        entries[index] = entry
    }
}
