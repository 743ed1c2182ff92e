import TransportValues

/// Shortest transfer time first: where the next segment would arrive first if it had to wait for its turn, counting the
/// round trips that a full window costs (Hurtig et al., "Low-Latency Scheduling in MPTCP", IEEE/ACM ToN 2018).
public struct STTFScheduler: SchedulingPolicy {
    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        var best: (time: TimeSpan, path: PathSnapshot)?
        for position in paths.indices {
            let path = paths[position]
            guard path.preference == preference else { continue }
            // A path with neither room nor anything under way would never be heard of again.
            if path.room <= 0, path.inFlight == 0 { continue }
            let rounds = path.room > 0 ? 0 : Int64(1 + path.inFlight / max(1, path.congestionWindow))
            let time = path.smoothedRoundTrip / 2 + path.smoothedRoundTrip * rounds
            if let best, (best.time, best.path.inFlight) <= (time, path.inFlight) { continue }
            best = (time, path)
        }
        guard let best else { return nil }
        if best.path.room > 0 { return best.path.index }
        return work.isReinjection ? paths.first(of: preference) { $0.room > 0 }?.index : nil
    }
}
