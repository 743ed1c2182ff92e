import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
public import WireFormats

/// One Multipath TCP connection: the data level above its subflows (RFC 8684), sans-I/O.
///
/// Plain TCP is the same machine with one subflow and no options. Calls go down, values come back: the owner hands in
/// segments and the time, takes packets with ``transmit(into:headroom:now:counters:)`` and asks ``takeEvents()``.
public struct Connection: ~Copyable {
    public let role: ConnectionRole
    public internal(set) var configuration: ConnectionConfiguration
    var state: ProtocolState
    var phase: ConnectionPhase = .handshake
    var keys: ConnectionKeys
    var useChecksum: Bool
    /// The peer asked not to be joined at its first address (C flag, RFC 8684 §3.1).
    var peerForbidsJoinToInitial = false
    /// The peer's data has come without mappings from the first byte on; see ``impliedMapping(_:_:_:)``.
    var impliesMappings = false

    var send: SendStream
    var receive: ReceiveStream
    var contexts = UniqueArray<SubflowContext>()
    var scheduler: PacketScheduler
    var snapshots: [PathSnapshot] = []
    var addresses: AddressBook
    var random: RandomSource

    /// Shift from subflow to data offsets once fallen back, for each direction.
    var fallbackSendShift: Int64 = 0
    var fallbackReceiveShift: Int64 = 0
    /// Our direction has reverted to TCP, the peer's may be on the way there.
    var sendReverted = false
    var receiveReversion = ReceiveReversion.none
    var reversionReason: FallbackReason?
    var infinite: InfiniteMapping?
    var failNotice: FailureNotice?
    var failTimer = MonotonicInstant.distantFuture
    var failTries = 0
    /// A joined subflow that is over may have carried data of the peer's.
    var endedJoinMayHaveCarried = false
    /// Since when data waits for a DATA_ACK without any progress.
    var dataWaitingSince = MonotonicInstant.zero
    /// Joined subflows on which data was acknowledged before any DATA_ACK came.
    var bareJoins = 0
    /// When the DATA_FIN was first sent.
    var dataFinSince = MonotonicInstant.distantFuture
    /// Checksums were in use when the connection was Multipath TCP.
    var hadChecksum = false
    /// The third ACK, with both keys, goes out before anything else: in version 0 (RFC 6824 §3.1), and where a DATA_FIN
    /// waits already, which can't tell them.
    var thirdAckDue = false
    /// Where an ACK with MP_FASTCLOSE goes out before the RST (version 0).
    var fastCloseSubflow: Int?
    /// When a connection without any subflow ends; `distantFuture` while there is one.
    var pathlessDeadline = MonotonicInstant.distantFuture
    /// The peer answered a join to its first address with RST: it does not know the connection any more.
    var peerHasForgotten = false
    var pathUse: PathUse
    /// The address whose join was last answered with the right HMAC.
    public internal(set) var answeredTarget: IPAddress?
    /// The version that a SYN/ACK named instead of ours.
    var answeredVersion: UInt8?
    var usesLongDataAck = false
    /// Counted among the connections that are Multipath TCP now.
    var isCountedEstablished = false
    var peerHasOurKey = false

    var dataTimer = MonotonicInstant.distantFuture
    /// When the first unacknowledged byte is looked at, and the subflow that was found to hold it up.
    var headTimer = MonotonicInstant.distantFuture
    var lateSubflow: Int?
    /// How often it fired since the DATA_ACK last moved.
    var headTries = 0
    var dataTimerBackoff = 0
    /// When the subflows' silences are compared.
    var silenceTimer = MonotonicInstant.distantFuture
    var dataFinTimer = MonotonicInstant.distantFuture
    var dataFinTries = 0
    /// When subflows that have not ended by themselves are cut off, once both streams are over.
    var drainTimer = MonotonicInstant.distantFuture
    var rotor = 0
    /// ACKs in a row that carried nothing but a signal, and when two more may follow.
    var signalRun = 0
    var signalPause = MonotonicInstant.distantFuture
    var events: ConnectionEvents = []
    var readableReported = false
    var writableWanted = false
    /// The first handshake was completed.
    var wasEstablished = false
    /// The last write was not taken whole: more data is to come than the send buffer shows.
    var applicationHasMore = false
    /// A host error ended the first handshake (ICMP); reported in place of a time-out.
    var handshakeError: ConnectionCloseReason?
    /// Nobody will read any more: what arrives is thrown away, so that the close can end.
    public var discardIncoming = false
    /// Something changed that may let another subflow be opened.
    public internal(set) var wantsPathCheck = false
    var totals = ConnectionTotals()
    var closedSubflows: [SubflowSnapshot] = []

    init(
        role: ConnectionRole, configuration: ConnectionConfiguration, state: ProtocolState, keys: ConnectionKeys,
        random: RandomSource
    ) {
        self.role = role
        self.configuration = configuration
        self.state = state
        self.keys = keys
        self.random = random
        useChecksum = configuration.requestChecksum
        send = SendStream(limit: configuration.sendBuffer, unsentLimit: configuration.unsentBuffer)
        receive = ReceiveStream(
            initial: configuration.initialReceiveWindow, maximum: configuration.receiveBuffer)
        usesLongDataAck = configuration.wire.longDataAck
        pathUse = configuration.pathUse
        scheduler = configuration.customScheduler.map { .custom($0) } ?? PacketScheduler(configuration.scheduler)
        addresses = AddressBook(
            limit: configuration.acceptedAddresses, joinPort: configuration.joinPort,
            announcesInitial: configuration.forbidsJoinsToInitialAddress)
    }

    // MARK: Identity

    public var localToken: UInt32 { keys.localToken }
    /// Whether the token of this connection may be joined: it was made for Multipath TCP.
    public var usesToken: Bool {
        switch state {
        case .offered, .multipath: true
        case .plain, .fallenBack: false
        }
    }
    public var isClosed: Bool { phase.isClosed }
    public var isMultipath: Bool { state.isMultipath }
    /// The first subflow's addresses.
    //= RFC 6897 §4.2.2 the connection's addresses are its first subflow's, also when that is gone
    public var initialTuple: FourTuple { initialTupleStored }
    var initialTupleStored = FourTuple(local: Endpoint(.anyIPv4, 0), remote: Endpoint(.anyIPv4, 0))

    /// Why the connection is TCP although Multipath TCP was to be used; nil while it is, or was not to be.
    public var fallbackReason: FallbackReason? {
        if case .fallenBack(let reason) = state { return reason }
        return reversionReason
    }

    /// The version that was offered or is spoken.
    public var version: MultipathVersion { keys.version }

    /// Whether the SYN/ACK told that the peer speaks version 0.
    public var peerAnsweredVersionZero: Bool { answeredVersion == 0 }

    public var closeReason: ConnectionCloseReason? {
        if case .closed(let reason) = phase { return reason }
        return nil
    }

    public var hasEvents: Bool { !events.isEmpty }

    public mutating func takeEvents() -> ConnectionEvents {
        defer { events = [] }
        return events
    }

    // MARK: The application's side

    /// Copies bytes into the send buffer; returns how many. 0: no room, or the sending side has ended.
    public mutating func write(_ bytes: RawSpan, now: MonotonicInstant) -> Int {
        guard !phase.isClosed, send.finish == .open else { return 0 }
        if send.needsReclaim(bytes.byteCount) { reclaimSendMemory() }
        let count = send.write(bytes)
        writableWanted = count < bytes.byteCount
        applicationHasMore = writableWanted
        // A window that closed when there was nothing more to send was not probed.
        if send.acknowledged == send.next, send.hasUnsent { updateDataWaiting(now: now) }
        totals.bytesWritten += UInt64(count)
        return count
    }

    /// Copies bytes that are in order into `target` from its start.
    public mutating func read(into target: inout MutableRawSpan, now: MonotonicInstant) -> ReadResult {
        let count = receive.read(into: &target)
        if count > 0 {
            totals.bytesRead += UInt64(count)
            afterReading(now: now)
            return .bytes(count)
        }
        readableReported = false
        if receive.isFinished { return .endOfStream }
        // A connection that failed has no end of stream: its owner learns of the failure by the event `closed`.
        if case .closed(let reason) = phase, reason.isClean { return .endOfStream }
        return .wouldBlock
    }

    /// Ends the sending direction: DATA_FIN, or FIN after fallback. What was written is still delivered.
    public mutating func finishWriting(now: MonotonicInstant) {
        guard send.finish == .open, !phase.isClosed else { return }
        send.finish = .queued
        applicationHasMore = false
        progressClose(now: now)
    }

    private mutating func afterReading(now: MonotonicInstant) {
        receive.tune(roundTrip: longestRoundTrip, now: now)
        guard receive.wantsUpdate(segment: largestSegment), !receive.isFinished else { return }
        for index in contexts.indices where contexts[index].isReady {
            contexts[index].tcp.requestAcknowledgement()
        }
    }

    /// The longest smoothed round trip of the subflows in use, as sender or as receiver; 1 ms at least.
    var longestRoundTrip: TimeSpan {
        var longest = TimeSpan.milliseconds(1)
        for index in contexts.indices where contexts[index].isReady {
            longest = max(longest, contexts[index].tcp.roundTrip.smoothed, contexts[index].tcp.receiverRoundTrip)
        }
        return longest
    }

    var largestSegment: Int {
        var largest = 536
        for index in contexts.indices where contexts[index].isReady {
            largest = max(largest, contexts[index].tcp.maximumSegmentSize)
        }
        return largest
    }

    /// Frees acknowledged bytes of the send ring that no subflow may still have to repeat. A stalled subflow that alone
    /// keeps a full ring from being freed is given up.
    mutating func reclaimSendMemory() {
        send.reclaim(below: lowestPinned())
        guard send.isPinned else { return }
        for index in contexts.indices where contexts[index].isStalled && !contexts[index].isClosed {
            guard let low = contexts[index].tcp.lowestUnacknowledgedDataOffset, low < send.acknowledged else {
                continue
            }
            resetSubflow(index, reason: MPTCPReset.tooMuchOutstandingData, why: "stalled while data went on elsewhere")
        }
        send.reclaim(below: lowestPinned())
    }

    private func lowestPinned() -> Int64? {
        var lowest: Int64?
        for index in contexts.indices where !contexts[index].isClosed {
            guard let low = contexts[index].tcp.lowestUnacknowledgedDataOffset else { continue }
            lowest = min(lowest ?? low, low)
        }
        return lowest
    }

    /// The peer has shown that it knows both keys (RFC 8684 §3.1).
    mutating func noteKeysKnown() {
        peerHasOurKey = true
        guard state == .multipath(confirmed: false) else { return }
        state = .multipath(confirmed: true)
        wantsPathCheck = true
    }

    // MARK: Events

    mutating func noteReadable() {
        guard !readableReported, receive.available > 0 || receive.isFinished else { return }
        readableReported = true
        events.insert(.readable)
    }

    mutating func noteWritable() {
        guard writableWanted, send.room > 0 else { return }
        // Woken for a good part of the buffer, not for every acknowledged segment.
        guard send.room >= min(send.limit / 4, send.unsentLimit / 2) else { return }
        writableWanted = false
        events.insert(.writable)
    }
}

/// What ``Connection/read(into:now:)`` gave.
public enum ReadResult: Sendable, Equatable {
    case bytes(Int)
    case wouldBlock
    /// The peer has ended its direction, or the connection is over: see the close reason.
    case endOfStream
}

struct ConnectionTotals {
    var bytesWritten: UInt64 = 0
    var bytesRead: UInt64 = 0
}
