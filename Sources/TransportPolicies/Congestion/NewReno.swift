/// Reno's congestion window with appropriate byte counting (RFC 5681, RFC 6582, RFC 3465).
public struct NewReno: Sendable, BitwiseCopyable {
    /// Bytes.
    public private(set) var window: Int
    /// Bytes; `Int.max` before the first congestion event.
    public private(set) var slowStartThreshold = Int.max
    private var segment: Int
    /// Bytes acknowledged towards the next segment of congestion avoidance (RFC 3465 §2.1).
    private var counted = 0
    private var undo: Undo?
    private var start = HyStart()

    private struct Undo: Sendable, BitwiseCopyable {
        var window: Int
        var slowStartThreshold: Int
    }

    public init(maximumSegmentSize: Int, initialWindow: Int) {
        segment = max(1, min(maximumSegmentSize, 1 << 20))
        window = min(max(segment, initialWindow), maximumCongestionWindow)
    }

    mutating func acknowledged(_ report: DeliveryReport) {
        var rest = min(max(0, report.bytes), maximumCongestionWindow)
        guard report.isWindowLimited, report.advances, !report.isInRecovery, rest > 0 else { return }
        if window < slowStartThreshold, start.acknowledged(roundTrip: report.roundTrip, startsRound: report.startsRound)
        {
            slowStartThreshold = window
        }
        if window < slowStartThreshold {
            // RFC 3465 §2.2 grows by at most L = 2 · SMSS an acknowledgement. A receiver behind segmentation offload
            // acknowledges up to 64 KB at once; with L its sender would leave slow start's doubling. The subflow
            // counts delivered bytes, so an acknowledgement that jumps over selectively delivered data adds nothing
            // twice; that is what L guards against.
            let step = min(Int(start.growth(Double(rest))), slowStartThreshold - window)
            window = min(window + step, maximumCongestionWindow)
            rest -= step
            if window < slowStartThreshold { return }
        }
        if rest == 0 { return }
        //= RFC 5681 §3.1: congestion avoidance, about one SMSS a round trip; counted in bytes (RFC 3465 §2.1)
        counted += rest
        if counted >= window {
            counted -= window
            window = min(window + segment, maximumCongestionWindow)
            counted = min(counted, window)
        }
    }

    private mutating func remember() {
        undo = Undo(window: window, slowStartThreshold: slowStartThreshold)
        start.congestionSeen()
    }

    private func halved(_ inFlight: Int) -> Int {
        //= RFC 5681 §3.1 equation 4: ssthresh = max (FlightSize / 2, 2*SMSS)
        max(min(max(0, inFlight), maximumCongestionWindow) / 2, 2 * segment)
    }

    mutating func lost(inFlight: Int) {
        remember()
        slowStartThreshold = halved(inFlight)
        window = slowStartThreshold
        counted = 0
    }

    mutating func timedOut(inFlight: Int) {
        remember()
        slowStartThreshold = halved(inFlight)
        //= RFC 5681 §3.1: upon a timeout cwnd MUST be set to no more than the loss window, one full-sized segment
        window = segment
        counted = 0
    }

    mutating func recovered() {
        //= RFC 6582 §3.2 step 3 (full acknowledgement): deflate to ssthresh; the window was never inflated here
        counted = 0
    }

    mutating func restart(at size: Int) {
        window = min(window, max(size, segment))
        counted = 0
    }

    mutating func spurious() {
        guard let before = undo else { return }
        window = max(window, before.window)
        slowStartThreshold = max(slowStartThreshold, before.slowStartThreshold)
        undo = nil
    }

    mutating func maximumSegmentSizeChanged(_ size: Int) {
        segment = max(1, min(size, 1 << 20))
        window = max(window, segment)
        slowStartThreshold = max(slowStartThreshold, 2 * segment)
    }
}
