import TransportValues

/// CUBIC's congestion window (RFC 9438): concave towards the last saturation point, convex beyond it, and never less
/// than Reno would have.
///
/// The RFC's variables, in segments and seconds as there; only ``window`` and ``slowStartThreshold`` are bytes. Slow
/// start is HyStart++ (RFC 9438 §4.10 recommends it).
public struct Cubic: Sendable, BitwiseCopyable {
    /// β_cubic, RFC 9438 §4.6.
    static let beta = 0.7
    /// C in segments a second³, RFC 9438 §5.
    static let scale = 0.4
    /// α_cubic while W_est is below the last saturation point, RFC 9438 §4.3.
    static let alpha = 3 * (1 - beta) / (1 + beta)

    private var state: State
    private var undo: State?
    private var segment: Double
    private var start = HyStart()

    private struct State: Sendable, BitwiseCopyable {
        /// cwnd, segments.
        var window: Double
        /// ssthresh, segments; infinite before the first congestion event.
        var threshold = Double.infinity
        /// cwnd_prior.
        var windowPrior = 0.0
        /// W_max; zero while undefined.
        var windowMaximum = 0.0
        /// W_est.
        var windowReno = 0.0
        /// K, seconds.
        var plateau = 0.0
        /// t_epoch; nil outside congestion avoidance.
        var epoch: MonotonicInstant?
        /// Since when the application, not the window, limits; the cubic's clock stands still meanwhile.
        var limitedSince: MonotonicInstant?
        /// The next congestion avoidance stage starts with K = 0 (after a timeout, or a first one without loss).
        var startsFlat = true
    }

    public init(maximumSegmentSize: Int, initialWindow: Int) {
        segment = Double(max(1, min(maximumSegmentSize, 1 << 20)))
        state = State(window: max(1, Double(min(initialWindow, maximumCongestionWindow)) / segment))
    }

    /// cwnd in bytes, rounded. (`rounded()` would want the C library's mathematics at link time.)
    public var window: Int { Int(min(state.window * segment, Double(maximumCongestionWindow)) + 0.5) }

    /// ssthresh in bytes; `Int.max` before the first congestion event.
    public var slowStartThreshold: Int {
        state.threshold.isInfinite ? .max : Int(min(state.threshold * segment, 0x1p40) + 0.5)
    }

    mutating func acknowledged(_ report: DeliveryReport) {
        guard report.advances, !report.isInRecovery else { return }
        let now = report.now
        var segments = Double(min(max(0, report.bytes), maximumCongestionWindow)) / segment
        guard report.isWindowLimited else {
            //= RFC 9438 §4.2: the elapsed time t MUST NOT include periods during which cwnd has not been updated due
            //  to application-limited behavior
            if state.epoch != nil, state.limitedSince == nil { state.limitedSince = now }
            return
        }
        if let since = state.limitedSince {
            if let epoch = state.epoch { state.epoch = epoch + max(now - since, .zero) }
            state.limitedSince = nil
        }
        guard segments > 0 else { return }
        //= RFC 9438 §4.10: CUBIC MUST employ a slow-start algorithm, when cwnd is no more than ssthresh
        if state.window < state.threshold,
            start.acknowledged(roundTrip: report.roundTrip, startsRound: report.startsRound)
        {
            //= RFC 9406 §4.2: slow start is left without loss: ssthresh = cwnd
            state.threshold = state.window
        }
        if state.window < state.threshold {
            let step = min(start.growth(segments), state.threshold - state.window)
            state.window += step
            segments -= step
            clamp()
            if segments <= 0 || state.window < state.threshold { return }
        }
        if state.epoch == nil { beginStage(now) }
        avoidCongestion(segments, max(0, report.smoothedRoundTrip.seconds), now)
        clamp()
    }

    private mutating func clamp() {
        state.window = min(max(state.window, 1), Double(maximumCongestionWindow) / segment)
    }

    private mutating func beginStage(_ now: MonotonicInstant) {
        state.epoch = now
        state.limitedSince = nil
        state.windowReno = state.window
        if state.startsFlat || state.windowMaximum <= state.window {
            //= RFC 9438 §4.8 (timeout) and §4.10 (slow start left without loss): K = 0, W_max = cwnd
            if state.windowPrior == 0 { state.windowPrior = state.window }
            state.windowMaximum = state.window
            state.plateau = 0
            state.startsFlat = false
        } else {
            //= RFC 9438 §4.2 equation 2
            state.plateau = cubeRoot((state.windowMaximum - state.window) / Self.scale)
        }
    }

    /// W_cubic(t), equation 1.
    private func cubic(_ seconds: Double) -> Double {
        let distance = seconds - state.plateau
        return Self.scale * distance * distance * distance + state.windowMaximum
    }

    private mutating func avoidCongestion(_ segments: Double, _ roundTrip: Double, _ now: MonotonicInstant) {
        let elapsed = max(0, (now - (state.epoch ?? now)).seconds)
        //= RFC 9438 §4.3 equation 4, alpha 1 once W_est has reached cwnd_prior
        let alpha = state.windowReno >= state.windowPrior ? 1 : Self.alpha
        let share = min(1, segments / state.window)
        state.windowReno += alpha * share
        if cubic(elapsed) < state.windowReno {
            //= RFC 9438 §4.3: in the Reno-friendly region cwnd SHOULD be set to W_est
            state.window = max(state.window, state.windowReno)
            return
        }
        //= RFC 9438 §4.2: target within cwnd ... 1.5 cwnd; §4.4, §4.5: cwnd MUST grow by (target - cwnd) / cwnd
        let target = min(max(cubic(elapsed + roundTrip), state.window), 1.5 * state.window)
        state.window += (target - state.window) * share
    }

    private mutating func reduce(_ inFlight: Int) {
        undo = state
        start.congestionSeen()
        //= RFC 9438 §4.7 fast convergence: before the reduction, W_max below a shrinking saturation point
        let window = state.window
        state.windowMaximum = window < state.windowMaximum ? window * (1 + Self.beta) / 2 : window
        //= RFC 9438 §4.6: ssthresh = max(flight_size * beta, 2), cwnd_prior = cwnd
        state.windowPrior = window
        let flight = Double(min(max(0, inFlight), maximumCongestionWindow)) / segment
        state.threshold = max(flight * Self.beta, 2)
        state.epoch = nil
        state.limitedSince = nil
    }

    mutating func lost(inFlight: Int) {
        reduce(inFlight)
        state.window = state.threshold
        state.startsFlat = false
    }

    mutating func timedOut(inFlight: Int) {
        reduce(inFlight)
        state.window = 1
        state.startsFlat = true
    }

    mutating func recovered() {}

    mutating func restart(at size: Int) {
        state.window = min(state.window, max(1, Double(min(max(0, size), maximumCongestionWindow)) / segment))
        state.epoch = nil
        state.limitedSince = nil
        state.startsFlat = true
    }

    mutating func spurious() {
        //= RFC 9438 §4.9.2: restore if the current cwnd is lower than cwnd_prior
        if let before = undo, state.window < state.windowPrior { state = before }
        undo = nil
    }

    mutating func maximumSegmentSizeChanged(_ size: Int) {
        let fresh = Double(max(1, min(size, 1 << 20)))
        let ratio = segment / fresh
        segment = fresh
        state.window = max(1, state.window * ratio)
        state.threshold = max(2, state.threshold * ratio)
        state.windowPrior *= ratio
        state.windowMaximum *= ratio
        state.windowReno *= ratio
        undo = nil
        // K depends on the unit of W_max: the next acknowledgement starts a stage anew from here.
        state.epoch = nil
    }
}

/// The real cube root of a number ≥ 0 (0 for anything else), to within two units in the last place.
package func cubeRoot(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return 0 }
    // The exponent divided by three and the significand in 1 ..< 8 give a start within a factor of two; Newton's
    // iteration x − (x³ − v)/(3x²) then doubles the correct digits each time.
    let exponent = Int(value.exponent)
    let third = exponent >= 0 ? exponent / 3 : (exponent - 2) / 3
    let reduced = Double(sign: .plus, exponent: -3 * third, significand: value)
    var root = 1 + (reduced - 1) / 7
    for _ in 0..<7 {
        root -= (root * root * root - reduced) / (3 * root * root)
    }
    return Double(sign: .plus, exponent: third, significand: root)
}
