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

    /// Our third ACK of a join is out and its answer is not here.
    var hasPendingJoin: Bool {
        for index in contexts.indices where !contexts[index].isClosed {
            if case .joinAckSent = contexts[index].handshake { return true }
        }
        return false
    }

    /// A join that ended before its fourth ACK was never used when the peer reset it; else it may have been.
    mutating func noteEndedJoin(_ index: Int) {
        guard case .joinAckSent = contexts[index].handshake else { return }
        if contexts[index].closeReason?.hasPrefix("reset by peer") != true { hadOtherSubflow = true }
    }

    /// A FIN without any option on the only subflow, before the DATA_FIN: the peer, or what it has become, ends the
    /// stream as TCP does. (A peer that only closes the subflow still says what it has: DSS stands on every segment.)
    func endsAsTCP(_ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome) -> Bool {
        outcome.peerFinished && segment.options.multipath.isEmpty && segment.payloadLength == 0 && !receive.isFinished
            && receiveReversion == .none && !receive.hasOutOfOrder && contexts[index].mappings.isEmpty
            && !hadOtherSubflow && !hasPendingJoin && phase == .open
    }

    //= RFC 8684 §3.7 the peer acknowledges at the subflow level alone: its DATA_ACKs get lost, or it has fallen back.
    // On the only subflow, whose stream is the data's, it goes on as TCP; sending the data there once more would repeat
    // bytes in the peer's stream. Among several, such a subflow is closed.
    /// True: nothing is to be sent again at the data level.
    mutating func actOnBareAcknowledgments(now: MonotonicInstant, counters: inout StackCounters) -> Bool {
        if liveSubflows == 1, let index = bestReadySubflow(), contexts[index].hearsBareSegments {
            if revertAfterAcknowledgments(index, now: now) {
                counters.count(.DssFallback)
                settle(index, now: now, counters: &counters)
                return true
            }
            counters.count(.FallbackFailed)
        }
        for index in contexts.indices where contexts[index].isReady && contexts[index].hearsBareSegments {
            resetSubflow(
                index, reason: MPTCPReset.middleboxInterference, why: "segments are acknowledged, but not at the data level")
            settle(index, now: now, counters: &counters)
        }
        return false
    }
}
