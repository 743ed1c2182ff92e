import TransportPolicies
public import TransportValues
public import WireFormats

extension Subflow {
    /// What the header says and the queue remembers of one emission.
    private struct Plan: BitwiseCopyable {
        var flags: TCPFlags = .ack
        var sequence: Int64 = 0
        var payload = 0
        var isSyn = false
    }

    /// Writes the TCP header of an emission at `offset`: our own options first, then `multipath`, then SACK blocks in
    /// what is left. All state counts it as sent. The caller copies the payload behind it and finishes checksums.
    /// - Parameters:
    ///   - tuple: gives the ports.
    ///   - multipath: at most ``optionRoom(for:)`` bytes; what is more is left out and counted.
    ///   - window: bytes to advertise, unscaled; without ``sharesWindow`` the right edge never moves back.
    /// - Returns: the header's length in bytes.
    /// - Precondition: 60 bytes fit into `packet` at `offset`.
    @_lifetime(packet: copy packet)
    public mutating func emit(
        _ emission: Emission, tuple: FourTuple, multipath: OptionBlock, window: Int,
        into packet: inout MutableRawSpan, at offset: Int, now: MonotonicInstant
    ) -> Int {
        var options = ownOptions(for: emission, now: now)
        var plan = note(emission, multipathBytes: multipath.count, now)
        if plan.flags.contains(.ack), !plan.isSyn {
            var isNewData = false
            if case .data = emission { isNewData = plan.payload > 0 }
            plan.flags.formUnion(takeNotificationFlags(isNewData: isNewData))
        }
        var reportsAll = true
        if configuration.wire.blocksFirst {
            reportsAll = appendBlocks(to: &options, plan, reserved: multipath.count)
        }
        if !options.append(multipath) { statistics.optionsOmitted &+= 1 }
        if !configuration.wire.blocksFirst { reportsAll = appendBlocks(to: &options, plan, reserved: 0) }
        //= RFC 8684 §3.3.1 the urgent pointer is never used
        var fields = TCPHeaderFields(
            sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
            sequence: send.initial.advanced(by: plan.sequence), acknowledgment: SequenceNumber(0), flags: plan.flags,
            window: 0)
        if case .reset = emission, case .answer(let sequence) = resetDue {
            //= RFC 9293 §3.10.7.3: <SEQ=SEG.ACK><CTL=RST>
            fields.sequence = sequence
            fields.flags = .rst
        }
        if fields.flags.contains(.ack) {
            fields.acknowledgment = receiving.initial.advanced(by: receiving.next)
        }
        if !fields.flags.contains(.rst) {
            fields.window = advertise(window, isSyn: plan.isSyn)
            if fields.flags.contains(.ack) { noteAcknowledged(isComplete: reportsAll || plan.payload == 0) }
        }
        finishReset(emission)
        statistics.segmentsSent &+= 1
        statistics.bytesSent &+= UInt64(plan.payload)
        lastActivity = now
        return emitTCPHeader(fields, options: options, into: &packet, at: offset)
    }

    private mutating func finishReset(_ emission: Emission) {
        guard case .reset = emission else { return }
        if case .answer = resetDue { resetDue = .none } else { enterClosed() }
    }

    /// Puts the SACK blocks that are due into what is left, but for `reserved` bytes. False: due ones do not fit.
    private func appendBlocks(to options: inout OptionBlock, _ plan: Plan, reserved: Int) -> Bool {
        guard handshake.sackPermitted, !plan.isSyn, !plan.flags.contains(.rst),
            receiving.duplicate != nil || !receiving.ranges.isEmpty
        else { return true }
        var room = options.remaining &- reserved
        if plan.payload > 0 {
            // Beside payload only what keeps the segment within the MSS.
            let spare = send.segmentLimit &- plan.payload &- options.count &- reserved
            room = plan.payload > send.segmentLimit ? 0 : min(room, spare)
        }
        let limit = (room &- 4) / 8
        let blocks = blocksToReport()
        if limit > 0, options.append(blocks, limit: limit) { return true }
        return blocks.isEmpty
    }

    /// Books the emission.
    private mutating func note(_ emission: Emission, multipathBytes: Int, _ now: MonotonicInstant) -> Plan {
        var plan = Plan()
        plan.sequence = send.next
        switch emission {
        case .synchronize:
            plan.flags = phase == .synReceived ? [.syn, .ack] : .syn
            plan.isSyn = true
            plan.sequence = 0
            plan.flags.formUnion(notificationFlags(isAnswer: phase == .synReceived))
            noteSynchronize(now)
        case .acknowledge, .unstampedAcknowledge: break
        case .probe:
            //= RFC 9293 §3.8.4: SEG.SEQ = SND.NXT - 1 elicits an acknowledgement
            plan.sequence = send.unacknowledged &- 1
            noteProbe()
        case .fin:
            plan.flags = [.fin, .ack]
            noteFin(now)
        case .reset:
            plan.flags = receiving.next > 0 ? [.rst, .ack] : .rst
        case .data(let mapping, let length, let push, let fin):
            plan.payload = max(0, length)
            if push { plan.flags.insert(.psh) }
            if fin { plan.flags.insert(.fin) }
            send.multipathOptionBytes = multipathBytes
            noteData(mapping, plan.payload, push: push, fin: fin, now)
        case .retransmit(let range):
            plan.sequence = range.subflowOffset
            plan.payload = max(0, range.length)
            if range.push { plan.flags.insert(.psh) }
            if range.fin { plan.flags.insert(.fin) }
            noteRetransmission(range, now)
        }
        return plan
    }

    private mutating func noteSynchronize(_ now: MonotonicInstant) {
        handshake.synchronizeDue = false
        handshake.transmissions &+= 1
        handshake.sentAt = now
        send.next = max(send.next, 1)
        if handshake.transmissions > 1 { statistics.segmentsRetransmitted &+= 1 }
        if timers.retransmission == .distantFuture { startRetransmissionTimer(now) }
        noteWaiting(now)
    }

    /// The SYN/ACK went out before there was this subflow, with this window in bytes: as a SYN cookie.
    public mutating func assumeSynchronizeSent(window: Int, now: MonotonicInstant) {
        noteSynchronize(now)
        // Nobody knows when it was sent: no sample of the round trip.
        handshake.transmissions = 2
        _ = advertise(window, isSyn: true)
    }

    private mutating func noteProbe() {
        timers.probeDue = false
        if timers.persist != .distantFuture {
            timers.unansweredProbes &+= 1
            statistics.zeroWindowProbes &+= 1
        } else {
            statistics.keepaliveProbes &+= 1
        }
    }

    private mutating func noteData(
        _ mapping: SentMapping, _ length: Int, push: Bool, fin: Bool, _ now: MonotonicInstant
    ) {
        if sent.isEmpty { noteIdle(now) }
        let segment = dataPayloadLimit
        enqueue(mapping, length, push: push && configuration.wire.push != .endOfBuffer, fin: fin, now)
        recovery.reduction.sent &+= length
        if recovery.probe.allowance > 0 { noteProbe(isRetransmission: false) }
        let room = congestionWindow &- inFlight
        if room < segment || (isInSlowStart && inFlight > congestionWindow / 2) {
            send.windowLimitedUntil = send.next
        }
        send.lastDataSent = now
        notePaced(length, now)
    }

    private mutating func noteFin(_ now: MonotonicInstant) {
        guard phase.maySendFin, send.finOffset == nil else { return }
        enqueue(.none, 0, push: false, fin: true, now)
    }

    private mutating func enqueue(
        _ mapping: SentMapping, _ length: Int, push: Bool, fin: Bool, _ now: MonotonicInstant
    ) {
        guard length > 0 || fin, send.finOffset == nil else { return }
        var record = SentRecord(
            start: send.next, sentAt: now, mapping: mapping, stamp: stamp(length, now),
            length: Int32(truncatingIfNeeded: min(length, 1 << 20)),
            marks: push ? .push : [])
        if fin {
            record.marks.insert(.fin)
            send.finQueued = true
            send.finOffset = send.next &+ Int64(record.length)
            phase = phase.afterSendingFin
        }
        sent.append(record)
        send.next = record.end
        noteWaiting(now)
        //= RFC 6298 §5 rule 5.1: the timer runs whenever something is outstanding
        if timers.retransmission == .distantFuture { startRetransmissionTimer(now) }
        timers.persist = .distantFuture
        if recovery.phase == .open { scheduleLossProbe(now) }
    }

    private mutating func noteRetransmission(_ range: RetransmissionRange, _ now: MonotonicInstant) {
        sent.retransmitted(
            range.subflowOffset, length: range.length, fin: range.fin, stamp: stamp(range.length, now), now: now)
        statistics.segmentsRetransmitted &+= 1
        statistics.bytesRetransmitted &+= UInt64(max(0, range.length))
        if recovery.probe.isDue { return noteProbe(isRetransmission: true) }
        recovery.reduction.sent &+= max(0, range.length)
        recovery.sentAgain &+= max(0, range.length)
        recovery.retransmitFirst = false
        if recovery.firstRetransmission == nil { recovery.firstRetransmission = timestamps.clock(now) }
        if timers.retransmission == .distantFuture { startRetransmissionTimer(now) }
        notePaced(range.length, now)
    }

    private mutating func stamp(_ length: Int, _ now: MonotonicInstant) -> DeliveryRateEstimator.Stamp {
        rate.stamp(inFlightBefore: inFlight, size: length, now: now)
    }
}
