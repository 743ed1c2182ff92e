import TransportValues

// The variables of RFC 9293 §3.3.1 and its companions, grouped by who changes them.

/// The sending side.
struct SendState: BitwiseCopyable {
    /// ISS.
    let initial: SequenceNumber
    /// SND.UNA.
    var unacknowledged: Int64 = 0
    /// SND.NXT.
    var next: Int64 = 0
    /// SND.UNA + SND.WND as last advertised; may move back (RFC 9293 §3.8.6, SHLD-15 and MUST-34).
    var peerWindowEdge: Int64 = 0
    /// MAX.SND.WND, bytes.
    var maximumPeerWindow: Int64 = 0
    /// SND.WL1 and SND.WL2.
    var windowSequence: Int64 = 0
    var windowAcknowledgment: Int64 = 0
    /// The largest segment, options included and headers not: the least of peer's MSS, ours and the path's.
    var segmentLimit: Int
    /// ``segmentLimit`` before the path was suspected to swallow long segments, when to try that again, and how often it
    /// was suspected.
    var limitBefore = 0
    var limitUntil = MonotonicInstant.distantFuture
    var suspicions = 0
    /// Multipath TCP option bytes of the last data segment: what the next will probably carry.
    var multipathOptionBytes = 0
    /// close() was called.
    var finQueued = false
    /// Where our FIN stands, once it was sent.
    var finOffset: Int64?
    /// The congestion window held the sender back when what lies below was sent.
    var windowLimitedUntil: Int64 = 0
    /// What is acknowledged beyond it was sent after the present round trip began.
    var roundEnd: Int64 = 0
    /// When payload was last sent.
    var lastDataSent: MonotonicInstant?
    /// The connection has data that no window admits.
    var dataWaiting = DataWaiting.none

    init(initial: SequenceNumber, segmentLimit: Int) {
        self.initial = initial
        self.segmentLimit = segmentLimit
    }

    /// Sequence numbers sent and not acknowledged (FlightSize of RFC 5681).
    var flight: Int { Int(next &- unacknowledged) }
}

/// The receiving side.
struct ReceiveState {
    /// IRS.
    var initial = SequenceNumber(0)
    /// RCV.NXT.
    var next: Int64 = 0
    /// The largest right edge ever advertised: nothing at or above it is accepted.
    var edge: Int64 = 0
    /// The edge of the last advertisement.
    var advertised: Int64 = 0
    /// The largest edge that the connection asked for, before rounding.
    var askedEdge: Int64 = 0
    /// Stored ranges above RCV.NXT.
    var ranges = IntervalSet()
    /// Where the last changes of ``ranges`` were, most recent first; SACK reports in this order.
    var recent = InlineArray<4, Int64>(repeating: -1)
    /// A duplicate to be reported once (RFC 2883).
    var duplicate: Range<Int64>?
    /// Where the peer's FIN stands, once it was seen.
    var fin: Int64?
    var finConsumed = false

    /// More gaps than this are not kept open: as many as the connection keeps, and a queue that overflows in slow start
    /// leaves one for every second segment.
    static let maximumRanges = 4_096
}

/// What both SYNs agreed on.
struct HandshakeState: BitwiseCopyable {
    /// A SYN or SYN/ACK is to be sent.
    var synchronizeDue = false
    /// How often it was sent.
    var transmissions = 0
    var sentAt = MonotonicInstant.zero
    /// Expiries of the timer before it was acknowledged.
    var timeouts = 0
    var sackPermitted = false
    var windowScaling = false
    var peerWindowScale: UInt8 = 0
    /// What the peer's SYN offered, for our SYN/ACK.
    var peerOffersTimestamps = false
    var peerOffersScale = false
    var peerOffersSACK = false
}
