import TransportPolicies
import TransportValues
public import WireFormats

extension Subflow {
    /// Takes initial sequence number and options from the peer's SYN or SYN/ACK.
    mutating func negotiate(_ syn: TCPSegment) {
        negotiateNotification(syn.flags)
        receiving.initial = syn.sequence
        receiving.next = 1
        receiving.edge = max(receiving.edge, 1)
        receiving.advertised = max(receiving.advertised, 1)
        let options = syn.options
        handshake.peerOffersTimestamps = options.timestamps != nil
        handshake.peerOffersScale = options.windowScale != nil
        handshake.peerOffersSACK = options.sackPermitted
        //= RFC 7323 §2.2, §3.2: scaling and timestamps only when both SYNs carried the option
        handshake.windowScaling = configuration.offersWindowScale && handshake.peerOffersScale
        handshake.peerWindowScale = handshake.windowScaling ? min(options.windowScale ?? 0, 14) : 0
        timestamps.enabled = configuration.timestamps && handshake.peerOffersTimestamps
        handshake.sackPermitted = configuration.sack && handshake.peerOffersSACK
        if let stamp = options.timestamps {
            timestamps.recent = stamp.value
            timestamps.recentAt = lastActivity
        }
        //= RFC 9293 §3.7.1 MUST-15: without the option, 536. What is too small to carry data is raised to our floor:
        // a segment of 88 bytes then exceeds what the peer announced, which no honest peer announces.
        let announced = Int(options.maximumSegmentSize ?? 536)
        send.segmentLimit = min(
            configuration.maximumSegmentSize, max(announced, SubflowConfiguration.minimumSegmentSize))
        //= RFC 7323 §2.2: the window field in a segment with SYN is never scaled
        setPeerWindow(Int64(syn.window), sequence: 0, acknowledgment: send.unacknowledged)
    }

    mutating func setPeerWindow(_ window: Int64, sequence: Int64, acknowledgment: Int64) {
        send.peerWindowEdge = acknowledgment &+ window
        send.maximumPeerWindow = max(send.maximumPeerWindow, window)
        send.windowSequence = sequence
        send.windowAcknowledgment = acknowledgment
    }

    /// Both SYNs are acknowledged: the windows of data transfer are set up.
    mutating func becomeEstablished(_ now: MonotonicInstant) {
        phase = .established
        handshake.synchronizeDue = false
        send.unacknowledged = 1
        sent.judgedEdge = 1
        sent.rack.forward = 1
        handshake.timeouts = timers.consecutiveTimeouts
        let size = segmentPayloadLimit(multipathOptionBytes: 0)
        let seed = UInt64(send.initial.rawValue) << 32 | UInt64(timestamps.offset)
        congestion = CongestionController(
            configuration.congestion, maximumSegmentSize: size, initialWindow: initialWindow(size), seed: seed)
        pacer = Pacer(credit: initialWindow(size))
        timers.retransmission = .distantFuture
        timers.isWaiting = false
        timers.backoff = 0
        timers.consecutiveTimeouts = 0
        //= RFC 6298 §3: no sample of a SYN that was sent twice
        if handshake.transmissions == 1 {
            roundTrip.sample(now - handshake.sentAt, now: now)
        } else if handshake.timeouts > 0 {
            //= RFC 6298 §5 rule 5.7: after the SYN's timer expired, 3 s until the first sample
            timers.initialTimeout = .seconds(3 as Int64)
        }
        updatePacing()
        startKeepalive(now)
        watchZeroWindow(now)
    }

    /// The initial window in bytes for segments of `size` bytes.
    func initialWindow(_ size: Int) -> Int {
        //= RFC 5681 §3.1, RFC 6928 §2: after a SYN or SYN/ACK that was lost more than once, one segment
        let segments = handshake.timeouts > 1 ? 1 : configuration.initialWindowSegments
        return CongestionController.initialWindow(segments: segments, maximumSegmentSize: size)
    }

    /// SYN-SENT (RFC 9293 §3.10.7.3).
    mutating func receiveInSynSent(_ segment: TCPSegment, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome) {
        let flags = segment.flags
        let acknowledgment = segment.acknowledgment.offset(from: send.initial, near: send.unacknowledged)
        let acknowledges = flags.contains(.ack)
        if acknowledges, acknowledgment <= 0 || acknowledgment > send.next {
            // Not for a SYN of ours: <SEQ=SEG.ACK><CTL=RST>
            if !flags.contains(.rst) { answerWithReset(segment.acknowledgment, now) }
            return drop(flags.contains(.rst) ? .rstOutsideWindow : .badAcknowledgment, &outcome)
        }
        if flags.contains(.rst) {
            //= RFC 9293 §3.10.7.3: a RST without an acceptable ACK is dropped
            guard acknowledges else { return drop(.rstOutsideWindow, &outcome) }
            enterClosed()
            outcome.change = .refused
            return
        }
        guard flags.contains(.syn) else { return drop(.notSynchronized, &outcome) }
        noteAccepted(now)
        if !acknowledges {
            // Simultaneous open: our SYN goes out again as SYN/ACK.
            negotiate(segment)
            phase = .synReceived
            handshake.synchronizeDue = true
            outcome.window = Int(segment.window)
            return
        }
        send.unacknowledged = 1
        negotiate(segment)
        outcome.acknowledgesNewFlight = true
        outcome.window = Int(segment.window)
        becomeEstablished(now)
        outcome.change = .established
        acknowledging.isImmediate = true
        //= RFC 9293 §3.10.7.3: other controls or text continue at the sixth step
        if segment.payloadLength > 0 || flags.contains(.fin) { receiveText(segment, at: 1, now, &outcome) }
    }

    /// SYN-RECEIVED, fifth step of RFC 9293 §3.10.7.4. False: the segment goes no further.
    mutating func acknowledgeInSynReceived(
        _ segment: TCPSegment, sequence: Int64, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome
    ) -> Bool {
        let acknowledgment = segment.acknowledgment.offset(from: send.initial, near: send.unacknowledged)
        guard acknowledgment > 0, acknowledgment <= send.next else {
            answerWithReset(segment.acknowledgment, now)
            drop(.badAcknowledgment, &outcome)
            return false
        }
        becomeEstablished(now)
        let scale = segment.flags.contains(.syn) ? 0 : handshake.peerWindowScale
        setPeerWindow(Int64(segment.window) << Int64(scale), sequence: sequence, acknowledgment: 1)
        outcome.change = .established
        outcome.acknowledgesNewFlight = true
        return true
    }

    mutating func answerWithReset(_ sequence: SequenceNumber, _ now: MonotonicInstant) {
        guard resetDue == .none, acknowledging.challenges.allow(now: now) else {
            statistics.acknowledgementsSuppressed &+= 1
            return
        }
        resetDue = .answer(sequence)
    }

    /// Whether a SYN that arrives in TIME-WAIT may begin a new connection between the same endpoints: its timestamp or
    /// its sequence number is beyond all that this one used (RFC 6191, RFC 9293 §3.6.1 MAY-2).
    public func permitsReuse(by syn: TCPSegment) -> Bool {
        guard phase == .timeWait, syn.flags.contains(.syn), !syn.flags.contains(.ack) else { return false }
        if timestamps.enabled, let stamp = syn.options.timestamps {
            let ahead = Int32(bitPattern: stamp.value &- timestamps.recent)
            if ahead != 0 { return ahead > 0 }
        }
        return syn.sequence.offset(from: receiving.initial, near: receiving.next) > receiving.next
    }
}
