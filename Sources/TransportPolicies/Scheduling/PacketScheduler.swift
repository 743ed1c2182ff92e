public import TransportValues

/// What a scheduler sees of one subflow.
public struct PathSnapshot: Sendable, BitwiseCopyable {
    /// The caller's name for the path; ``PacketScheduler/choose(_:)`` returns it.
    public var index: Int
    /// SRTT; zero while unknown.
    public var smoothedRoundTrip: TimeSpan
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
    fileprivate var preference: Int { (isStalled ? 2 : 0) + (isBackup ? 1 : 0) }

    /// Whether, with both in the same class and with room, this path goes first.
    fileprivate func precedes(_ other: PathSnapshot) -> Bool {
        if smoothedRoundTrip != other.smoothedRoundTrip { return smoothedRoundTrip < other.smoothedRoundTrip }
        // Equal paths share: the one with the emptier window goes first.
        let mine = inFlight.multipliedFullWidth(by: max(1, other.congestionWindow))
        let theirs = other.inFlight.multipliedFullWidth(by: max(1, congestionWindow))
        return mine.high != theirs.high ? mine.high < theirs.high : mine.low < theirs.low
    }
}

/// The rules by which data is given to subflows.
public enum SchedulerAlgorithm: String, CaseIterable, Sendable {
    case lowestRTT = "lowest-rtt"

    /// One line for help texts.
    public var summary: String {
        switch self {
        case .lowestRTT: "the path with the lowest round trip that has room in its window; the default"
        }
    }
}

/// Decides which subflow carries the next data. A snapshot goes in, a decision comes out.
public struct PacketScheduler: Sendable {
    public let algorithm: SchedulerAlgorithm

    public init(_ algorithm: SchedulerAlgorithm) { self.algorithm = algorithm }

    /// The ``PathSnapshot/index`` of the path to send on next, or nil when none may send now.
    ///
    ///= RFC 8684 §3.3.8 a backup path is used only when no regular path is usable. A path that is stalled is not
    /// usable; a path whose window is merely full is.
    public mutating func choose(_ paths: Span<PathSnapshot>) -> Int? {
        switch algorithm {
        case .lowestRTT: Self.lowestRoundTrip(paths)
        }
    }

    private static func lowestRoundTrip(_ paths: Span<PathSnapshot>) -> Int? {
        var best: PathSnapshot?
        var bestPreference = Int.max
        for position in paths.indices {
            let path = paths[position]
            if path.preference > bestPreference { continue }
            if path.preference < bestPreference {
                bestPreference = path.preference
                best = nil
            }
            guard path.room > 0 else { continue }
            if let current = best, !path.precedes(current) { continue }
            best = path
        }
        return best?.index
    }
}
