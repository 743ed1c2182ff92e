public import TransportValues

/// The congestion control algorithms that a subflow can run.
public enum CongestionAlgorithm: String, CaseIterable, Sendable {
    case cubic
    case newreno
    case bbr
    case lia
    case olia
    case balia
    case wvegas

    /// One line for help texts.
    public var summary: String {
        switch self {
        case .cubic: "CUBIC (RFC 9438): window grows as a cubic of the time since the last loss; the default"
        case .newreno: "NewReno (RFC 5681, RFC 6582): one segment more a round trip, half the window on loss"
        case .bbr: "BBR version 3 (draft-ietf-ccwg-bbr-06): paces at the measured bandwidth, bears up to 2 % of loss"
        case .lia: "LIA (RFC 6356): coupled; all subflows together take what one TCP would on the best path"
        case .olia: "OLIA: coupled, and moves traffic to the better paths faster than LIA"
        case .balia: "BALIA: coupled, between LIA's friendliness and its responsiveness"
        case .wvegas: "wVegas: coupled by delay; keeps ten segments in queues, in all"
        }
    }

    /// Whether subflows have to know of one another.
    public var isCoupled: Bool {
        switch self {
        case .lia, .olia, .balia, .wvegas: true
        case .cubic, .newreno, .bbr: false
        }
    }
}

/// The congestion window of one subflow. All sizes are bytes.
///
/// A closed enum over value types: a call costs a switch and no existential. The controller decides how large the
/// window is; which segments are lost, and when a loss is a new congestion event, is the subflow's knowledge.
public enum CongestionController: Sendable {
    case newReno(NewReno)
    case cubic(Cubic)
    case bbr(BBR)
    case coupled(Coupled)

    /// - Parameters:
    ///   - maximumSegmentSize: SMSS; less than 1 counts as 1.
    ///   - initialWindow: bytes; raised to one segment.
    ///   - seed: for what an algorithm draws at random.
    public init(_ algorithm: CongestionAlgorithm, maximumSegmentSize: Int, initialWindow: Int, seed: UInt64 = 1) {
        let coupled: Coupled.Rule
        switch algorithm {
        case .newreno:
            self = .newReno(NewReno(maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow))
            return
        case .cubic:
            self = .cubic(Cubic(maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow))
            return
        case .bbr:
            self = .bbr(BBR(maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow, seed: seed))
            return
        case .lia: coupled = .lia
        case .olia: coupled = .olia
        case .balia: coupled = .balia
        case .wvegas: coupled = .wvegas
        }
        self = .coupled(Coupled(coupled, maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow))
    }

    /// The initial window of RFC 6928: `segments` full segments, bounded below by 2 · SMSS and above by 14,600 bytes
    /// for ten segments of 1,460.
    public static func initialWindow(segments: Int, maximumSegmentSize: Int) -> Int {
        //= RFC 6928 §2: min(10 * MSS, max(2 * MSS, 14600))
        let count = min(max(segments, 1), 1_000)
        return min(count * maximumSegmentSize, max(2 * maximumSegmentSize, count * 1_460))
    }

    public var algorithm: CongestionAlgorithm {
        switch self {
        case .newReno: .newreno
        case .cubic: .cubic
        case .bbr: .bbr
        case .coupled(let state):
            switch state.rule {
            case .lia: .lia
            case .olia: .olia
            case .balia: .balia
            case .wvegas: .wvegas
            }
        }
    }

    /// The congestion window.
    public var window: Int {
        switch self {
        case .newReno(let state): state.window
        case .cubic(let state): state.window
        case .bbr(let state): state.window
        case .coupled(let state): state.window
        }
    }

    /// The slow start threshold; `Int.max` before the first congestion event.
    public var slowStartThreshold: Int {
        switch self {
        case .newReno(let state): state.slowStartThreshold
        case .cubic(let state): state.slowStartThreshold
        case .bbr(let state): state.slowStartThreshold
        case .coupled(let state): state.slowStartThreshold
        }
    }

    public var isInSlowStart: Bool { window < slowStartThreshold }

    /// Whether fast recovery's window is the subflow's by proportional rate reduction, or this one's.
    public var reducesProportionally: Bool {
        if case .bbr = self { return false }
        return true
    }

    /// OLIA's l_r; see ``CoupledShare``.
    public var lossInterval: Int64 {
        if case .coupled(let state) = self { return state.interval }
        return 0
    }

    /// At what rate to send, bytes a second; 0: as fast as the window lets.
    public func departureRate(smoothedRoundTrip: TimeSpan) -> Int {
        if case .bbr(let state) = self { return state.departureRate }
        guard smoothedRoundTrip > .zero else { return 0 }
        // Twice the window a round trip in slow start, which doubles it; a little more than one in avoidance, so that
        // the window remains what limits.
        let isEarly = window < slowStartThreshold / 2
        return Int(min(Double(window) * (isEarly ? 2 : 1.25) / smoothedRoundTrip.seconds, 1e12))
    }
}

/// No window grows beyond this many bytes: RFC 7323's largest receive window, so sums of windows never overflow.
let maximumCongestionWindow = 1 << 30
