import TransportValues

/// What the package's own tests look at and set; nothing outside the package may rely on it.
extension Subflow {
    /// The stream offset past the last byte that was ever advertised.
    package var receiveWindowEdge: Int64 { receiving.edge }
    /// How many disjoint ranges are held out of order.
    package var outOfOrderRangeCount: Int { receiving.ranges.ranges.count }
    /// Something beside keepalive will happen by itself: a retransmission, a probe, a delayed ACK, the end of TIME-WAIT.
    package var hasWorkTimer: Bool {
        min(
            min(timers.retransmission, timers.persist, timers.pacing), min(timers.timeWait, acknowledging.delayed))
            != .distantFuture
    }
    /// How far both directions are.
    package var progressDescription: String {
        "UNA \(send.unacknowledged) NXT \(send.next) edge \(send.peerWindowEdge) in flight \(inFlight) of \(congestionWindow), "
            + "timeouts \(timers.consecutiveTimeouts), RTO at \(timers.retransmission.nanoseconds), "
            + "RCV.NXT \(receiving.next), beyond \(receiving.ranges.ranges.first.map { "\($0)" } ?? "-")"
    }
    /// How many more segments are acknowledged at once, as after a connection's start.
    package var quickAcknowledgements: Int {
        get { Int(acknowledging.quick) }
        set { acknowledging.quick = .init(newValue) }
    }
}
