import DequeModule
import TransportValues

/// One data sequence mapping as the peer declared it: subflow offsets to data offsets (RFC 8684 §3.3.1).
struct ReceiveMapping: Equatable {
    var subflow: Range<Int64>
    var dataOffset: Int64
    var checksum: UInt16?
    var hasFin = false

    func dataOffset(at position: Int64) -> Int64 { dataOffset + (position - subflow.lowerBound) }
    var dataEnd: Int64 { dataOffset + (subflow.upperBound - subflow.lowerBound) }
}

/// The mappings of one subflow that are not over with: those that reach beyond the bytes that brought them and, with
/// checksums, those of bytes that wait for proof. In the order of the subflow. Bounded: a peer chooses how many.
struct ReceiveMappings {
    private var entries: Deque<ReceiveMapping> = []
    /// A full receive window of whole segments, each with its own mapping.
    static let limit = 4608

    enum Insertion { case inserted, duplicate, conflict, full }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var isFull: Bool { entries.count >= Self.limit }

    //= RFC 8684 §3.3.1 a mapping is fixed once declared; identical repetitions are harmless
    mutating func insert(_ mapping: ReceiveMapping) -> Insertion {
        let index = firstIndex { $0.subflow.lowerBound >= mapping.subflow.lowerBound }
        if index < entries.count, entries[index].subflow.lowerBound < mapping.subflow.upperBound {
            return entries[index] == mapping ? .duplicate : .conflict
        }
        if index > 0, entries[index - 1].subflow.upperBound > mapping.subflow.lowerBound { return .conflict }
        if isFull { return .full }
        entries.insert(mapping, at: index)
        return .inserted
    }

    func find(_ position: Int64) -> ReceiveMapping? {
        let index = firstIndex { $0.subflow.upperBound > position }
        return index < entries.count && entries[index].subflow.contains(position) ? entries[index] : nil
    }

    /// The place of the first mapping for which `isBeyond` holds, as it does for all after it.
    private func firstIndex(_ isBeyond: (ReceiveMapping) -> Bool) -> Int {
        // Mostly the newest comes last.
        if let last = entries.last, !isBeyond(last) { return entries.count }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if isBeyond(entries[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    var first: ReceiveMapping? { entries.first }
    mutating func removeFirst() { entries.removeFirst() }
    mutating func removeEverything() { entries.removeAll() }

    /// Forgets mappings whose bytes have all arrived.
    mutating func removeAll(below offset: Int64) {
        while let first = entries.first, first.subflow.upperBound <= offset { entries.removeFirst() }
    }
}
