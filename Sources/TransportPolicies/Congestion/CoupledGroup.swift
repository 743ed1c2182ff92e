public import TransportValues

/// What coupled congestion control needs to know of one subflow.
public struct CoupledShare: Sendable, BitwiseCopyable {
    /// Congestion window in bytes.
    public var window: Int
    /// SRTT; zero if unknown.
    public var roundTrip: TimeSpan
    /// l_r of OLIA: the larger of the bytes acknowledged since the last loss and between the last two.
    public var interval: Int64

    public init(window: Int, roundTrip: TimeSpan, interval: Int64) {
        self.window = window
        self.roundTrip = roundTrip
        self.interval = interval
    }

    fileprivate var seconds: Double { max(roundTrip.seconds, 1e-6) }
    /// x_r = w_r / rtt_r in bytes a second.
    var rate: Double { Double(max(0, window)) / seconds }
    /// OLIA's quality of a path, l_r² / rtt_r.
    fileprivate var quality: Double { Double(max(0, interval)) * Double(max(0, interval)) / seconds }
}

/// The subflows of one connection as their coupled controllers see them together: sums and maxima, computed by the
/// connection when an acknowledgement arrives, and handed down as a value.
///
/// First ``measure(_:)`` each subflow that may carry data, then ``rank(_:)`` each, then set ``own``.
public struct CoupledGroup: Sendable, BitwiseCopyable {
    /// How many subflows; 0: the controller is alone.
    public private(set) var paths = 0
    /// Σ w_i in bytes.
    private(set) var totalWindow = 0.0
    /// Σ w_i / rtt_i, bytes a second.
    private(set) var totalRate = 0.0
    /// max w_i / rtt_i.
    private(set) var highestRate = 0.0
    /// max w_i / rtt_i², bytes a second².
    private(set) var highestGain = 0.0
    private var widest = 0
    private var bestQuality = 0.0
    /// |M| of OLIA: subflows with the largest window; |B \ M|: the best by quality that are not among those.
    private(set) var widestCount = 0
    private(set) var collectedCount = 0
    /// The subflow for which this is.
    public var own: CoupledShare?

    public init() {}

    public mutating func measure(_ share: CoupledShare) {
        paths += 1
        totalWindow += Double(max(0, share.window))
        totalRate += share.rate
        highestRate = max(highestRate, share.rate)
        highestGain = max(highestGain, share.rate / share.seconds)
        widest = max(widest, share.window)
        bestQuality = max(bestQuality, share.quality)
    }

    public mutating func rank(_ share: CoupledShare) {
        if isWidest(share) { widestCount += 1 } else if isBest(share) { collectedCount += 1 }
    }

    func isWidest(_ share: CoupledShare) -> Bool { share.window >= widest }
    func isBest(_ share: CoupledShare) -> Bool { share.quality >= bestQuality }
}
