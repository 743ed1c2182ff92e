import TransportValues

/// BBR version 3 (draft-ietf-ccwg-bbr-06): a model of the path, its bandwidth and its least round trip, decides how fast
/// and how much to send; losses bound the model where they exceed 2 %.
///
/// The draft's names are kept in comments where ours differ. Rates are bytes a second, volumes bytes. Deviation: losses
/// that one acknowledgement reveals are taken together (§5.5.10.2 looks at each packet).
public struct BBR: Sendable, BitwiseCopyable {
    enum Phase: UInt8, Sendable, BitwiseCopyable {
        case startup, drain, probeDown, probeCruise, probeRefill, probeUp, probeRoundTrip

        var isProbeBandwidth: Bool {
            switch self {
            case .probeDown, .probeCruise, .probeRefill, .probeUp: true
            case .startup, .drain, .probeRoundTrip: false
            }
        }
        var isAccelerating: Bool { self == .startup || self == .probeRefill || self == .probeUp }
    }

    enum AcknowledgementPhase: UInt8, Sendable, BitwiseCopyable {
        case initial, refilling, probeStarting, probeFeedback, probeStopping
    }

    //= draft-ietf-ccwg-bbr-06 §2: StartupPacingGain 2.77, DrainPacingGain 0.5, LossThresh 2 %, Beta 0.7, Headroom 0.15,
    // MinRTTFilterLen 10 s, ProbeRTTCwndGain 0.5, ProbeRTTDuration 200 ms, ProbeRTTInterval 5 s, PacingMarginPercent 1
    static let startupGain = 2.77
    static let drainGain = 0.5
    static let lossThreshold = 0.02
    static let beta = 0.7
    static let headroom = 0.15
    static let minimumFilter = TimeSpan.seconds(10)
    static let probeInterval = TimeSpan.seconds(5)
    static let probeDuration = TimeSpan.milliseconds(200)
    static let pacingMargin = 0.99

    var segment: Double
    let initialWindow: Double
    /// C.cwnd.
    var congestionWindow: Double
    /// C.pacing_rate.
    var pacingRate = 0.0
    var phase = Phase.startup
    var acknowledgementPhase = AcknowledgementPhase.initial

    // The rate of the path.
    var maximumRate = RateFilter()
    var shortTermRate = Double.infinity
    var rate = 0.0
    var latestRate = 0.0
    // Its volume.
    var longTermVolume = Double.infinity
    var shortTermVolume = Double.infinity
    var latestVolume = 0.0
    // Its round trip.
    var minimumRoundTrip = TimeSpan.nanoseconds(.max)
    var minimumStamp: MonotonicInstant?
    var probeMinimum = TimeSpan.nanoseconds(.max)
    var probeMinimumStamp = MonotonicInstant.zero
    var isProbeExpired = false
    var probeDone: MonotonicInstant?
    var isProbeRoundDone = false

    // Rounds.
    var nextRoundDelivered: Int64 = 0
    var startsRound = false
    var roundCount = 0
    var roundsSinceProbe = 0
    var lossRoundDelivered: Int64 = 0
    var startsLossRound = false
    var isLossInRound = false
    var lossEvents = 0
    var drainStart = 0

    // The full pipe.
    var fullRate = 0.0
    var fullRounds = 0
    var isFullNow = false
    var hasBeenFull = false

    // The cycle.
    var cycleStamp = MonotonicInstant.zero
    var probeWait = TimeSpan.zero
    var probeUpRounds = 0
    var probeUpAcknowledged = 0.0
    var probeUpPerIncrement = Double.infinity
    var isProbeSample = false
    var wasProbeTooHigh = false
    var wasProbePrecautionary = false
    var isRestartingIdle = false

    // Aggregation of acknowledgements.
    var extraStart = MonotonicInstant.zero
    var extraDelivered = 0.0
    var extraFilter = AggregationFilter()

    var priorWindow = 0.0
    var isInRecovery = false
    var undo = Undo()
    var random: UInt64
    var totalDelivered: Int64 = 0

    struct Undo: Sendable, BitwiseCopyable {
        var phase: Phase?
        var shortTermRate = 0.0
        var shortTermVolume = 0.0
        var longTermVolume = 0.0
    }

    /// The maximum over this and the last ProbeBW cycle (BBR.MaxBwFilterLen = 2).
    struct RateFilter: Sendable, BitwiseCopyable {
        private var previous = 0.0
        private var current = 0.0
        var value: Double { max(previous, current) }
        mutating func take(_ sample: Double) { current = max(current, sample) }
        mutating func advance() {
            // A cycle without any sample leaves the estimate as it is.
            guard current > 0 else { return }
            previous = current
            current = 0
        }
    }

    /// The maximum over ten rounds in two halves of five (BBR.ExtraAckedFilterLen = 10).
    struct AggregationFilter: Sendable, BitwiseCopyable {
        private var previous = 0.0
        private var current = 0.0
        private var began = 0
        var value: Double { max(previous, current) }
        mutating func take(_ sample: Double, round: Int, span: Int) {
            if round - began >= span {
                previous = current
                current = 0
                began = round
            }
            current = max(current, sample)
        }
    }

    public init(maximumSegmentSize: Int, initialWindow: Int, seed: UInt64) {
        segment = Double(max(1, min(maximumSegmentSize, 1 << 20)))
        self.initialWindow = max(segment, Double(min(max(0, initialWindow), maximumCongestionWindow)))
        congestionWindow = self.initialWindow
        random = seed | 1
    }

    public var window: Int { Int(min(max(congestionWindow, segment), Double(maximumCongestionWindow))) }

    /// BBR has no threshold; what it knows to be safe stands for it.
    public var slowStartThreshold: Int { hasBeenFull ? 1 : .max }

    /// Bytes a second; 0 before the first round trip is known.
    public var departureRate: Int { Int(min(max(pacingRate, 0), 1e12)) }

    /// Pacing gain of the phase (§5.6.1).
    var pacingGain: Double {
        switch phase {
        case .startup: Self.startupGain
        case .drain: Self.drainGain
        case .probeDown: 0.9
        case .probeUp: 1.25
        case .probeCruise, .probeRefill, .probeRoundTrip: 1
        }
    }

    var windowGain: Double {
        switch phase {
        case .probeUp: 2.25
        case .probeRoundTrip: 0.5
        case .startup, .drain, .probeDown, .probeCruise, .probeRefill: 2
        }
    }

    mutating func randomFraction() -> Double {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Double(random >> 11) / 0x1p53
    }

    // MARK: Volumes (§5.6.4.2)

    var leastWindow: Double { 4 * segment }

    func product(_ gain: Double, rate: Double) -> Double {
        if minimumRoundTrip == .nanoseconds(.max) { return initialWindow }
        return gain * rate * minimumRoundTrip.seconds
    }

    /// QuantizationBudget().
    func quantized(_ volume: Double) -> Double {
        let quantum = min(max(pacingRate / 1_000, 2 * segment), 65_536)
        return max(volume, 3 * quantum, leastWindow) + (phase == .probeUp ? 2 * segment : 0)
    }

    func inFlightTarget(_ gain: Double) -> Double { quantized(product(gain, rate: maximumRate.value)) }

    /// InflightWithHeadroom().
    var volumeWithHeadroom: Double {
        if longTermVolume.isInfinite { return .infinity }
        return max(longTermVolume - max(segment, Self.headroom * longTermVolume), leastWindow)
    }

    var probeWindow: Double { max(product(0.5, rate: rate), leastWindow) }

    // MARK: Control (§5.6)

    mutating func setPacingRate(gain: Double) {
        let value = gain * rate * Self.pacingMargin
        if hasBeenFull || value > pacingRate { pacingRate = value }
    }

    mutating func updateControl(_ sample: RateSample) {
        setPacingRate(gain: pacingGain)
        let newly = Double(sample.newlyDelivered)
        let most = quantized(product(windowGain, rate: rate) + extraFilter.value)
        if hasBeenFull {
            congestionWindow = min(congestionWindow + newly, most)
        } else if congestionWindow < most || Double(sample.totalDelivered) < initialWindow {
            congestionWindow += newly
        }
        congestionWindow = max(congestionWindow, leastWindow)
        if phase == .probeRoundTrip { congestionWindow = min(congestionWindow, probeWindow) }
        boundByModel()
        congestionWindow = min(congestionWindow, Double(maximumCongestionWindow))
    }

    private mutating func boundByModel() {
        var cap = Double.infinity
        switch phase {
        case .probeDown, .probeRefill, .probeUp: cap = longTermVolume
        case .probeCruise, .probeRoundTrip: cap = volumeWithHeadroom
        case .startup, .drain: break
        }
        cap = max(min(cap, shortTermVolume), leastWindow)
        congestionWindow = min(congestionWindow, cap)
    }

    mutating func saveWindow() {
        priorWindow =
            !isInRecovery && phase != .probeRoundTrip ? congestionWindow : max(priorWindow, congestionWindow)
    }

    mutating func restoreWindow() { congestionWindow = max(congestionWindow, priorWindow) }
}
