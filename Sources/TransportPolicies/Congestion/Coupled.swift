import TransportValues

/// Coupled congestion control: a Reno window whose growth in congestion avoidance depends on the sibling subflows. Slow
/// start is each subflow's own (RFC 6356 §3), and so is the response to loss, but for BALIA's.
///
/// Windows are counted in segments here; the formulas are those of the papers.
public struct Coupled: Sendable, BitwiseCopyable {
    public enum Rule: UInt8, Sendable, BitwiseCopyable {
        /// RFC 6356.
        case lia
        /// R. Khalili et al., "MPTCP is not Pareto-optimal", CoNEXT 2012; draft-khalili-mptcp-congestion-control-05.
        case olia
        /// Q. Peng et al., "Multipath TCP: Analysis, Design and Implementation", ToN 2016;
        /// draft-walid-mptcp-congestion-control-04.
        case balia
        /// Y. Cao, M. Xu, X. Fu, "Delay-based Congestion Control for Multipath TCP", ICNP 2012.
        case wvegas
    }

    public let rule: Rule
    private var state: State
    private var undo: State?
    private var segment: Double
    /// Bytes acknowledged since the last loss, and between the last two.
    private var sinceLoss: Int64 = 0
    private var betweenLosses: Int64 = 0
    private var start = HyStart()
    private var vegas = VegasState()
    /// The siblings at the last acknowledgement.
    private var group = CoupledGroup()

    private struct State: Sendable, BitwiseCopyable {
        var window: Double
        var threshold = Double.infinity
    }

    private struct VegasState: Sendable, BitwiseCopyable {
        /// Segments that this subflow tries to keep in queues.
        var target = Self.leastTarget
        /// The least round trip so far, the sum and number of samples in this round.
        var base = Double.infinity
        var sum = 0.0
        var samples = 0
        /// The least queueing delay since the last drain; 0: none seen.
        var leastDelay = 0.0

        /// The sum of all subflows' targets, and the least of one, in segments.
        static let total = 10.0
        static let leastTarget = 2.0
    }

    public init(_ rule: Rule, maximumSegmentSize: Int, initialWindow: Int) {
        self.rule = rule
        segment = Double(max(1, min(maximumSegmentSize, 1 << 20)))
        state = State(window: max(1, Double(min(initialWindow, maximumCongestionWindow)) / segment))
    }

    public var window: Int { Int(min(state.window * segment, Double(maximumCongestionWindow)) + 0.5) }

    public var slowStartThreshold: Int {
        state.threshold.isInfinite ? .max : Int(min(state.threshold * segment, 0x1p40) + 0.5)
    }

    /// OLIA's l_r in bytes.
    public var interval: Int64 { max(sinceLoss, betweenLosses) }

    mutating func acknowledged(_ report: DeliveryReport) {
        let bytes = min(max(0, report.bytes), maximumCongestionWindow)
        sinceLoss = min(sinceLoss &+ Int64(bytes), 1 << 50)
        group = report.group
        if rule == .wvegas { observe(report) }
        guard report.isWindowLimited, report.advances, !report.isInRecovery, bytes > 0 else { return }
        var segments = Double(bytes) / segment
        if state.window < state.threshold {
            if start.acknowledged(roundTrip: report.roundTrip, startsRound: report.startsRound) {
                state.threshold = max(2, state.window)
            } else {
                let step = min(start.growth(segments), state.threshold - state.window)
                state.window += step
                segments -= step
                if state.window < state.threshold { segments = 0 }
            }
        }
        if segments > 0 {
            avoidCongestion(segments)
            // A window that gives way to a sibling does not fall back into slow start.
            state.threshold = min(state.threshold, max(1, state.window))
        }
        state.window = min(max(state.window, 1), Double(maximumCongestionWindow) / segment)
    }

    private mutating func avoidCongestion(_ segments: Double) {
        guard let own = group.own, group.paths > 1, group.totalRate > 0, own.rate > 0 else {
            // Alone each rule but the delay-based one is Reno's.
            if rule != .wvegas { state.window += segments / state.window }
            return
        }
        let seconds = max(own.roundTrip.seconds, 1e-6)
        switch rule {
        case .lia:
            //= RFC 6356 §3: the smaller of alpha * bytes_acked * MSS_i / cwnd_total and bytes_acked * MSS_i / cwnd_i,
            // alpha = cwnd_total * max(cwnd_i / rtt_i^2) / (sum(cwnd_i / rtt_i))^2
            let coupled = group.highestGain / (group.totalRate * group.totalRate)
            state.window += segments * min(coupled * segment, 1 / state.window)
        case .olia:
            let even = own.rate / seconds / (group.totalRate * group.totalRate)
            state.window += segments * (even * segment + oliaShift(own) / state.window)
        case .balia:
            let ratio = group.highestRate / own.rate
            let even = own.rate / seconds / (group.totalRate * group.totalRate)
            state.window += segments * even * segment * (1 + ratio) / 2 * (4 + ratio) / 5
        case .wvegas:
            break
        }
    }

    /// α_r of OLIA: traffic moves from the widest paths to the best ones that are not among those.
    private func oliaShift(_ own: CoupledShare) -> Double {
        guard group.collectedCount > 0 else { return 0 }
        let paths = Double(group.paths)
        if group.isWidest(own) { return -1 / (paths * Double(max(1, group.widestCount))) }
        return group.isBest(own) ? 1 / (paths * Double(group.collectedCount)) : 0
    }

    // MARK: wVegas

    private mutating func observe(_ report: DeliveryReport) {
        if report.startsRound, vegas.samples > 0, !report.isInRecovery {
            let mean = vegas.sum / Double(vegas.samples)
            vegas.sum = 0
            vegas.samples = 0
            if mean > 0 { adjust(mean) }
        }
        if let sample = report.roundTrip, sample > .zero {
            vegas.base = min(vegas.base, sample.seconds)
            vegas.sum += sample.seconds
            vegas.samples += 1
        }
    }

    /// Once a round trip, whose mean this is.
    private mutating func adjust(_ mean: Double) {
        let queued = state.window * (mean - vegas.base) / mean
        if state.window < state.threshold {
            // Slow start ends with the first segment that waits.
            guard queued > 1 else { return }
            state.window = max(2, min(state.window, state.window * vegas.base / mean + 1))
            state.threshold = state.window
            return
        }
        if queued >= vegas.target, group.totalRate > 0, let own = group.own {
            vegas.target = max(VegasState.leastTarget, own.rate / group.totalRate * VegasState.total)
        }
        if group.paths <= 1 { vegas.target = VegasState.total }
        if queued > vegas.target {
            state.window = max(2, state.window - 1)
        } else if queued < vegas.target {
            state.window += 1
        }
        // Queues that stand are drained, so that the least round trip can be seen.
        let delay = mean - vegas.base
        if vegas.leastDelay == 0 || vegas.leastDelay > delay { vegas.leastDelay = delay }
        if queued > vegas.target, delay >= 2 * vegas.leastDelay, vegas.leastDelay > 0 {
            state.window = max(2, state.window * vegas.base / (2 * mean) + 1)
            vegas.leastDelay = 0
        }
        state.threshold = min(state.threshold, max(2, state.window - 1))
    }

    // MARK: Loss

    private mutating func reduce(_ inFlight: Int) {
        undo = state
        start.congestionSeen()
        betweenLosses = sinceLoss
        sinceLoss = 0
        var factor = 0.5
        if rule == .balia, let own = group.own, group.paths > 1, own.rate > 0 {
            factor = 1 - min(group.highestRate / own.rate, 1.5) / 2
        }
        let flight = Double(min(max(0, inFlight), maximumCongestionWindow)) / segment
        //= RFC 5681 §3.1 equation 4; with several subflows a window may fall to one segment (OLIA, BALIA)
        state.threshold = max(flight * factor, group.paths > 1 && rule != .lia ? 1 : 2)
    }

    mutating func lost(inFlight: Int) {
        reduce(inFlight)
        state.window = state.threshold
    }

    mutating func timedOut(inFlight: Int) {
        reduce(inFlight)
        state.window = 1
    }

    mutating func restart(at size: Int) {
        state.window = min(state.window, max(1, Double(min(max(0, size), maximumCongestionWindow)) / segment))
    }

    mutating func spurious() {
        guard let before = undo else { return }
        state.window = max(state.window, before.window)
        state.threshold = max(state.threshold, before.threshold)
        undo = nil
    }

    mutating func maximumSegmentSizeChanged(_ size: Int) {
        let fresh = Double(max(1, min(size, 1 << 20)))
        state.window = max(1, state.window * segment / fresh)
        state.threshold = max(2, state.threshold * segment / fresh)
        segment = fresh
        undo = nil
    }
}
