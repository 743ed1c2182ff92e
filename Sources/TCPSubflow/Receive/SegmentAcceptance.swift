public import TransportPolicies
public import TransportValues
public import WireFormats

extension Subflow {
    /// Processes a segment that belongs to this subflow (RFC 9293 §3.10.7). Payload is not touched: the outcome says
    /// which of it may be stored.
    ///
    ///= RFC 8684 §3.3.1 urgent data is mapped and delivered: in line, as RFC 6093 §4 recommends to applications, so that
    /// the urgent pointer means nothing here (a deviation from RFC 9293).
    /// - Parameter siblings: the connection's subflows, where its congestion control is coupled.
    public mutating func receive(
        _ segment: TCPSegment, siblings: CoupledGroup? = nil, now: MonotonicInstant
    ) -> SegmentOutcome {
        if let siblings { self.siblings = siblings }
        statistics.segmentsReceived &+= 1
        var outcome = SegmentOutcome()
        if resetDue == .abort || phase == .closed {
            drop(.closed, &outcome)
        } else if phase == .synSent {
            receiveInSynSent(segment, now, &outcome)
        } else {
            receiveSynchronized(segment, now, &outcome)
        }
        return outcome
    }

    mutating func drop(_ reason: SubflowDrop, _ outcome: inout SegmentOutcome) {
        statistics.drops[reason] &+= 1
        outcome.verdict = .dropped(reason)
    }

    mutating func noteAccepted(_ now: MonotonicInstant) {
        lastReceived = now
        lastActivity = now
        timers.unansweredProbes = 0
        if timers.keepalive != .distantFuture, let keepalive = configuration.keepalive {
            timers.keepalive = now + keepalive.idle
            timers.keepaliveProbes = 0
        }
    }

    /// RFC 9293 §3.10.7.4: SYN-RECEIVED and all later states.
    private mutating func receiveSynchronized(
        _ segment: TCPSegment, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome
    ) {
        let flags = segment.flags
        let sequence = segment.sequence.offset(from: receiving.initial, near: receiving.next)
        let isSyn = flags.contains(.syn)
        let textStart = isSyn ? sequence &+ 1 : sequence
        let textEnd = textStart &+ Int64(segment.payloadLength)
        let end = flags.contains(.fin) ? textEnd &+ 1 : textEnd
        if phase == .synReceived, isSyn, sequence == 0, !flags.contains(.rst) {
            // The peer's SYN again, or its SYN/ACK after a simultaneous open: then its SYN is trimmed off.
            guard flags.contains(.ack), isActiveOpener else {
                if acknowledging.challenges.allow(now: now) { handshake.synchronizeDue = true }
                return drop(.duplicateSyn, &outcome)
            }
            acknowledging.isImmediate = true
        } else {
            if refusedByPAWS(segment, now) {
                //= RFC 7323 §5.3 R1: send an acknowledgement and drop the segment
                acknowledgeUnacceptable(hasPayload: segment.payloadLength > 0, now)
                return drop(.paws, &outcome)
            }
            guard accept(segment, sequence, textStart..<textEnd, end: end, now, &outcome) else { return }
            if flags.contains(.rst) { return receiveReset(sequence, now, &outcome) }
            if isSyn {
                //= RFC 5961 §4: irrespective of the sequence number a SYN MUST be answered by a challenge ACK
                challenge(now)
                return drop(.synInWindow, &outcome)
            }
        }
        guard flags.contains(.ack) else { return drop(.noAcknowledgment, &outcome) }
        let scale = isSyn ? 0 : Int64(handshake.peerWindowScale)
        outcome.window = Int(segment.window) << Int(scale)
        if phase == .synReceived {
            guard acknowledgeInSynReceived(segment, sequence: sequence, now, &outcome) else { return }
            noteAccepted(now)
            rememberTimestamp(segment, sequence: sequence, now)
        } else {
            rememberTimestamp(segment, sequence: sequence, now)
            guard receiveAcknowledgment(segment, sequence: sequence, now, &outcome) else { return }
            noteAccepted(now)
        }
        finishAcknowledged(now, &outcome)
        if phase == .closed { return }
        if segment.payloadLength > 0 || flags.contains(.fin) { receiveText(segment, at: textStart, now, &outcome) }
    }

    /// First step: the acceptability test. False: the segment was dropped.
    private mutating func accept(
        _ segment: TCPSegment, _ sequence: Int64, _ text: Range<Int64>, end: Int64, _ now: MonotonicInstant,
        _ outcome: inout SegmentOutcome
    ) -> Bool {
        let next = receiving.next
        let edge = receiving.edge
        // A RST is judged by its sequence number alone (RFC 5961 §3).
        if segment.flags.contains(.rst) { return true }
        // Beyond RFC 9293's table an empty segment may stand at the right edge: a peer that filled the window sends its
        // acknowledgements from there.
        if end == sequence ? (sequence >= next && sequence <= edge) : (sequence < edge && end > next) { return true }
        //= RFC 9293 §3.10.7.4: with a window of zero, special allowance for valid ACKs, URGs and RSTs
        if sequence == next, edge == next, !segment.flags.contains(.syn) { return true }
        let hasPayload = !text.isEmpty
        // A SYN in any state is challenged, whatever its number; others get an acknowledgement of where we stand.
        if segment.flags.contains(.syn) {
            challenge(now)
            drop(.synInWindow, &outcome)
            return false
        }
        if phase == .timeWait, segment.flags.contains(.fin), end <= next {
            //= RFC 9293 §3.10.7.4: a retransmitted FIN in TIME-WAIT is acknowledged and restarts the 2 MSL timeout
            timers.timeWait = now + configuration.timeWait
            acknowledging.isImmediate = true
        }
        let isDuplicate = end <= next
        if isDuplicate, hasPayload {
            statistics.duplicateSegments &+= 1
            reportDuplicate(text)
        }
        acknowledgeUnacceptable(hasPayload: hasPayload || segment.flags.contains(.fin), now)
        drop(isDuplicate ? .duplicate : .outsideWindow, &outcome)
        return false
    }

    /// Second step.
    private mutating func receiveReset(_ sequence: Int64, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome) {
        //= RFC 5961 §3: at RCV.NXT exactly it MUST reset; elsewhere in the window a challenge ACK MUST be sent;
        // outside it is dropped silently
        guard sequence == receiving.next else {
            guard sequence > receiving.next, sequence < receiving.edge else {
                return drop(.rstOutsideWindow, &outcome)
            }
            challenge(now)
            return drop(.rstChallenged, &outcome)
        }
        let before = phase
        enterClosed()
        switch before {
        case .synReceived: outcome.change = isActiveOpener ? .refused : .reset
        case .timeWait, .closing, .lastAck: outcome.change = .closed
        case .synSent, .established, .finWait1, .finWait2, .closeWait, .closed: outcome.change = .reset
        }
    }

    /// What the acknowledgement of our FIN brings.
    private mutating func finishAcknowledged(_ now: MonotonicInstant, _ outcome: inout SegmentOutcome) {
        guard isFinAcknowledged else { return }
        let before = phase
        phase = phase.afterFinAcknowledged
        guard phase != before else { return }
        if phase == .timeWait {
            enterTimeWait(now)
            outcome.change = .closed
        } else if phase == .closed {
            enterClosed()
            outcome.change = .closed
        }
    }

    /// Seventh and eighth step: text and FIN. `start` is the offset of the first payload byte.
    mutating func receiveText(
        _ segment: TCPSegment, at start: Int64, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome
    ) {
        // After the peer's FIN text and FIN are ignored; what comes again there was acknowledged above.
        guard phase.mayReceiveData else {
            acknowledging.isImmediate = true
            return
        }
        let end = start &+ Int64(segment.payloadLength)
        if segment.payloadLength > 0 {
            noteMark(segment)
            let lower = max(start, receiving.next)
            let upper = min(end, receiving.edge, receiving.fin ?? .max)
            if lower < upper {
                outcome.payload = lower..<upper
                outcome.payloadSkip = Int(lower &- start)
                noteArrival(lower..<upper, from: start, now)
                sampleReceiverRoundTrip(segment, now)
            } else {
                // Special allowance for the window of zero, or bytes behind the FIN: nothing of it can be kept.
                acknowledgeUnacceptable(hasPayload: true, now)
                drop(.windowClosed, &outcome)
            }
        }
        if segment.flags.contains(.fin), noteFin(at: end) {
            acknowledging.isImmediate = true
            if receiving.next == end { consumeFin(now, &outcome) }
        }
    }

    private mutating func consumeFin(_ now: MonotonicInstant, _ outcome: inout SegmentOutcome) {
        consumeFin(now)
        outcome.peerFinished = true
        if outcome.change == .none { outcome.change = .peerFinished }
    }
}
