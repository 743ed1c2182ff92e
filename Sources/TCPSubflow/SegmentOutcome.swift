/// Why a segment was dropped; a counter stands behind each (``SubflowStatistics/drops``).
public enum SubflowDrop: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
    /// The subflow is closed, or its reset is due.
    case closed
    /// No byte of it lies in the receive window (RFC 9293 §3.10.7.4, first step).
    case outsideWindow
    /// All of it was received before; keepalive probes are such segments too.
    case duplicate
    /// Its timestamp is older than one seen before (RFC 7323 §5).
    case paws
    /// It acknowledges what was never sent, or what is older than the largest window (RFC 5961 §5).
    case badAcknowledgment
    /// It has neither ACK, SYN nor RST.
    case noAcknowledgment
    /// A RST outside the window, or one in SYN-SENT that acknowledges nothing of ours (RFC 5961 §3).
    case rstOutsideWindow
    /// A RST in the window but not at its left edge: a challenge ACK is due (RFC 5961 §3).
    case rstChallenged
    /// A SYN on a synchronized subflow: a challenge ACK is due (RFC 5961 §4).
    case synInWindow
    /// The peer's SYN once more while its acknowledgement is under way.
    case duplicateSyn
    /// In SYN-SENT: neither SYN nor RST.
    case notSynchronized
    /// The payload does not fit because we advertise a closed window; the acknowledgement was still processed.
    case windowClosed
}

/// A change of state that one segment brought about.
public enum SubflowChange: UInt8, Sendable, Hashable, BitwiseCopyable {
    case none
    /// The handshake is complete. A FIN in the same segment may have led further already: see
    /// ``SegmentOutcome/peerFinished`` and the phase.
    case established
    /// The peer's FIN was consumed; the phase may now be TIME-WAIT.
    case peerFinished
    /// A RST answered our SYN.
    case refused
    /// A RST ended the subflow.
    case reset
    /// Our FIN's acknowledgement ended it: the phase is closed (from LAST-ACK) or TIME-WAIT (from CLOSING).
    case closed
}

/// What a received segment means to the connection.
public struct SegmentOutcome: BitwiseCopyable, Sendable {
    public enum Verdict: BitwiseCopyable, Sendable, Equatable {
        /// Processed normally.
        case accepted
        /// Not processed, for this reason; an acknowledgement may be due, which the subflow remembers.
        case dropped(SubflowDrop)
    }

    public var verdict = Verdict.accepted
    public var change = SubflowChange.none
    /// The peer's FIN was consumed by this segment, whatever ``change`` says.
    public var peerFinished = false
    /// Payload bytes acknowledged cumulatively by this segment; SYN and FIN not counted.
    public var newlyAcknowledged: Int64 = 0
    /// Stream offsets of payload that may be stored: inside the window, at or above RCV.NXT. Some of it may have been
    /// stored before. The connection calls ``Subflow/store(_:now:)`` for what it kept.
    public var payload: Range<Int64>? {
        get { payloadStart < payloadEnd ? payloadStart..<payloadEnd : nil }
        set {
            payloadStart = newValue?.lowerBound ?? 0
            payloadEnd = newValue?.upperBound ?? 0
        }
    }
    private var payloadStart: Int64 = 0
    private var payloadEnd: Int64 = 0
    /// Payload bytes of the segment in front of ``payload``.
    public var payloadSkip = 0
    /// The window that this segment advertises, in bytes (scaled).
    public var window = 0
    /// SND.UNA moved.
    public var acknowledgesNewFlight = false
    public var isDuplicateAcknowledgement = false
    public var enteredRecovery = false

    init() {}
}
