package import TransportValues

/// The next deadline of every connection: a binary heap that knows each connection's place.
///
/// A wheel was weighed and left: a loop has to know the exact next deadline to sleep, and here it stands at the top. A
/// deadline that moves later is not moved in the heap until it comes up, so a busy connection costs nothing.
package struct DeadlineHeap {
    package init() {}

    private struct Entry {
        var deadline: MonotonicInstant
        var slot: Int32
    }

    private var heap: [Entry] = []
    private var places: [Int32] = []

    package var next: MonotonicInstant { heap.first?.deadline ?? .distantFuture }

    /// What a slot's place in the heap says; `distantFuture` when it has none.
    package func deadline(of slot: Int32) -> MonotonicInstant {
        guard Int(slot) < places.count, places[Int(slot)] >= 0 else { return .distantFuture }
        return heap[Int(places[Int(slot)])].deadline
    }

    package var isEmpty: Bool { heap.isEmpty }

    /// The slot at the top when its deadline has come.
    package func due(at now: MonotonicInstant) -> Int32? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        return first.slot
    }

    /// Sets a slot's deadline: earlier at once, later only with `exact`.
    package mutating func update(_ slot: Int32, _ deadline: MonotonicInstant, exact: Bool) {
        while places.count <= Int(slot) { places.append(-1) }
        let place = Int(places[Int(slot)])
        if place < 0 {
            if deadline == .distantFuture { return }
            heap.append(Entry(deadline: deadline, slot: slot))
            places[Int(slot)] = Int32(heap.count - 1)
            moveUp(heap.count - 1)
        } else if deadline < heap[place].deadline {
            heap[place].deadline = deadline
            moveUp(place)
        } else if exact {
            if deadline == .distantFuture { return remove(slot) }
            heap[place].deadline = deadline
            moveDown(place)
        }
    }

    package mutating func remove(_ slot: Int32) {
        guard Int(slot) < places.count, places[Int(slot)] >= 0 else { return }
        let place = Int(places[Int(slot)])
        places[Int(slot)] = -1
        let last = heap.removeLast()
        if place == heap.count { return }
        heap[place] = last
        places[Int(last.slot)] = Int32(place)
        moveUp(place)
        moveDown(Int(places[Int(last.slot)]))
    }

    private mutating func moveUp(_ start: Int) {
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            if heap[parent].deadline <= heap[place].deadline { return }
            exchange(parent, place)
            place = parent
        }
    }

    private mutating func moveDown(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && heap[child].deadline < heap[least].deadline {
                least = child
            }
            if least == place { return }
            exchange(least, place)
            place = least
        }
    }

    private mutating func exchange(_ one: Int, _ other: Int) {
        heap.swapAt(one, other)
        places[Int(heap[one].slot)] = Int32(one)
        places[Int(heap[other].slot)] = Int32(other)
    }
}
