import TransportPolicies
import TransportValues
import WireFormats

extension Subflow {
    /// The fifth step of RFC 9293 §3.10.7.4 in synchronized states. False: the segment was dropped.
    mutating func receiveAcknowledgment(
        _ segment: TCPSegment, sequence: Int64, _ now: MonotonicInstant, _ outcome: inout SegmentOutcome
    ) -> Bool {
        let before = send.unacknowledged
        let acknowledgment = segment.acknowledgment.offset(from: send.initial, near: before)
        //= RFC 5961 §5: (SND.UNA - MAX.SND.WND) =< SEG.ACK =< SND.NXT, else discarded and an ACK sent back
        guard acknowledgment <= send.next, acknowledgment >= before &- max(send.maximumPeerWindow, 1) else {
            challenge(now)
            drop(.badAcknowledgment, &outcome)
            return false
        }
        let oldEdge = send.peerWindowEdge
        if acknowledgment >= before { updateWindow(segment, sequence, acknowledgment, Int64(outcome.window)) }
        let pipeBefore = inFlight
        noteApplicationLimit()
        sent.beginAcknowledgement(now, minimumRoundTrip: roundTrip.minimum)
        var result = SentSegments.Acknowledged()
        if acknowledgment > before {
            result = sent.acknowledge(to: acknowledgment)
            send.unacknowledged = acknowledgment
            outcome.newlyAcknowledged = result.payload
            outcome.acknowledgesNewFlight = true
            statistics.bytesAcknowledged &+= UInt64(result.payload)
        }
        var newlySacked = 0
        let hasBlocks = handshake.sackPermitted && !segment.options.sackBlocks.isEmpty
        var duplicate: Range<Int64>?
        if hasBlocks { newlySacked = takeBlocks(segment.options.sackBlocks, &duplicate) }
        let advanced = acknowledgment > before
        if let duplicate { noteDuplicate(duplicate, now) }
        if recovery.probe.end != nil {
            answerProbe(acknowledgment, duplicate: duplicate, hasBlocks: hasBlocks, advanced: advanced, now)
        }
        if sent.isEmpty, !advanced {
            watchZeroWindow(now)
            return true
        }
        //= RFC 5681 §2: a duplicate acknowledgement carries no data, no SYN or FIN, equals the greatest acknowledgement
        // so far and advertises the same window; RFC 6675 §2: one with new SACK information counts whatever else it has
        let isDuplicate =
            handshake.sackPermitted
            ? newlySacked > 0
            : acknowledgment == before && segment.payloadLength == 0 && oldEdge == send.peerWindowEdge
                && segment.flags.isDisjoint(with: [.syn, .fin])
                //= RFC 8684 §3, §3.4.1, §4 a duplicate ACK with a Multipath TCP option other than DSS is no signal of congestion
                && segment.options.multipath.other == nil
        if isDuplicate, acknowledgment == before {
            outcome.isDuplicateAcknowledgement = true
            statistics.duplicateAcknowledgements &+= 1
        }
        let wasInRecovery = recovery.phase == .fast
        undoIfOriginalsArrive(now)
        let sample = advanced ? flightAdvanced(result, segment, pipeBefore, now) : nil
        updateRecovery(
            Progress(
                advanced: advanced, acknowledged: Int(acknowledgment &- before),
                delivered: result.delivered &+ newlySacked, newlySacked: newlySacked,
                isDuplicate: isDuplicate && !advanced), now, &outcome)
        if advanced || newlySacked > 0 {
            var report = DeliveryReport(bytes: result.delivered &+ newlySacked, now: now)
            report.inFlightBefore = pipeBefore
            report.isWindowLimited = before < send.windowLimitedUntil
            report.advances = advanced
            report.isInRecovery = wasInRecovery || recovery.phase == .fast
            report.roundTrip = sample
            reportDelivery(report, now)
        }
        noteEcho(segment, now)
        if advanced || newlySacked > 0 { scheduleLossProbe(now) }
        return true
    }

    private mutating func updateWindow(
        _ segment: TCPSegment, _ sequence: Int64, _ acknowledgment: Int64, _ window: Int64
    ) {
        //= RFC 9293 §3.10.7.4: SND.WL1 < SEG.SEQ, or SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK
        guard
            send.windowSequence < sequence
                || (send.windowSequence == sequence && send.windowAcknowledgment <= acknowledgment)
                || acknowledgment > send.unacknowledged
        else { return }
        setPeerWindow(window, sequence: sequence, acknowledgment: acknowledgment)
    }

    /// SND.UNA moved: round trip and timers. Returns the sample.
    private mutating func flightAdvanced(
        _ result: SentSegments.Acknowledged, _ segment: TCPSegment, _ pipeBefore: Int, _ now: MonotonicInstant
    ) -> TimeSpan? {
        let sample = roundTripSample(result, segment, now)
        if let sample {
            let burst = max(2 &* dataPayloadLimit, configuration.maximumBurst)
            roundTrip.sample(sample, now: now, expectedSamples: pipeBefore / burst &+ 1)
            //= RFC 6298 §5: a new sample collapses the backed-off timeout
            timers.backoff = 0
        }
        timers.consecutiveTimeouts = 0
        timers.waitingSince = now
        if send.limitUntil <= now { retryLongSegments(now) }
        if sent.isEmpty {
            //= RFC 6298 §5 rule 5.2: all outstanding data acknowledged: turn the timer off
            timers.retransmission = .distantFuture
            timers.isWaiting = false
            watchZeroWindow(now)
        } else {
            //= RFC 6298 §5 rule 5.3: new data acknowledged: restart the timer
            startRetransmissionTimer(now)
        }
        if timestamps.enabled, let stamp = segment.options.timestamps { undoIfEchoIsOld(echo: stamp.echo, now) }
        return sample
    }

    /// Tells the controller what arrived, and paces by what it makes of it.
    private mutating func reportDelivery(_ from: DeliveryReport, _ now: MonotonicInstant) {
        var report = from
        if recovery.phase == .timeout, !handshake.sackPermitted {
            //= RFC 3465 §2.3: without SACK an acknowledgement after a timeout may jump over much that had arrived
            report.bytes = min(report.bytes, dataPayloadLimit)
        }
        if report.advances, send.unacknowledged > send.roundEnd {
            report.startsRound = true
            send.roundEnd = send.next
        }
        report.inFlight = inFlight
        report.smoothedRoundTrip = roundTrip.smoothed
        report.minimumRoundTrip = roundTrip.minimum
        report.rate = rate.sample(sent.collection, minimumRoundTrip: roundTrip.minimum, now: now)
        report.group = siblings
        congestion.acknowledged(report)
        updatePacing()
        watchPacer(now)
    }

    private func roundTripSample(
        _ result: SentSegments.Acknowledged, _ segment: TCPSegment, _ now: MonotonicInstant
    ) -> TimeSpan? {
        //= RFC 6298 §3 (Karn): no sample from segments sent more than once, but for timestamps
        if let sentAt = result.sampleSentAt { return now - sentAt }
        guard result.hasRetransmission, timestamps.enabled, let stamp = segment.options.timestamps else { return nil }
        let ticks = Int32(bitPattern: timestamps.clock(now) &- stamp.echo)
        guard stamp.echo != 0, ticks >= 0, ticks < 120_000 else { return nil }
        return .milliseconds(Int64(ticks))
    }

    /// Takes the SACK blocks in; returns what was newly delivered. Blocks may lie anywhere, overlap, or be empty.
    ///
    /// They are taken in ascending order: two that one acknowledgement reports for the first time are no sign of
    /// reordering, only of a lost acknowledgement.
    private mutating func takeBlocks(_ blocks: SACKBlocks, _ duplicate: inout Range<Int64>?) -> Int {
        var delivered = 0
        var ranges = InlineArray<4, Range<Int64>>(repeating: 0..<0)
        var count = 0
        for index in 0..<min(blocks.count, 4) {
            let left = blocks[index].left.offset(from: send.initial, near: send.unacknowledged)
            let right = blocks[index].right.offset(from: send.initial, near: send.unacknowledged)
            guard left < right, right <= send.next, left > 0 else {
                statistics.sackBlocksInvalid &+= 1
                continue
            }
            //= RFC 2883 §4: a first block at or below the acknowledgement, or inside the second, reports a duplicate
            if right <= send.unacknowledged || (index == 0 && blocks.count > 1 && isInside(blocks[0], blocks[1])) {
                if index == 0 { duplicate = left..<right }
                continue
            }
            var place = count
            while place > 0, ranges[place &- 1].lowerBound > left {
                ranges[place] = ranges[place &- 1]
                place &-= 1
            }
            ranges[place] = max(left, send.unacknowledged)..<right
            count &+= 1
        }
        for index in 0..<count { delivered &+= sent.markSacked(ranges[index]) }
        statistics.sackBlocksRefused &+= sent.refused
        sent.refused = 0
        return delivered
    }

    private func isInside(_ inner: SACKBlock, _ outer: SACKBlock) -> Bool {
        inner.left.distance(from: outer.left) >= 0 && outer.right.distance(from: inner.right) >= 0
    }
}
