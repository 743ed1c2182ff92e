/// One counter for every unusual event, so that no drop is silent. Names that Linux has too (`MPTcpExt…` in
/// `/proc/net/netstat`) are spelled as there; the rest begin with a lower-case letter.
public enum StackCounter: Int, CaseIterable, Sendable {
    // Handshake
    case MPCapableSYNRX, MPCapableSYNTX, MPCapableSYNACKRX, MPCapableACKRX
    case MPCapableFallbackACK, MPCapableFallbackSYNACK, MPCapableDataFallback, MPCapableEndpAttempt
    case MPFallbackTokenInit, SimultConnFallback, DssFallback, FallbackFailed
    case MPJoinNoTokenFound, MPJoinSynRx, MPJoinSynBackupRx, MPJoinSynAckRx, MPJoinSynAckBackupRx
    case MPJoinSynAckHMacFailure, MPJoinAckRx, MPJoinAckHMacFailure, MPJoinRejected, MPJoinSynTx
    // Data level
    case MPTCPRetrans, DSSNotMatching, DSSCorruptionFallback, DSSCorruptionReset, DSSNoMatchTCP, DataCsumErr
    case InfiniteMapTx, InfiniteMapRx, OFOQueue, OFOMerge, NoDSSInWindow, DuplicateData, WinProbe
    case RcvWndShared, RcvWndConflict
    // Addresses and priority
    case AddAddr, AddAddrTx, AddAddrTxDrop, EchoAdd, EchoAddTx, PortAdd, AddAddrDrop
    case RmAddr, RmAddrDrop, RmAddrTx, RmSubflow, MPPrioTx, MPPrioRx
    // Teardown
    case MPFailTx, MPFailRx, MPFastcloseTx, MPFastcloseRx, MPRstTx, MPRstRx, SubflowStale, SubflowRecover, MPCurrEstab
    // Ours: packets that the host drops
    case packetMalformed, packetBadChecksum, packetFragment, packetNotForUs, packetUnsupported
    case segmentForNobody, resetSent, resetRateLimited, synDroppedBacklog, synDroppedLimit, ackDroppedBacklog
    case icmpTooBig, icmpUnreachable, icmpIgnored
    // Ours: segments and options that a subflow drops or ignores
    case segmentOutsideWindow, segmentPAWS, segmentBadAck, segmentChallenged, segmentDuplicate, segmentUnexpected
    case optionMalformed, optionDuplicate, optionConflict, optionUnknown, optionWrongSegment, optionWrongVersion
    case dataAckBeyondSent, dataAckOld, mappingConflict, mappingTableFull, unmappedData, dataFinConflict
    case fastcloseBadKey, addAddrBadHMAC, addAddrInvalid, thirdAckRetransmitted, joinHandshakeTimeout
    case pathlessTimeout, subflowSilent, addAddrUnproven, synDroppedExtensibility
    // Ours: what strangers may cost
    case synCookieSent, synCookieAccepted, synCookieFailed, joinsHalfOpen, joinDroppedLimit, joinTargetLimited
    case reinjected, dataTimeout, handshakeOutOfOrderDropped, urgentIgnored
    case checksumNotAsAgreed

    public var name: String {
        let word = String(describing: self)
        return word.first!.isUppercase ? "MPTcpExt" + word : word
    }
}

/// The counters of one host.
public struct StackCounters: Sendable {
    private var values: InlineArray<192, UInt64> = InlineArray(repeating: 0)

    public init() {
        precondition(StackCounter.allCases.count <= 192)
    }

    public subscript(counter: StackCounter) -> UInt64 { values[counter.rawValue] }

    public mutating func count(_ counter: StackCounter, _ amount: UInt64 = 1) {
        values[counter.rawValue] &+= amount
    }

    /// Takes back one from a gauge, never below zero.
    public mutating func uncount(_ counter: StackCounter) {
        if values[counter.rawValue] > 0 { values[counter.rawValue] -= 1 }
    }

    /// The value by Linux's name (`MPTcpExtMPJoinSynRx`) or by ours; nil where there is none of that name.
    public subscript(name: String) -> UInt64? {
        StackCounter.allCases.first { $0.name == name }.map { self[$0] }
    }

    /// Every counter with its name, in the order of declaration.
    public var all: [(name: String, value: UInt64)] { StackCounter.allCases.map { ($0.name, self[$0]) } }
}
