import TransportValues

/// Earliest completion first: waits for the faster path when everything that is left would be through it before the
/// slower one had carried a single segment (Lim, Nahum, Towsley, Gibbens: "ECF", CoNEXT 2017).
public struct ECFScheduler: SchedulingPolicy {
    /// Having waited makes it readier to wait again.
    private var isWaiting = false

    public init() {}

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        let preference = paths.bestPreference
        guard let fastest = paths.first(of: preference, where: { _ in true }) else { return nil }
        if fastest.room > 0 { return fastest.index }
        guard let choice = paths.first(of: preference, where: { $0.room > 0 }) else { return nil }
        if work.isReinjection || fastest.inFlight == 0 || work.backlog == .max { return choice.index }
        let hysteresis = isWaiting ? 1.25 : 1.0
        let variation = max(fastest.roundTripVariation, choice.roundTripVariation)
        let rounds = 1 + Double(work.backlog) / Double(max(1, fastest.congestionWindow))
        let fast = Double(fastest.smoothedRoundTrip.nanoseconds)
        let slow = Double(choice.smoothedRoundTrip.nanoseconds)
        if rounds * fast < hysteresis * (slow + Double(variation.nanoseconds)) {
            // And the slow path would not be done sooner with it all.
            let slowRounds = (Double(work.backlog) / Double(max(1, choice.congestionWindow))).rounded(.up)
            if slowRounds * slow >= 2 * fast + Double(variation.nanoseconds) {
                isWaiting = true
                return nil
            }
        } else {
            isWaiting = false
        }
        return choice.index
    }
}
