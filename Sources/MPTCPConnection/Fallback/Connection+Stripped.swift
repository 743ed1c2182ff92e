import BasicContainers
import TCPSubflow
import TransportValues
import WireFormats

/// Options that get lost in the middle of a connection, in one direction or both (RFC 8684 §3.7).
extension Connection {
    /// Remembers whether what the peer sends here still carries options.
    mutating func noteBareSegment(_ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome) {
        if segment.options.multipath.signal?.dataAck != nil {
            contexts[index].hearsBareSegments = false
        } else if segment.options.multipath.isEmpty, segment.flags.contains(.ack), contexts[index].isReady {
            contexts[index].hearsBareSegments = true
        }
    }

    /// Another subflow has carried data of the peer's, or may have: what comes on this one is not known to follow on from
    /// what came before.
    var hadOtherSubflow: Bool {
        if endedJoinMayHaveCarried { return true }
        for index in contexts.indices where !contexts[index].isClosed && contexts[index].isJoin {
            if contexts[index].tcp.receiveNext > 1 { return true }
        }
        return false
    }

    /// A joined subflow is there that has carried nothing yet: the peer may begin to use it, or give it up with Multipath
    /// TCP.
    var hasUnusedJoin: Bool {
        for index in contexts.indices where !contexts[index].isClosed {
            switch contexts[index].handshake {
            case .joinAckSent, .joined: if contexts[index].tcp.receiveNext <= 1 { return true }
            case .initial, .joinSynSent, .joinSynReceived: break
            }
        }
        return false
    }

    private var hasJoinWithoutAnswer: Bool {
        for index in contexts.indices where !contexts[index].isClosed {
            if case .joinAckSent = contexts[index].handshake { return true }
        }
        return false
    }

    private var onlyReadySubflow: Int? {
        var only: Int?
        for index in contexts.indices where contexts[index].isReady {
            if only != nil { return nil }
            only = index
        }
        return only
    }

    /// A reset is believed only at exactly the next sequence number (RFC 5961 §3.2): one at the first shows that the peer
    /// never sent data there.
    mutating func noteEndedJoin(_ index: Int) {
        switch contexts[index].handshake {
        case .joinAckSent, .joined:
            let isUnused = contexts[index].tcp.receiveNext <= 1
            if !isUnused || contexts[index].closeReason?.hasPrefix("reset by peer") != true {
                endedJoinMayHaveCarried = true
            }
        case .initial, .joinSynSent, .joinSynReceived: break
        }
    }

    //= RFC 8684 §3.7 a subflow that breaks during operation SHOULD be closed with a RST: no fallback can be signalled
    // reliably. A sender that does not notice (Linux) repeats at the data level what was not acknowledged there, and
    // without mappings nothing tells that from new data; one that does notice goes on as TCP, unharmed.
    /// Whether data without a mapping on the only subflow is taken for TCP's.
    var trustsUnmappedData: Bool {
        if !configuration.refusesDamage || keys.version == .zero || sendsAsTCP { return true }
        // A peer whose first flights got no DATA_ACK falls back by itself.
        return receive.next <= 64_000
    }

    /// Where options are lost from the peer's very first data on, and on no other subflow: what would be TCP's stream is
    /// taken, and still acknowledged at the data level, so that a peer that goes on with Multipath TCP repeats nothing and
    /// a peer that does not is not disturbed. Its end tells: DATA_FIN, or a FIN without.
    mutating func impliedMapping(_ index: Int, _ range: Range<Int64>, _ hasMapping: Bool) -> ReceiveMapping? {
        guard configuration.refusesDamage, keys.version == .one, !useChecksum, !sendsAsTCP, state.isMultipath,
            receiveReversion == .none, impliesMappings || receive.next == 1, !hasMapping, liveSubflows == 1,
            !contexts[index].isJoin, range.lowerBound == contexts[index].tcp.receiveNext, !receive.hasOutOfOrder,
            contexts[index].mappings.isEmpty, !hadOtherSubflow, !receive.isFinished
        else { return nil }
        impliesMappings = true
        return ReceiveMapping(subflow: range, dataOffset: receive.next)
    }

    /// A FIN without any option on the only subflow, before the DATA_FIN: the peer, or what it has become, ends the
    /// stream as TCP does. (A peer that only closes the subflow still says what it has: DSS stands on every segment.)
    func endsAsTCP(_ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome) -> Bool {
        outcome.peerFinished && segment.options.multipath.isEmpty && segment.payloadLength == 0 && !receive.isFinished
            && receiveReversion == .none && !receive.hasOutOfOrder && contexts[index].mappings.isEmpty
            && !hadOtherSubflow && !hasUnusedJoin && phase == .open
    }

    //= RFC 8684 §3.7 the peer acknowledges at the subflow level alone: its DATA_ACKs get lost, or it has fallen back.
    // On the only subflow, whose stream is the data's, it goes on as TCP; sending the data there once more would repeat
    // bytes in the peer's stream. Among several, such a subflow is closed.
    /// True: nothing is to be sent again at the data level.
    mutating func actOnBareAcknowledgments(now: MonotonicInstant, counters: inout StackCounters) -> Bool {
        if let index = onlyReadySubflow, contexts[index].hearsBareSegments {
            if hasJoinWithoutAnswer {
                // Soon it is known whether the peer still speaks Multipath TCP.
                armDataTimer(now: now)
                return true
            }
            // A peer that has had data on other subflows takes nothing without a mapping any more.
            let hasCarriedAll = contexts[index].freshBytesSent >= UInt64(send.next - 1)
            if hasCarriedAll, becomesOnlySubflow(index), revertAfterAcknowledgments(index, now: now) {
                counters.count(.DssFallback)
                settle(index, now: now, counters: &counters)
                return true
            }
            counters.count(.FallbackFailed)
        }
        for index in contexts.indices where contexts[index].isReady && contexts[index].hearsBareSegments {
            resetSubflow(
                index, reason: MPTCPReset.middleboxInterference,
                why: "segments are acknowledged, but not at the data level")
            settle(index, now: now, counters: &counters)
        }
        return false
    }

    /// The peer is there and never acknowledges our DATA_FIN: our options do not get through any more. The only subflow goes
    /// on as TCP, whose FIN can't be stripped; among several, or after some, new ones take their place. A peer that never
    /// confirmed Multipath TCP need not be heard: as TCP it has nothing to answer to a DATA_FIN.
    /// True: our direction has become TCP.
    mutating func giveUpDeafSubflows(now: MonotonicInstant, counters: inout StackCounters) -> Bool {
        if !hadOtherSubflow, !hasUnusedJoin, let index = onlyReadySubflow,
            contexts[index].tcp.lastReceived > dataFinSince || state == .multipath(confirmed: false),
            becomesOnlySubflow(index), revertAfterAcknowledgments(index, now: now)
        {
            counters.count(.DssFallback)
            settle(index, now: now, counters: &counters)
            return true
        }
        for index in contexts.indices where contexts[index].isReady && contexts[index].tcp.lastReceived > dataFinSince {
            resetSubflow(index, reason: MPTCPReset.middleboxInterference, why: "the DATA_FIN is not acknowledged")
            settle(index, now: now, counters: &counters)
        }
        return false
    }
}
