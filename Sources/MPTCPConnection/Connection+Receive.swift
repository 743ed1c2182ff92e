import BasicContainers
import TCPSubflow
public import TransportValues
public import WireFormats

extension Connection {
    /// Takes one segment for the subflow at `index`; `packet` is the IP packet that it was parsed from.
    public mutating func receive(
        _ segment: TCPSegment, packet: RawSpan, subflow index: Int, now: MonotonicInstant,
        counters: inout StackCounters
    ) {
        guard index < contexts.count, !contexts[index].isRetired else { return }
        if dropsEarlyOutOfOrder(index, segment) {
            counters.count(.handshakeOutOfOrderDropped)
            return
        }
        countOptionFaults(segment, &counters)
        noteRepeatedSYN(index, segment)
        let wasSynchronized = contexts[index].tcp.isSynchronized
        //= RFC 8684 §3, §3.4.1, §3.4.2 no option of a segment is looked at that TCP's own checks refuse
        let outcome = contexts[index].tcp.receive(segment, siblings: siblings(of: index), now: now)
        if case .dropped(let reason) = outcome.verdict {
            counters.count(StackCounter(reason))
        }
        var usable = outcome.isAccepted
        if !wasSynchronized, contexts[index].tcp.isSynchronized {
            usable = establish(index, segment, now: now, counters: &counters) && usable
            // No DATA_ACK has come yet: the window counts from the first byte.
            if !contexts[index].isJoin { send.widen(to: 1 + Int64(outcome.window), window: outcome.window) }
        } else if usable {
            usable = verifyRepeatedJoin(index, segment, counters: &counters)
            noteFourthAck(index, segment)
        }
        if isPathless, contexts[index].isReady {
            notePath()
            abandonAway(now: now, counters: &counters)
        }
        if outcome.isAccepted { noteHeard(index) }
        if pathUse == .interactive, outcome.newlyAcknowledged > 0, isSlow(index) { wantsPathCheck = true }
        // The segment that ends a subflow may acknowledge the last of the data; one that resets it says nothing more.
        let isReset = outcome.change == .reset || outcome.change == .refused
        if usable, !isReset, !phase.isClosed, !contexts[index].isDying {
            if state.isMultipath {
                receiveMultipath(index, segment, outcome, packet: packet, now: now, counters: &counters)
            } else {
                receivePlain(index, segment, outcome, packet: packet, now: now)
            }
        }
        noteReset(index, segment, outcome, counters: &counters)
        if outcome.newlyAcknowledged > 0 { noteSubflowProgress(index, counters: &counters) }
        settle(index, now: now, counters: &counters)
        noteReadable()
        noteWritable()
    }

    //= RFC 8684 §3.1 the third ACK may be lost: data that overtakes the segment with both keys is not yet usable, and
    // says nothing about fallback.
    private func dropsEarlyOutOfOrder(_ index: Int, _ segment: TCPSegment) -> Bool {
        guard state == .offered, role == .listener, contexts[index].tcp.phase == .synReceived,
            segment.payloadLength > 0, !segment.flags.contains(.syn), !segment.flags.contains(.rst)
        else { return false }
        if case .capable? = segment.options.multipath.other { return false }
        return segment.sequence != contexts[index].tcp.initialReceiveSequence + 1
    }

    //= RFC 8684 §3.9.3 a client whose SYNs with MP_CAPABLE get no answer tries without: something drops them, or our
    // answers to them
    private mutating func noteRepeatedSYN(_ index: Int, _ segment: TCPSegment) {
        guard state == .offered, role == .listener, contexts[index].tcp.phase == .synReceived, segment.flags == .syn,
            segment.sequence == contexts[index].tcp.initialReceiveSequence, segment.options.multipath.isEmpty
        else { return }
        fallBack(.peerSentNoCapable)
    }

    private func countOptionFaults(_ segment: TCPSegment, _ counters: inout StackCounters) {
        let faults = segment.options.ignored
        if faults.isEmpty { return }
        if faults.malformed | faults.truncated > 0 {
            counters.count(.optionMalformed, UInt64(faults.malformed) + UInt64(faults.truncated))
        }
        if faults.misplaced > 0 { counters.count(.optionWrongSegment, UInt64(faults.misplaced)) }
        if faults.duplicate > 0 { counters.count(.optionDuplicate, UInt64(faults.duplicate)) }
        if faults.conflicting > 0 { counters.count(.optionConflict, UInt64(faults.conflicting)) }
        if faults.unknown > 0 { counters.count(.optionUnknown, UInt64(faults.unknown)) }
    }

    /// A third ACK of a join that comes again is acknowledged again; one with a wrong HMAC is ignored.
    private mutating func verifyRepeatedJoin(
        _ index: Int, _ segment: TCPSegment, counters: inout StackCounters
    ) -> Bool {
        guard case .join(let join)? = segment.options.multipath.other else { return true }
        switch (contexts[index].handshake, join) {
        case (.joined, .ack):
            contexts[index].tcp.requestAcknowledgement()
        case (.joinAckSent, .synAck):
            contexts[index].tcp.requestAcknowledgement()
        case (.joinSynReceived, .syn):
            break
        default:
            counters.count(.optionWrongSegment)
        }
        return true
    }

    /// After fallback, or by choice: the stream of the one subflow is the stream.
    private mutating func receivePlain(
        _ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome, packet: RawSpan, now: MonotonicInstant
    ) {
        if case .fail? = segment.options.multipath.other, infinite != nil {
            infinite?.isAsked = true
            contexts[index].tcp.requestAcknowledgement()
        }
        if outcome.newlyAcknowledged > 0 || outcome.change != .none || segment.flags.contains(.ack) {
            takePlainAcknowledgment(index, outcome, now: now)
        }
        placePlain(index, segment, outcome, packet: packet, now: now)
    }

    /// Payload and FIN of a segment on a subflow whose stream is the connection's.
    mutating func placePlain(
        _ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome, packet: RawSpan, now: MonotonicInstant
    ) {
        // A segment that makes the connection fall back counts as TCP's already, its acknowledgement too.
        if state.isTCP { takePlainAcknowledgment(index, outcome, now: now) }
        guard !contexts[index].isClosed || outcome.peerFinished else { return }
        var finished = outcome.peerFinished
        if let range = outcome.payload {
            let start = segment.payloadOffset + outcome.payloadSkip
            let bytes = packet.extracting(start..<start + Int(range.upperBound - range.lowerBound))
            let placement = receive.place(bytes, at: range.lowerBound + fallbackReceiveShift, slack: windowSlack)
            switch placement {
            case .stored, .duplicate:
                finished = contexts[index].tcp.store(range, now: now) || finished
            case .outsideWindow, .full:
                break
            }
        }
        if finished { receivePlainFin(index) }
    }

    mutating func receivePlainFin(_ index: Int) {
        // A DATA_FIN came before the connection fell back: this FIN only ends the subflow.
        if receive.isFinished { return }
        // The subflow's FIN is consumed: everything before it has been placed.
        _ = receive.noteFin(at: receive.next)
        _ = receive.consumeFin()
    }

    /// A window field counts in units of 2^scale, so the peer may have been told up to one unit more than meant.
    var windowSlack: Int { (1 << Int(windowScale)) }

    /// What a RST said.
    private mutating func noteReset(
        _ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome, counters: inout StackCounters
    ) {
        guard outcome.change == .reset || outcome.change == .refused else { return }
        let multipath = segment.options.multipath
        // A refused join says nothing of the connection.
        var why = outcome.change == .refused && !contexts[index].isJoin ? "refused" : "reset by peer"
        for option in [multipath.other, multipath.second] {
            switch option {
            case .reset(let reset):
                counters.count(.MPRstRx)
                why += ": \(reset.reasonText)"
                contexts[index].endedTransiently = reset.transient
                contexts[index].endedForGood = !reset.transient
            case .fail:
                counters.count(.MPFailRx)
            case .fastClose(let close) where close.receiverKey == keys.local && state.isMultipath:
                counters.count(.MPFastcloseRx)
                closeAll(.fastClosed)
            default: break
            }
        }
        if contexts[index].closeReason == nil { contexts[index].closeReason = why }
    }
}

extension StackCounter {
    init(_ drop: SubflowDrop) {
        switch drop {
        case .outsideWindow, .windowClosed: self = .segmentOutsideWindow
        case .duplicate, .duplicateSyn: self = .segmentDuplicate
        case .paws: self = .segmentPAWS
        case .badAcknowledgment, .noAcknowledgment: self = .segmentBadAck
        case .rstOutsideWindow, .rstChallenged, .synInWindow: self = .segmentChallenged
        case .closed, .notSynchronized: self = .segmentUnexpected
        }
    }
}
