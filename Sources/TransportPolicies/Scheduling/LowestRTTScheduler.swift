/// The path with the lowest round trip that has room in its window; Linux's rule.
public struct LowestRTTScheduler: SchedulingPolicy {
    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        paths.first(of: paths.bestPreference) { $0.room > 0 }?.index
    }
}
