import TransportValues

/// Blocking estimation: the slower path is left idle where the faster one would run against the peer's window while the
/// slower's data is under way (Ferlin, Alay, Mehani, Boreli: "BLEST", IFIP Networking 2016).
public struct BLESTScheduler: SchedulingPolicy {
    /// By how much the faster path's bytes are multiplied; grows with every blocking that was not foreseen.
    private var scale = 1.0

    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        guard let fastest = paths.first(of: preference, where: { _ in true }) else { return nil }
        if fastest.room > 0 { return fastest.index }
        guard let choice = paths.first(of: preference, where: { $0.room > 0 }) else { return nil }
        if work.isReinjection || fastest.inFlight == 0 { return choice.index }
        // What the fast path sends in one round trip of the slow one, its window growing by a segment each of its own.
        let rounds = Double(choice.smoothedRoundTrip.nanoseconds)
            / Double(max(1, fastest.smoothedRoundTrip.nanoseconds))
        let segment = Double(max(1, fastest.maximumSegmentSize))
        let window = Double(fastest.congestionWindow) / segment
        let sent = segment * (window + (rounds - 1) / 2) * rounds
        return sent * scale > Double(work.window) - Double(choice.inFlight) ? nil : choice.index
    }
}
