/// Each path with room in turn, a segment or burst at a time.
public struct RoundRobinScheduler: SchedulingPolicy {
    private var last = -1

    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        var next: Int?
        var lowest: Int?
        for position in paths.indices {
            let path = paths[position]
            guard path.preference == preference, path.room > 0 else { continue }
            lowest = min(lowest ?? .max, path.index)
            if path.index > last { next = min(next ?? .max, path.index) }
        }
        guard let choice = next ?? lowest else { return nil }
        last = choice
        return choice
    }
}

/// The path that lags most behind its share of the bytes; one without room does not hold up the others.
public struct WeightedScheduler: SchedulingPolicy {
    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        var best: (share: Double, index: Int)?
        for position in paths.indices {
            let path = paths[position]
            // A weight of 0 is as a backup: only when it stands alone.
            guard path.preference == preference, path.room > 0, path.weight > 0 || paths.count == 1 else { continue }
            let share = Double(path.bytesSent) / Double(max(1, path.weight))
            if best == nil || share < best!.share { best = (share, path.index) }
        }
        return best?.index
    }
}
