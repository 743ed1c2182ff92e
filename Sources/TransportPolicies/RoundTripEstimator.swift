public import TransportValues

/// Smoothed round-trip time and retransmission timeout of one path (RFC 6298).
///
/// The caller keeps Karn's rule (RFC 6298 §3): it hands in no sample of a segment that was sent more than once, unless
/// a timestamp tells the two apart.
public struct RoundTripEstimator: Sendable, BitwiseCopyable {
    /// The timeout before the first sample (RFC 6298 §2, rule 2.1).
    public static let initialTimeout = TimeSpan.seconds(1 as Int64)
    /// The least value of the variance term of the timeout.
    ///
    /// Deviation from RFC 6298 §2 rule 2.4, which SHOULDs a timeout of at least 1 s: like Linux we add at least
    /// 200 ms, the longest delayed acknowledgement of deployed receivers, to the smoothed round trip.
    public static let varianceFloor = TimeSpan.milliseconds(200)
    /// The longest timeout, back-off included (RFC 6298 §2 rule 2.5 asks for at least 60 s).
    public static let maximumTimeout = TimeSpan.seconds(120 as Int64)

    /// SRTT; zero before the first sample.
    public private(set) var smoothed = TimeSpan.zero
    /// RTTVAR; zero before the first sample.
    public private(set) var variance = TimeSpan.zero
    /// The lowest sample so far; zero before the first.
    public private(set) var minimum = TimeSpan.zero
    /// The last sample; zero before the first.
    public private(set) var latest = TimeSpan.zero
    public private(set) var hasSample = false
    /// When the last sample was taken.
    public private(set) var lastSample = MonotonicInstant.zero
    /// SRTT + max(floor, 4 · RTTVAR), at most ``maximumTimeout``; without back-off.
    public private(set) var retransmissionTimeout = RoundTripEstimator.initialTimeout

    public init() {}

    /// Takes a measurement.
    /// - Parameters:
    ///   - measured: the round trip; a negative value counts as zero, more than 120 s as 120 s.
    ///   - expectedSamples: how many samples one round trip brings; the gains are divided by it (RFC 7323 appendix G).
    public mutating func sample(_ measured: TimeSpan, now: MonotonicInstant, expectedSamples: Int = 1) {
        let value = min(max(measured, .zero), Self.maximumTimeout)
        latest = value
        lastSample = now
        if !hasSample {
            //= RFC 6298 §2 rule 2.2: SRTT <- R, RTTVAR <- R/2
            hasSample = true
            smoothed = value
            variance = value / 2
            minimum = value
        } else {
            //= RFC 6298 §2 rule 2.3: RTTVAR before SRTT, with beta = 1/4 and alpha = 1/8
            let samples = Int64(min(max(expectedSamples, 1), 1024))
            let difference = smoothed - value
            let deviation = difference < .zero ? value - smoothed : difference
            variance = variance + (deviation - variance) / (4 * samples)
            smoothed = smoothed + (value - smoothed) / (8 * samples)
            minimum = min(minimum, value)
        }
        retransmissionTimeout = min(smoothed + max(Self.varianceFloor, variance * 4), Self.maximumTimeout)
    }

    /// Forgets everything, for a path that has changed (RFC 6298 §5: SRTT and RTTVAR MAY be cleared after back-off).
    public mutating func reset() { self = RoundTripEstimator() }
}
