public import TransportValues

/// What one acknowledgement tells a congestion controller. Bytes, round trips and instants only.
public struct DeliveryReport: Sendable, BitwiseCopyable {
    /// Newly delivered by this acknowledgement: cumulatively, and selectively if that was not counted yet.
    public var bytes: Int
    /// In flight before it arrived, and now.
    public var inFlightBefore = 0
    public var inFlight = 0
    /// This window, not the application or the peer, held the sender back; a window does not grow otherwise (RFC 9438
    /// §5.8, RFC 7661 §4.3).
    public var isWindowLimited = true
    /// The cumulative acknowledgement moved.
    public var advances = true
    /// Fast recovery is under way: windows that follow losses hold still.
    public var isInRecovery = false
    /// It acknowledges what was sent after the last acknowledgement of which this was true.
    public var startsRound = false
    /// The sample that came with it, if any.
    public var roundTrip: TimeSpan?
    /// SRTT, and the least round trip so far; zero if unknown.
    public var smoothedRoundTrip = TimeSpan.zero
    public var minimumRoundTrip = TimeSpan.zero
    public var rate: RateSample?
    /// The siblings of this subflow, for coupled controllers.
    public var group = CoupledGroup()
    public var now: MonotonicInstant

    public init(bytes: Int, now: MonotonicInstant) {
        self.bytes = bytes
        self.now = now
    }
}

/// Packets were found lost.
public struct LossReport: Sendable, BitwiseCopyable {
    /// Bytes of the one of them that was sent latest.
    public var size: Int
    /// Bytes in flight when it was sent, it included.
    public var inFlightWhenSent: Int
    /// Bytes found lost since it was sent, itself included.
    public var lostSince: Int
    /// The application, not the network, limited when it was sent.
    public var isApplicationLimited: Bool
    /// C.delivered of draft-ietf-ccwg-bbr-06.
    public var totalDelivered: Int64
    public var now: MonotonicInstant

    public init(
        size: Int, inFlightWhenSent: Int, lostSince: Int, isApplicationLimited: Bool, totalDelivered: Int64,
        now: MonotonicInstant
    ) {
        self.size = size
        self.inFlightWhenSent = inFlightWhenSent
        self.lostSince = lostSince
        self.isApplicationLimited = isApplicationLimited
        self.totalDelivered = totalDelivered
        self.now = now
    }
}
