public import TransportValues

/// What a scheduler sees of one subflow.
public struct PathSnapshot: Sendable, BitwiseCopyable {
    /// The caller's name for the path; a scheduler returns it.
    public var index: Int
    /// SRTT; zero while unknown.
    public var smoothedRoundTrip: TimeSpan
    /// RTTVAR (RFC 6298 §2).
    public var roundTripVariation = TimeSpan.zero
    /// Bytes.
    public var congestionWindow: Int
    /// Bytes.
    public var inFlight: Int
    /// Bytes that may be sent now.
    public var room: Int
    /// Bytes of payload in one segment.
    public var maximumSegmentSize: Int
    /// The peer or we asked to use it only when nothing else works (RFC 8684 §3.3.8).
    public var isBackup: Bool
    /// Its retransmission timer expired and nothing was acknowledged since.
    public var isStalled: Bool
    /// Share that the user wants it to carry, relative to the others'; for ``WeightedScheduler``.
    public var weight = 1
    /// Bytes sent first on this path, ever.
    public var bytesSent: UInt64 = 0

    public init(
        index: Int, smoothedRoundTrip: TimeSpan, congestionWindow: Int, inFlight: Int, room: Int,
        maximumSegmentSize: Int, isBackup: Bool = false, isStalled: Bool = false
    ) {
        self.index = index
        self.smoothedRoundTrip = smoothedRoundTrip
        self.congestionWindow = congestionWindow
        self.inFlight = inFlight
        self.room = room
        self.maximumSegmentSize = maximumSegmentSize
        self.isBackup = isBackup
        self.isStalled = isStalled
    }

    /// Paths of a higher class are not looked at while one of a lower class exists, even when that has no room now.
    ///
    ///= RFC 8684 §3.3.8 a backup path is used only when no regular path is usable. A path that is stalled is not usable;
    /// a path whose window is merely full is.
    public var preference: Int { (isStalled ? 2 : 0) + (isBackup ? 1 : 0) }

    /// Bytes that it carries in `span`, at a window each round trip.
    func bytes(in span: TimeSpan) -> Int {
        let roundTrip = max(1, smoothedRoundTrip.nanoseconds)
        let product = Double(congestionWindow) * Double(max(0, span.nanoseconds)) / Double(roundTrip)
        return product < 1e15 ? Int(product) : Int(1e15)
    }

    /// How long it takes for `bytes`, at a window each round trip.
    func time(for bytes: Int) -> TimeSpan {
        let nanoseconds =
            Double(bytes) * Double(max(1, smoothedRoundTrip.nanoseconds)) / Double(max(1, congestionWindow))
        return nanoseconds < 1e15 ? TimeSpan(nanoseconds: Int64(nanoseconds)) : TimeSpan(nanoseconds: Int64(1e15))
    }

    /// Whether, with both in the same class and with room, this path goes first.
    func precedes(_ other: PathSnapshot) -> Bool {
        if smoothedRoundTrip != other.smoothedRoundTrip { return smoothedRoundTrip < other.smoothedRoundTrip }
        // Equal paths share: the one with the emptier window goes first.
        let mine = inFlight.multipliedFullWidth(by: max(1, other.congestionWindow))
        let theirs = other.inFlight.multipliedFullWidth(by: max(1, congestionWindow))
        return mine.high != theirs.high ? mine.high < theirs.high : mine.low < theirs.low
    }
}

/// What is to be sent, as a scheduler sees it.
public struct SchedulingWork: Sendable, BitwiseCopyable {
    /// Bytes that wait unsent, these included; `Int.max` when the application has more than the buffer took.
    public var backlog: Int
    /// Bytes that the peer's window still admits.
    public var window: Int
    /// Data that was sent before and goes out once more.
    public var isReinjection: Bool

    public init(backlog: Int, window: Int = .max, isReinjection: Bool = false) {
        self.backlog = backlog
        self.window = window
        self.isReinjection = isReinjection
    }
}
