public import TransportValues

// What happens to a subflow, as its controller is told; each event is one of its own.
extension CongestionController {
    /// Something was delivered.
    public mutating func acknowledged(_ report: DeliveryReport) {
        switch self {
        case .newReno(var state):
            state.acknowledged(report)
            self = .newReno(state)
        case .cubic(var state):
            state.acknowledged(report)
            self = .cubic(state)
        case .bbr(var state):
            state.acknowledged(report)
            self = .bbr(state)
        case .coupled(var state):
            state.acknowledged(report)
            self = .coupled(state)
        }
    }

    /// Packets were found lost: for those that count each, beside ``lost(inFlight:now:)``.
    public mutating func packetsLost(_ report: LossReport) {
        switch self {
        case .bbr(var state):
            state.packetsLost(report)
            self = .bbr(state)
        case .newReno, .cubic, .coupled: break
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
        case .bbr(var state):
            state.lost()
            self = .bbr(state)
        case .coupled(var state):
            state.lost(inFlight: inFlight)
            self = .coupled(state)
        }
    }

    /// A router marked packets instead of dropping them: once for each window.
    /// - Parameter inFlight: FlightSize in bytes.
    public mutating func ecnMarked(inFlight: Int, now: MonotonicInstant) {
        //= RFC 3168 §6.1.2, RFC 9438 §4.6: the response is that to a loss; nothing is to be repaired
        lost(inFlight: inFlight, now: now)
        recovered(now: now)
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
        case .bbr(var state):
            state.timedOut(inFlight: inFlight)
            self = .bbr(state)
        case .coupled(var state):
            state.timedOut(inFlight: inFlight)
            self = .coupled(state)
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
        case .bbr(var state):
            state.recovered()
            self = .bbr(state)
        case .coupled: break
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
        case .bbr(var state):
            state.spurious()
            self = .bbr(state)
        case .coupled(var state):
            state.spurious()
            self = .coupled(state)
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
        case .bbr(var state):
            state.segment = Double(max(1, min(size, 1 << 20)))
            self = .bbr(state)
        case .coupled(var state):
            state.maximumSegmentSizeChanged(size)
            self = .coupled(state)
        }
    }

    /// The sender sends again with nothing in flight, after it sent nothing for `span`.
    /// - Parameters:
    ///   - isPaced: the window does not go out in one burst.
    ///   - initialWindow: the restart window in bytes.
    public mutating func idle(
        for span: TimeSpan, retransmissionTimeout: TimeSpan, isPaced: Bool, initialWindow: Int, now: MonotonicInstant
    ) {
        if case .bbr(var state) = self {
            state.restart(now: now)
            self = .bbr(state)
            return
        }
        //= RFC 5681 §4.1: SHOULD set cwnd to no more than RW after more than one RTO without sending; RW = min(IW, cwnd)
        //= RFC 7661 §4.4: in its place a window that was used may be kept for five minutes, if it is not sent in a burst
        guard span > (isPaced ? Self.validationPeriod : retransmissionTimeout) else { return }
        switch self {
        case .newReno(var state):
            state.restart(at: initialWindow)
            self = .newReno(state)
        case .cubic(var state):
            state.restart(at: initialWindow)
            self = .cubic(state)
        case .coupled(var state):
            state.restart(at: initialWindow)
            self = .coupled(state)
        case .bbr: break
        }
    }

    /// RFC 7661 §4.1: the non-validated period.
    public static let validationPeriod = TimeSpan.seconds(300)
}
