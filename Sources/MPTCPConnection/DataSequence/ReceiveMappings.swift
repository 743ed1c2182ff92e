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

/// The mappings of one subflow that reach beyond the bytes that brought them. Bounded: a peer chooses how many.
struct ReceiveMappings {
    private(set) var entries: [ReceiveMapping] = []
    static let limit = 256

    enum Insertion { case inserted, duplicate, conflict, full }

    //= RFC 8684 §3.3.1 a mapping is fixed once declared; identical repetitions are harmless
    mutating func insert(_ mapping: ReceiveMapping) -> Insertion {
        var index = entries.count
        while index > 0, entries[index - 1].subflow.lowerBound >= mapping.subflow.lowerBound { index -= 1 }
        if index < entries.count, entries[index].subflow.lowerBound < mapping.subflow.upperBound {
            return entries[index] == mapping ? .duplicate : .conflict
        }
        if index > 0, entries[index - 1].subflow.upperBound > mapping.subflow.lowerBound { return .conflict }
        if entries.count >= Self.limit { return .full }
        entries.insert(mapping, at: index)
        return .inserted
    }

    func find(_ position: Int64) -> ReceiveMapping? {
        for entry in entries where entry.subflow.contains(position) { return entry }
        return nil
    }

    var first: ReceiveMapping? { entries.first }
    mutating func removeFirst() { entries.removeFirst() }
    mutating func removeEverything() { entries.removeAll() }

    /// Forgets mappings whose bytes have all arrived.
    mutating func removeAll(below offset: Int64) {
        while let first = entries.first, first.subflow.upperBound <= offset { entries.removeFirst() }
    }
}
