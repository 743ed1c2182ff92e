import TCPSubflow
import TransportPolicies
import TransportValues
import WireFormats

/// One subflow with what the data level keeps about it.
struct SubflowContext: ~Copyable {
    var tcp: Subflow
    var setup: SubflowSetup
    var handshake: SubflowHandshake
    //= RFC 8684 §3.2, §3.4.1 the address IDs that joins bring are kept, with the address that was seen
    var remoteAddressID: AddressID
    /// The peer asked us to send here only when nothing else works (RFC 8684 §3.3.8).
    var peerWantsBackup = false
    var mappings = ReceiveMappings()
    /// Bytes whose mapping's checksum is not verified yet; used with DSS checksums only.
    var holding = ByteRing(start: 1)
    /// One past the highest byte in ``holding``.
    var holdingEnd: Int64 = 1
    /// What the RST is to say, when one is due.
    var resetReason: UInt8?
    var failedDataSequence: UInt64?
    var closeReason: String?
    /// The slot may be used again: everything about it has been reported.
    var isRetired = false
    /// Its four-tuple has been handed to the host to forget.
    var isReported = false
    var wasReinjected = false
    /// An 8-byte data sequence number came here: DATA_ACKs are 8 bytes from now on (RFC 8684 §3.3.2).
    var sawDataAck = false
    /// Segments without any Multipath TCP option have come since the last DATA_ACK.
    var hearsBareSegments = false
    var lastTimeouts = 0
    /// A RST is due; nothing else happens on it any more.
    var isDying = false
    /// The host has no longer the address that it begins at: nothing is sent until it is back.
    var isAway = false
    /// Largest payload of one packet of several segments, bytes; a whole segment may always be sent.
    var maximumBurst: Int
    /// Silent while its siblings were heard, see `Connection+Silence`.
    var isSuspect = false
    /// Its oldest segment was sent on a sibling too, to hear whether the peer is there.
    var hasAsked = false
    /// How often it was only slow; the margin doubles each time.
    var falseAlarms = 0
    var dataWaiting = DataWaiting.none
    /// Counted among the joins whose third ACK is missing.
    var isCountedHalfOpen = false
    /// Data that went out here for the first time, bytes.
    var freshBytesSent: UInt64 = 0
    /// One past the highest data offset that was sent here.
    var sentThrough: Int64 = 1
    /// Stream offsets of this subflow below which what is under way needs no second look by `nextRepair`: as slower than
    /// another subflow would be, and as overdue.
    var repairedThrough: Int64 = 1
    var overdueThrough: Int64 = 1
    /// Likewise, as covered by DATA_ACK.
    var coveredThrough: Int64 = 1
    /// MP_PRIO with this backup flag is due on this subflow.
    var priorityDue: Bool?
    /// The peer's RST said that it is transient (T flag, RFC 8684 §3.6), or our own reason may pass.
    var endedTransiently = false
    /// The peer's RST said that it is not: this path is not tried again.
    var endedForGood = false
    /// Distance from subflow to data offsets of what was sent last here, and the data offset from which it holds.
    var sendShift: Int64 = 0
    var sendShiftSince: Int64 = 1

    init(tcp: consuming Subflow, setup: SubflowSetup, handshake: SubflowHandshake, remoteAddressID: AddressID) {
        self.tcp = tcp
        self.setup = setup
        self.handshake = handshake
        self.remoteAddressID = remoteAddressID
        maximumBurst = setup.isSegmenting ? max(88, setup.maximumPacket - (setup.tuple.isIPv6 ? 60 : 40) - 40) : 1
    }

    var isJoin: Bool {
        if case .initial = handshake { return false }
        return true
    }

    /// Handshake over on both levels: data may flow.
    var isReady: Bool {
        if isDying { return false }
        switch handshake {
        case .initial, .joined: return tcp.isSynchronized && tcp.phase != .closed && tcp.phase != .timeWait
        case .joinSynSent, .joinSynReceived, .joinAckSent: return false
        }
    }

    /// Nothing more comes of it: closed, in TIME-WAIT, or about to be reset.
    var isClosed: Bool { tcp.phase == .closed || tcp.phase == .timeWait || isDying }

    /// No RTO may pass without an answer on a path that is to carry data.
    var isStalled: Bool { tcp.consecutiveTimeouts > 0 }

    /// New data and repairs may go here.
    var isUsable: Bool { isReady && tcp.canSendData && !isStalled && !isSuspect }

    var networkHeaderLength: Int { setup.tuple.isIPv6 ? 40 : 20 }
}

extension SegmentOutcome {
    var isAccepted: Bool {
        if case .accepted = verdict { return true }
        return false
    }
}

extension SubflowPhase {
    /// Acknowledgements still mean something to the peer.
    var isOpenForAcknowledgements: Bool {
        switch self {
        case .established, .finWait1, .finWait2, .closeWait: true
        case .synSent, .synReceived, .closing, .lastAck, .timeWait, .closed: false
        }
    }
}

extension MPTCPReset {
    //= RFC 8684 §3.6 T: what the path, or this host, may have got over when it is tried again
    static func passes(_ reason: UInt8) -> Bool {
        [lackOfResources, tooMuchOutstandingData, unacceptablePerformance].contains(reason)
    }

    /// The reason in words (RFC 8684 §3.6).
    var reasonText: String {
        switch reason {
        case Self.unspecified: "unspecified error"
        case Self.multipathSpecificError: "MPTCP-specific error"
        case Self.lackOfResources: "lack of resources"
        case Self.administrativelyProhibited: "administratively prohibited"
        case Self.tooMuchOutstandingData: "too much outstanding data"
        case Self.unacceptablePerformance: "unacceptable performance"
        case Self.middleboxInterference: "middlebox interference"
        default: "reason \(reason)"
        }
    }
}
