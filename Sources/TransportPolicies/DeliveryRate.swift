public import TransportValues

/// Estimates at what rate the network delivers (draft-cheng-iccrg-delivery-rate-estimation-02; draft-ietf-ccwg-bbr-06
/// §4.1): the sender's counters, of which each packet takes a copy along.
public struct DeliveryRateEstimator: Sendable, BitwiseCopyable {
    /// C.delivered, bytes.
    public private(set) var delivered: Int64 = 0
    /// C.delivered_time.
    private var deliveredAt = MonotonicInstant.zero
    /// C.first_send_time.
    private var firstSentAt = MonotonicInstant.zero
    /// C.app_limited: up to here the application, not the network, limited; 0: not now.
    private var limitedUntil: Int64 = 0
    /// C.lost, bytes.
    public private(set) var lost: Int64 = 0

    public init() {}

    /// What a packet takes along.
    public struct Stamp: Sendable, BitwiseCopyable, Equatable {
        public var delivered: Int64 = 0
        public var deliveredAt = MonotonicInstant.zero
        public var firstSentAt = MonotonicInstant.zero
        public var lost: Int64 = 0
        /// Bytes in flight with this packet.
        public var inFlight: Int32 = 0
        public var isApplicationLimited = false

        public init() {}
    }

    /// A packet goes out.
    /// - Parameters:
    ///   - inFlightBefore: bytes in flight without it.
    ///   - size: its bytes.
    public mutating func stamp(inFlightBefore: Int, size: Int, now: MonotonicInstant) -> Stamp {
        if inFlightBefore <= 0 {
            firstSentAt = now
            deliveredAt = now
        }
        var stamp = Stamp()
        stamp.delivered = delivered
        stamp.deliveredAt = deliveredAt
        stamp.firstSentAt = firstSentAt
        stamp.lost = lost
        stamp.inFlight = Int32(clamping: max(0, inFlightBefore) &+ max(0, size))
        stamp.isApplicationLimited = limitedUntil != 0
        return stamp
    }

    /// There was nothing more to send although the window had room.
    public mutating func applicationLimits(inFlight: Int) {
        limitedUntil = max(1, delivered &+ Int64(max(0, inFlight)))
    }

    public mutating func packetLost(_ size: Int) { lost &+= Int64(max(0, size)) }

    /// Collects what one acknowledgement delivers.
    public struct Collection: Sendable, BitwiseCopyable {
        fileprivate var stamp = Stamp()
        fileprivate var sentAt = MonotonicInstant.zero
        fileprivate var end: Int64 = 0
        fileprivate var hasPacket = false
        fileprivate var bytes: Int64 = 0

        public init() {}

        /// Bytes of a packet of which it is not known which transmission arrived.
        @inline(__always)
        public mutating func add(bytes: Int) { self.bytes &+= Int64(bytes) }

        /// A packet that was not counted as delivered before: the one sent latest gives the sample.
        @inline(__always)
        public mutating func add(_ stamp: Stamp, sentAt: MonotonicInstant, end: Int64, bytes: Int) {
            self.bytes &+= Int64(bytes)
            guard !hasPacket || sentAt > self.sentAt || (sentAt == self.sentAt && end > self.end) else { return }
            hasPacket = true
            self.stamp = stamp
            self.sentAt = sentAt
            self.end = end
        }
    }

    /// The sample of one acknowledgement; nil when it delivered nothing.
    public mutating func sample(_ collection: Collection, minimumRoundTrip: TimeSpan, now: MonotonicInstant)
        -> RateSample?
    {
        guard collection.bytes > 0 else { return nil }
        delivered &+= collection.bytes
        deliveredAt = now
        guard collection.hasPacket else { return nil }
        if limitedUntil != 0, delivered > limitedUntil { limitedUntil = 0 }
        firstSentAt = max(firstSentAt, collection.sentAt)
        let stamp = collection.stamp
        var sample = RateSample()
        sample.newlyDelivered = Int(collection.bytes)
        sample.totalDelivered = delivered
        sample.priorDelivered = stamp.delivered
        sample.delivered = Int(delivered &- stamp.delivered)
        sample.lost = Int(max(0, lost &- stamp.lost))
        sample.inFlightWhenSent = Int(stamp.inFlight)
        sample.isApplicationLimited = stamp.isApplicationLimited
        sample.roundTrip = max(now - collection.sentAt, .zero)
        //= draft-cheng-iccrg-delivery-rate-estimation-02 §3.3: the longer of the send and the acknowledgement interval;
        // one shorter than the least round trip is no sample
        let interval = max(collection.sentAt - stamp.firstSentAt, now - stamp.deliveredAt)
        if interval > .zero, interval >= minimumRoundTrip {
            sample.rate = Double(sample.delivered) / interval.seconds
        }
        return sample
    }
}

/// What one acknowledgement tells about the path (RS in draft-ietf-ccwg-bbr-06 §4.1).
public struct RateSample: Sendable, BitwiseCopyable {
    /// RS.delivery_rate, bytes a second; 0: the sample gives none.
    public var rate = 0.0
    /// RS.newly_acked, bytes.
    public var newlyDelivered = 0
    /// C.delivered.
    public var totalDelivered: Int64 = 0
    /// RS.prior_delivered.
    public var priorDelivered: Int64 = 0
    /// RS.delivered: bytes over the sample's interval.
    public var delivered = 0
    /// RS.lost: bytes found lost since its packet was sent.
    public var lost = 0
    /// RS.tx_in_flight.
    public var inFlightWhenSent = 0
    public var isApplicationLimited = false
    /// RS.rtt: of the packet that was sent latest.
    public var roundTrip = TimeSpan.zero

    public init() {}
}
