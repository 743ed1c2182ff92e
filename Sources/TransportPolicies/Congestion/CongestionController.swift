public import TransportValues

/// The congestion control algorithms that a subflow can run.
public enum CongestionAlgorithm: String, CaseIterable, Sendable {
    case cubic
    case newreno

    /// One line for help texts.
    public var summary: String {
        switch self {
        case .cubic: "CUBIC (RFC 9438): window grows as a cubic of the time since the last loss; the default"
        case .newreno: "NewReno (RFC 5681, RFC 6582): one segment more a round trip, half the window on loss"
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

    /// - Parameters:
    ///   - maximumSegmentSize: SMSS; less than 1 counts as 1.
    ///   - initialWindow: bytes; raised to one segment.
    public init(_ algorithm: CongestionAlgorithm, maximumSegmentSize: Int, initialWindow: Int) {
        switch algorithm {
        case .newreno:
            self = .newReno(NewReno(maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow))
        case .cubic:
            self = .cubic(Cubic(maximumSegmentSize: maximumSegmentSize, initialWindow: initialWindow))
        }
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
        }
    }

    /// The congestion window.
    public var window: Int {
        switch self {
        case .newReno(let state): state.window
        case .cubic(let state): state.window
        }
    }

    /// The slow start threshold; `Int.max` before the first congestion event.
    public var slowStartThreshold: Int {
        switch self {
        case .newReno(let state): state.slowStartThreshold
        case .cubic(let state): state.slowStartThreshold
        }
    }

    public var isInSlowStart: Bool { window < slowStartThreshold }

    /// New data was delivered outside loss recovery.
    /// - Parameters:
    ///   - bytes: newly delivered by this acknowledgement: cumulatively, and selectively if that was not counted yet.
    ///   - inFlightBefore: bytes in flight before it arrived.
    ///   - isWindowLimited: whether this window, not the application or the peer, held the sender back. The window
    ///     does not grow otherwise (RFC 9438 §5.8, RFC 7661).
    ///   - roundTrip: the sample that came with it, if any.
    ///   - smoothedRoundTrip: SRTT; zero if unknown.
    public mutating func acknowledged(
        bytes: Int, inFlightBefore: Int, isWindowLimited: Bool, roundTrip: TimeSpan?, smoothedRoundTrip: TimeSpan,
        now: MonotonicInstant
    ) {
        switch self {
        case .newReno(var state):
            state.acknowledged(bytes: bytes, isWindowLimited: isWindowLimited)
            self = .newReno(state)
        case .cubic(var state):
            state.acknowledged(
                bytes: bytes, isWindowLimited: isWindowLimited, smoothedRoundTrip: smoothedRoundTrip, now: now)
            self = .cubic(state)
        }
    }

    /// A loss was detected by acknowledgements and loss recovery begins: once for each window of loss.
    /// - Parameter inFlight: FlightSize: bytes sent and not cumulatively acknowledged.
    public mutating func lost(inFlight: Int, now: MonotonicInstant) {
        switch self {
        case .newReno(var state):
            state.lost(inFlight: inFlight)
            self = .newReno(state)
        case .cubic(var state):
            state.lost(inFlight: inFlight)
            self = .cubic(state)
        }
    }

    /// The retransmission timer expired for the first time for what is now outstanding.
    /// - Parameter inFlight: FlightSize in bytes.
    public mutating func timedOut(inFlight: Int, now: MonotonicInstant) {
        switch self {
        case .newReno(var state):
            state.timedOut(inFlight: inFlight)
            self = .newReno(state)
        case .cubic(var state):
            state.timedOut(inFlight: inFlight)
            self = .cubic(state)
        }
    }

    /// Loss recovery is over: everything that was outstanding when it began is acknowledged.
    public mutating func recovered(now: MonotonicInstant) {
        switch self {
        case .newReno(var state):
            state.recovered()
            self = .newReno(state)
        case .cubic(var state):
            state.recovered()
            self = .cubic(state)
        }
    }

    /// The sender sends again after it sent nothing for `span`.
    public mutating func idle(
        for span: TimeSpan, retransmissionTimeout: TimeSpan, initialWindow: Int, now: MonotonicInstant
    ) {
        //= RFC 5681 §4.1: SHOULD set cwnd to no more than RW after more than one RTO without sending; RW = min(IW, cwnd)
        guard span > retransmissionTimeout else { return }
        switch self {
        case .newReno(var state):
            state.restart(at: initialWindow)
            self = .newReno(state)
        case .cubic(var state):
            state.restart(at: initialWindow)
            self = .cubic(state)
        }
    }

    /// The last congestion event proved to be none: what it took is given back.
    public mutating func spurious(now: MonotonicInstant) {
        switch self {
        case .newReno(var state):
            state.spurious()
            self = .newReno(state)
        case .cubic(var state):
            state.spurious()
            self = .cubic(state)
        }
    }

    /// The path's segment size changed; the window keeps its bytes, but is at least one segment.
    public mutating func maximumSegmentSizeChanged(_ size: Int) {
        switch self {
        case .newReno(var state):
            state.maximumSegmentSizeChanged(size)
            self = .newReno(state)
        case .cubic(var state):
            state.maximumSegmentSizeChanged(size)
            self = .cubic(state)
        }
    }
}

/// No window grows beyond this many bytes: RFC 7323's largest receive window, so sums of windows never overflow.
let maximumCongestionWindow = 1 << 30
