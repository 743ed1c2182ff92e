import TransportValues

/// Each byte where it arrives first, waiting included; the default.
///
/// A faster path whose window is full is waited for in two cases. It will have carried all that is left before a segment
/// on the slower one arrives (as ECF, but only while the end is known: an application that has more to give fills both).
/// Or the peer's window would be used up by the faster path while that segment is under way, so that the slower one would
/// take from the sum instead of adding to it (as BLEST).
public struct EarliestScheduler: SchedulingPolicy {
    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        guard let choice = paths.first(of: preference, where: { $0.room > 0 }) else { return nil }
        if work.isReinjection { return choice.index }
        var carried = 0
        for position in paths.indices {
            let path = paths[position]
            // One that has nothing under way is not told when it has room again.
            guard path.preference == preference, path.room <= 0, path.inFlight > 0, path.precedes(choice) else { continue }
            // It has the slow segment's whole way to send, and its last byte still needs half a round trip.
            let head = choice.smoothedRoundTrip - path.smoothedRoundTrip / 2
            if work.backlog != .max, path.time(for: work.backlog) < head { return nil }
            carried += path.bytes(in: choice.smoothedRoundTrip)
        }
        if carried > 0, carried + min(choice.room, 1 << 40) > work.window { return nil }
        return choice.index
    }
}
