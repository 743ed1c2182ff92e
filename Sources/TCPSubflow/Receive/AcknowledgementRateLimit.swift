import TransportValues

/// Allows so many acknowledgements a period, for those that a hostile or confused peer can provoke.
struct AcknowledgementRateLimit: BitwiseCopyable {
    let count: Int
    let period: TimeSpan
    private var used = 0
    private var began: MonotonicInstant?

    init(count: Int, period: TimeSpan) {
        self.count = count
        self.period = period
    }

    mutating func allow(now: MonotonicInstant) -> Bool {
        if let start = began, now - start < period {
            guard used < count else { return false }
            used &+= 1
            return true
        }
        began = now
        used = 1
        return true
    }
}
