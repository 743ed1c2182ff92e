import DequeModule
public import TransportPolicies
public import TransportValues
public import WireFormats

/// One TCP connection as a sans-I/O state machine (RFC 9293 and its companions): a path of a Multipath TCP connection.
///
/// It knows no addresses, no payload bytes and no sibling. Positions are stream offsets: 0 is the SYN, 1 the first
/// payload byte, and a FIN takes one behind the last. Segments and an instant go in through ``receive(_:now:)``, time
/// through ``advance(to:)``; what is to be sent is asked with ``opportunity(now:)`` and ``sendRoom(now:)`` and written
/// with ``emit(_:tuple:multipath:window:into:at:now:)``.
///
/// No input traps, whatever its sequence numbers; memory is bounded by ``SubflowConfiguration/maximumSentRecords`` and
/// by 4,096 ranges on the receiving side.
public struct Subflow: ~Copyable {
    let configuration: SubflowConfiguration
    public internal(set) var phase: SubflowPhase
    /// We sent the first SYN (perhaps both did).
    public let isActiveOpener: Bool
    /// The window field is relative to the connection's DATA_ACK (RFC 8684 §3.3.1), not to this subflow alone: the edge
    /// at subflow level may then move back as siblings receive; what is accepted stays bounded by the largest edge.
    public var sharesWindow = false
    public internal(set) var statistics = SubflowStatistics()
    public internal(set) var roundTrip = RoundTripEstimator()
    /// Smoothed time from an acknowledgement of ours to the data that it set off; zero before the first sample, and
    /// without timestamps.
    public internal(set) var receiverRoundTrip = TimeSpan.zero
    /// When something was last sent or accepted.
    public internal(set) var lastActivity: MonotonicInstant
    /// When a segment was last accepted.
    public internal(set) var lastReceived: MonotonicInstant

    var send: SendState
    var sent: SentSegments
    var congestion: CongestionController {
        didSet {
            congestionWindow = congestion.window
            isInSlowStart = congestion.isInSlowStart
        }
    }
    /// The controller's window in bytes, kept beside it: it is asked many times a packet.
    public private(set) var congestionWindow: Int
    private(set) var isInSlowStart = true
    var recovery = RecoveryState()
    var rate = DeliveryRateEstimator()
    var pacer: Pacer
    /// Bytes a second; 0: unpaced.
    public internal(set) var pacingRate = 0
    /// Whether fast recovery's window is PRR's, not the controller's.
    let reducesProportionally: Bool
    /// The connection's subflows at the last segment, for coupled control.
    var siblings = CoupledGroup()
    var receiving: ReceiveState
    var acknowledging = AcknowledgementState()
    var timestamps: TimestampState
    var handshake = HandshakeState()
    var notification = NotificationState()
    var timers: TimerState
    var resetDue = ResetDue.none

    /// A RST that waits to be sent.
    enum ResetDue: BitwiseCopyable, Equatable {
        case none
        /// The subflow is aborted and closes with it.
        case abort
        /// An unacceptable acknowledgement in the handshake is answered; the subflow goes on.
        case answer(SequenceNumber)
    }

    private init(
        _ configuration: SubflowConfiguration, phase: SubflowPhase, initialSequence: SequenceNumber,
        timestampOffset: UInt32, now: MonotonicInstant
    ) {
        let settings = configuration.clamped
        self.configuration = settings
        self.phase = phase
        isActiveOpener = phase == .synSent
        lastActivity = now
        lastReceived = now
        send = SendState(initial: initialSequence, segmentLimit: settings.maximumSegmentSize)
        sent = SentSegments(maximumRecords: settings.maximumSentRecords)
        congestion = CongestionController(
            settings.congestion, maximumSegmentSize: settings.maximumSegmentSize,
            initialWindow: settings.maximumSegmentSize)
        congestionWindow = settings.maximumSegmentSize
        reducesProportionally = congestion.reducesProportionally
        pacer = Pacer(credit: 0)
        receiving = ReceiveState()
        timestamps = TimestampState(offset: timestampOffset)
        timers = TimerState(began: now)
        handshake.synchronizeDue = true
    }

    /// Begins a connection: a SYN is due (RFC 9293 §3.10.1).
    /// - Parameters:
    ///   - initialSequence: ISS, drawn as RFC 6528 says.
    ///   - timestampOffset: added to the milliseconds of `now` in our timestamps (RFC 7323 §5.4: random a connection).
    public init(
        activeOpen configuration: SubflowConfiguration, initialSequence: SequenceNumber, timestampOffset: UInt32,
        now: MonotonicInstant
    ) {
        self.init(
            configuration, phase: .synSent, initialSequence: initialSequence, timestampOffset: timestampOffset, now: now
        )
    }

    /// Answers a SYN: SYN-RECEIVED, a SYN/ACK is due (RFC 9293 §3.10.7.2). Payload of the SYN is left to be sent again.
    public init(
        passiveOpen configuration: SubflowConfiguration, initialSequence: SequenceNumber, timestampOffset: UInt32,
        syn: TCPSegment, now: MonotonicInstant
    ) {
        self.init(
            configuration, phase: .synReceived, initialSequence: initialSequence, timestampOffset: timestampOffset,
            now: now)
        statistics.segmentsReceived = 1
        negotiate(syn)
    }

    // MARK: What the connection asks

    public var isSynchronized: Bool { phase.isSynchronized }

    /// New data may be emitted as soon as windows allow.
    public var canSendData: Bool { phase.maySendFin && !send.finQueued && resetDue == .none }

    /// RCV.NXT as stream offset: 0 before the peer's SYN, one more behind its FIN.
    public var receiveNext: Int64 { receiving.next }

    /// Calls `body` with each range of stream offsets that was stored above ``receiveNext``.
    public borrowing func forEachOutOfOrder(_ body: (Range<Int64>) -> Void) {
        for range in receiving.ranges.ranges { body(range) }
    }

    public var hasReceivedOutOfOrder: Bool { !receiving.ranges.isEmpty }

    /// The peer's FIN was consumed: no data will come behind ``receiveNext``.
    public var hasPeerFinished: Bool { receiving.finConsumed }

    /// SND.NXT as stream offset.
    public var sendNext: Int64 { send.next }
    /// SND.UNA as stream offset.
    public var sendUnacknowledged: Int64 { send.unacknowledged }
    /// RFC 6675's pipe: bytes believed to be on their way.
    public var inFlight: Int { max(0, sent.pipe &- recovery.departed) }
    public var hasUnacknowledgedData: Bool { !sent.isEmpty }
    /// When the first segment that is not acknowledged cumulatively was last sent; nil: there is none.
    public var oldestUnacknowledgedSentAt: MonotonicInstant? { sent.isEmpty ? nil : sent.records[0].sentAt }
    /// Retransmission timeouts in a row without progress; more than 0: stalled.
    public var consecutiveTimeouts: Int { timers.consecutiveTimeouts }
    public var slowStartThreshold: Int { congestion.slowStartThreshold }
    /// What siblings have to know of this one (``CoupledGroup``).
    public var coupledShare: CoupledShare {
        CoupledShare(
            window: congestionWindow, roundTrip: roundTrip.smoothed, interval: congestion.lossInterval)
    }
    public var isInRecovery: Bool { recovery.phase != .open }
    /// Payload bytes of a full segment without Multipath TCP options, our timestamps counted off.
    public var maximumSegmentSize: Int { segmentPayloadLimit(multipathOptionBytes: 0) }
    /// The first stream offset that the peer's window does not cover.
    public var peerWindowEdge: Int64 { send.peerWindowEdge }
    /// Negotiated in the handshake.
    public var usesTimestamps: Bool { timestamps.enabled }
    public var usesCongestionNotification: Bool { notification.isEnabled }
    public var usesSACK: Bool { handshake.sackPermitted }
    public var peerWindowScale: UInt8 { handshake.peerWindowScale }
    /// Our initial sequence number; a mapping's relative numbers count from it.
    public var initialSendSequence: SequenceNumber { send.initial }
    public var initialReceiveSequence: SequenceNumber { receiving.initial }
    /// FIN has been sent and acknowledged.
    public var isFinAcknowledged: Bool {
        if let fin = send.finOffset { return send.unacknowledged > fin }
        return false
    }

    /// Sent records in the queue, for reports of memory.
    public var recordCount: Int { sent.records.count }

    /// Calls `body` with each mapped piece that the peer has not acknowledged cumulatively on this subflow, oldest
    /// first: connection-level offset and length in bytes.
    public borrowing func forEachUnacknowledged(_ body: (Int64, Int) -> Void) {
        for index in 0..<sent.records.count {
            let record = sent.records[index]
            if record.length > 0, record.mapping.length > 0 { body(record.dataOffset, Int(record.length)) }
        }
    }

    /// The lowest connection-level offset among the pieces of ``forEachUnacknowledged(_:)``. O(n).
    public var lowestUnacknowledgedDataOffset: Int64? {
        var lowest: Int64?
        for index in 0..<sent.records.count {
            let record = sent.records[index]
            guard record.length > 0, record.mapping.length > 0 else { continue }
            lowest = min(lowest ?? .max, record.dataOffset)
        }
        return lowest
    }

    // MARK: Ending

    /// No data follows what was emitted so far; a FIN is due (RFC 9293 §3.10.4). In SYN-SENT the subflow closes at once.
    public mutating func close() {
        switch phase {
        case .synSent: enterClosed()
        case .synReceived, .established, .closeWait: send.finQueued = true
        case .finWait1, .finWait2, .closing, .lastAck, .timeWait, .closed: break
        }
    }

    /// A RST becomes due, then the subflow is closed (RFC 9293 §3.10.5). Where the peer has no state, or is done with
    /// it, none is due.
    public mutating func abort() {
        switch phase {
        case .synSent, .closing, .lastAck, .timeWait, .closed: enterClosed()
        case .synReceived, .established, .finWait1, .finWait2, .closeWait: resetDue = .abort
        }
    }

    /// Closed at once; nothing is sent.
    public mutating func abandon() { enterClosed() }

    mutating func enterClosed() {
        phase = .closed
        resetDue = .none
        handshake.synchronizeDue = false
        timers.clear()
        acknowledging.clear()
    }

    mutating func enterTimeWait(_ now: MonotonicInstant) {
        phase = .timeWait
        timers.clear()
        timers.timeWait = now + configuration.timeWait
    }
}
