/// Sorted, disjoint, non-adjacent ranges of stream offsets: what has arrived out of order, what was acknowledged
/// selectively, what waits for reinjection.
///
/// Insertion near the end, the common case, is O(1); anywhere else O(n) in the number of ranges. The number of ranges
/// is bounded by the caller with ``insert(_:limit:)``, since a hostile peer chooses it.
@frozen
public struct IntervalSet: Sendable, Equatable {
    public private(set) var ranges: [Range<Int64>] = []

    public init() {}

    public var isEmpty: Bool { ranges.isEmpty }
    public var first: Range<Int64>? { ranges.first }
    public var last: Range<Int64>? { ranges.last }

    /// The number of offsets in the set.
    public var count: Int64 { ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) } }

    /// The index of the first range that ends at or after `offset`.
    private func firstIndex(endingFrom offset: Int64) -> Int {
        if let last = ranges.last, last.upperBound < offset { return ranges.count }
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds `range`. Returns false, and changes nothing, when that would make more than `limit` ranges.
    @discardableResult
    public mutating func insert(_ range: Range<Int64>, limit: Int = .max) -> Bool {
        if range.isEmpty { return true }
        let index = firstIndex(endingFrom: range.lowerBound)
        var end = index
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            merged =
                min(merged.lowerBound, ranges[end].lowerBound)..<max(merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        if end == index {
            if ranges.count >= limit { return false }
            ranges.insert(merged, at: index)
        } else {
            ranges[index] = merged
            if end > index + 1 { ranges.removeSubrange(index + 1..<end) }
        }
        return true
    }

    /// Takes `range` out, splitting what straddles its ends.
    public mutating func remove(_ range: Range<Int64>) {
        if range.isEmpty || ranges.isEmpty { return }
        var index = firstIndex(endingFrom: range.lowerBound + 1)
        while index < ranges.count, ranges[index].lowerBound < range.upperBound {
            let old = ranges[index]
            let left = old.lowerBound..<max(old.lowerBound, range.lowerBound)
            let right = min(old.upperBound, range.upperBound)..<old.upperBound
            switch (left.isEmpty, right.isEmpty) {
            case (true, true): ranges.remove(at: index)
            case (false, true):
                ranges[index] = left
                index += 1
            case (true, false):
                ranges[index] = right
                index += 1
            case (false, false):
                ranges[index] = left
                ranges.insert(right, at: index + 1)
                index += 2
            }
        }
    }

    /// Takes out everything below `offset`.
    public mutating func removeAll(below offset: Int64) {
        guard let first = ranges.first, first.lowerBound < offset else { return }
        remove(first.lowerBound..<offset)
    }

    public mutating func removeAll() { ranges.removeAll() }

    /// Takes out and returns the first range when it begins at or below `offset`.
    public mutating func popFirst(startingUpTo offset: Int64) -> Range<Int64>? {
        guard let first = ranges.first, first.lowerBound <= offset else { return nil }
        return ranges.removeFirst()
    }

    public func contains(_ offset: Int64) -> Bool { range(containing: offset) != nil }

    /// The range that `offset` lies in.
    public func range(containing offset: Int64) -> Range<Int64>? {
        let index = firstIndex(endingFrom: offset + 1)
        guard index < ranges.count, ranges[index].lowerBound <= offset else { return nil }
        return ranges[index]
    }

    /// Whether every offset of `range` is in the set.
    public func contains(_ range: Range<Int64>) -> Bool {
        if range.isEmpty { return true }
        let index = firstIndex(endingFrom: range.lowerBound + 1)
        return index < ranges.count && ranges[index].lowerBound <= range.lowerBound
            && ranges[index].upperBound >= range.upperBound
    }

    /// Whether any offset of `range` is in the set.
    public func overlaps(_ range: Range<Int64>) -> Bool {
        if range.isEmpty { return false }
        let index = firstIndex(endingFrom: range.lowerBound + 1)
        return index < ranges.count && ranges[index].lowerBound < range.upperBound
    }

    /// Calls `body` with each part of `range` that is not in the set, in order.
    public func forEachGap(in range: Range<Int64>, _ body: (Range<Int64>) -> Void) {
        var position = range.lowerBound
        var index = firstIndex(endingFrom: range.lowerBound + 1)
        while position < range.upperBound {
            guard index < ranges.count, ranges[index].lowerBound < range.upperBound else {
                body(position..<range.upperBound)
                return
            }
            if ranges[index].lowerBound > position { body(position..<ranges[index].lowerBound) }
            position = max(position, ranges[index].upperBound)
            index += 1
        }
    }
}
