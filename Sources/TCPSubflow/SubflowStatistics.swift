/// What a subflow counted since it began. Every drop and every unusual event moves one of these.
public struct SubflowStatistics: Sendable, BitwiseCopyable, Equatable {
    public var segmentsSent: UInt64 = 0
    public var segmentsReceived: UInt64 = 0
    /// Payload bytes, retransmissions included.
    public var bytesSent: UInt64 = 0
    /// Payload bytes that were new.
    public var bytesReceived: UInt64 = 0
    /// Payload bytes that the peer acknowledged cumulatively.
    public var bytesAcknowledged: UInt64 = 0
    public var segmentsRetransmitted: UInt64 = 0
    public var bytesRetransmitted: UInt64 = 0
    /// Expiries of the retransmission timer.
    public var timeouts: UInt64 = 0
    /// Times that loss recovery was entered by acknowledgements.
    public var fastRecoveries: UInt64 = 0
    /// Times that retransmissions were found lost in their turn.
    public var retransmissionsLost: UInt64 = 0
    /// Tail loss probes (RFC 8985 §7), and those that repaired a loss.
    public var lossProbes: UInt64 = 0
    public var lossProbeRepairs: UInt64 = 0
    /// Recoveries that proved unnecessary: by timestamps, by originals that arrived, by reports of duplicates.
    public var spuriousRecoveries: UInt64 = 0
    public var duplicateAcknowledgements: UInt64 = 0
    /// Segments without anything new.
    public var duplicateSegments: UInt64 = 0
    /// Segments whose payload lay beyond a gap.
    public var outOfOrder: UInt64 = 0
    /// Stored ranges that were refused because 4,096 gaps stood open.
    public var outOfOrderRefused: UInt64 = 0
    public var challengeAcknowledgements: UInt64 = 0
    /// Challenge and out-of-window acknowledgements that the rate limit held back.
    public var acknowledgementsSuppressed: UInt64 = 0
    /// SACK blocks outside the flight, or empty.
    public var sackBlocksInvalid: UInt64 = 0
    /// Blocks that reported duplicates (RFC 2883).
    public var duplicateReports: UInt64 = 0
    /// SACK blocks, or parts, that were not taken because the scoreboard was full.
    public var sackBlocksRefused: UInt64 = 0
    /// Times that the peer took a selective acknowledgement back.
    public var sackReneging: UInt64 = 0
    /// Segments that arrived with CE, acknowledgements with ECE, and reductions of the window by them (RFC 3168).
    public var congestionMarks: UInt64 = 0
    public var congestionEchoes: UInt64 = 0
    public var notifiedReductions: UInt64 = 0
    public var zeroWindowProbes: UInt64 = 0
    public var keepaliveProbes: UInt64 = 0
    /// Path MTU reductions that were believed, and ICMP messages that were not.
    public var pathMTUReductions: UInt64 = 0
    public var pathMTUIgnored: UInt64 = 0
    /// FINs that contradicted an earlier one or data behind it.
    public var finsIgnored: UInt64 = 0
    /// Multipath TCP options that were handed to an emission and did not fit.
    public var optionsOmitted: UInt64 = 0
    /// Segments dropped, by reason.
    public var drops = SubflowDropCounts()

    public init() {}
}

/// Dropped segments by ``SubflowDrop``.
public struct SubflowDropCounts: Sendable, BitwiseCopyable, Equatable {
    private var counts = InlineArray<16, UInt64>(repeating: 0)

    public init() {}

    public internal(set) subscript(reason: SubflowDrop) -> UInt64 {
        get { counts[Int(reason.rawValue)] }
        set { counts[Int(reason.rawValue)] = newValue }
    }

    public var total: UInt64 { SubflowDrop.allCases.reduce(0) { $0 &+ self[$1] } }

    public static func == (left: Self, right: Self) -> Bool {
        SubflowDrop.allCases.allSatisfy { left[$0] == right[$0] }
    }
}
