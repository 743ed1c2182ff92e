import DequeModule
import TransportValues

// RFC 6675's function Update() over the queue of sent records, and the peer's second thoughts.
extension SentSegments {
    /// Update(): marks `range` (within the flight) as selectively acknowledged; returns how much of it was new.
    mutating func markSacked(_ range: Range<Int64>) -> Int {
        guard !records.isEmpty, !range.isEmpty else { return 0 }
        var delivered = 0
        var position = range.lowerBound
        while position < range.upperBound {
            if let known = sacked.range(containing: position) {
                position = known.upperBound
                continue
            }
            let end = min(range.upperBound, nextSackedStart(after: position))
            guard sacked.insert(position..<end, limit: Self.maximumRanges) else {
                refused &+= 1
                return delivered
            }
            delivered &+= mark(position..<end)
            position = end
        }
        return delivered
    }

    private func nextSackedStart(after position: Int64) -> Int64 {
        let ranges = sacked.ranges
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low &+ high) >> 1
            if ranges[middle].lowerBound <= position { low = middle &+ 1 } else { high = middle }
        }
        return low < ranges.count ? ranges[low].lowerBound : .max
    }

    private mutating func mark(_ range: Range<Int64>) -> Int {
        var index = index(of: range.lowerBound)
        if records[index].start < range.lowerBound {
            // Refused for want of room, the part stays unmarked and is sent once too often at worst.
            _ = split(index, at: range.lowerBound)
            index &+= 1
        }
        var delivered = 0
        var touchedPending = false
        while index < records.count, records[index].start < range.upperBound {
            if records[index].end > range.upperBound, !split(index, at: range.upperBound) { break }
            let record = records[index]
            if !record.marks.contains(.sacked) {
                delivered &+= Int(record.span)
                noteDelivered(record, through: record.end, bytes: Int(record.span))
                if record.needsRetransmission { touchedPending = true }
                update(index) { $0.marks.insert(.sacked) }
            }
            index &+= 1
        }
        if touchedPending { findPendingLost(from: max(firstPendingLost, records[0].start)) }
        return delivered
    }

    /// The peer took selective acknowledgements back, or may have (RFC 2018 §8).
    mutating func forgetSacked() {
        sacked.removeAll()
        for index in 0..<records.count { update(index) { $0.marks.remove(.sacked) } }
        judgedEdge = 0
        refreshPendingLost()
    }
}
