public import TransportValues

/// Spreads packets over time: bursts of about a millisecond, none before the last has had its time at the rate.
///
/// Bursts, since a packet of its own timer would cost more than it gives, and since a device that segments takes up to
/// 64 KB at once. What a late timer missed is made good within one burst. A value; the caller owns time and timers.
public struct Pacer: Sendable, BitwiseCopyable {
    /// Bytes that may go out at once when pacing begins, or begins again after everything was acknowledged.
    private var credit: Int
    /// When the next burst may begin.
    private var next = MonotonicInstant.zero
    /// Bytes left of the present burst.
    private var rest = 0

    /// The time that one burst stands for.
    public static let burst = TimeSpan.milliseconds(1)

    /// - Parameter credit: bytes that are not paced at first: the initial window (RFC 6928).
    public init(credit: Int) { self.credit = max(0, credit) }

    /// When more may be sent than ``room(now:)`` says; in the past, or the past itself, when it is open.
    public var nextDeparture: MonotonicInstant { credit > 0 || rest > 0 ? .zero : next }

    /// Bytes that may go out now: 0, or the rest of a burst.
    /// - Parameters:
    ///   - rate: bytes a second; 0: no pacing.
    ///   - segment: SMSS.
    public func room(rate: Int, segment: Int, now: MonotonicInstant) -> Int {
        if rate <= 0 { return .max }
        if credit > 0 { return credit }
        if next <= now { return Self.quantum(rate: rate, segment: segment) }
        return rest
    }

    /// Whether nothing may go out now.
    public func isClosed(rate: Int, now: MonotonicInstant) -> Bool {
        rate > 0 && credit <= 0 && rest <= 0 && next > now
    }

    /// The bytes of one burst: a millisecond's, two segments at least.
    public static func quantum(rate: Int, segment: Int) -> Int {
        max(2 * max(1, segment), min(rate, 1 << 40) / 1_000)
    }

    /// `bytes` went out.
    public mutating func sent(_ bytes: Int, rate: Int, segment: Int, now: MonotonicInstant) {
        guard rate > 0, bytes > 0 else { return }
        if credit > 0 {
            credit = max(0, credit &- bytes)
            next = max(next, now)
            return
        }
        if next <= now {
            rest = Self.quantum(rate: rate, segment: segment)
            // A timer that fired late has cost up to a burst's time; no more is made good.
            next = max(next, now - Self.burst)
        }
        rest = max(0, rest &- bytes)
        next = next + .nanoseconds(Self.time(bytes, rate))
    }

    /// Everything is acknowledged, and the sender may begin anew with a burst of `bytes`.
    public mutating func restart(credit bytes: Int) {
        credit = max(0, bytes)
        rest = 0
    }

    /// Nanoseconds of `bytes` at `rate`.
    private static func time(_ bytes: Int, _ rate: Int) -> Int64 {
        Int64(min(bytes, 1 << 30)) &* 1_000_000_000 / Int64(rate)
    }
}
