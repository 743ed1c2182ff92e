import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
import WireFormats

extension Connection {
    /// Writes the next packet that is due into `buffer` from `headroom` on; nil when there is none now.
    ///
    /// What a subflow owes (RST, SYN, retransmissions) goes first, then data where the scheduler wants it, then bare
    /// acknowledgements that no data carried.
    public mutating func transmit(
        into buffer: inout MutableRawSpan, headroom: Int, now: MonotonicInstant, counters: inout StackCounters
    ) -> TransmitMetadata? {
        let count = contexts.count
        for step in 0..<count {
            let index = (rotor + step) % count
            switch contexts[index].tcp.opportunity(now: now) {
            case .reset:
                if fastCloseSubflow == index {
                    fastCloseSubflow = nil
                    var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .acknowledge))
                    if options.append(.fastClose(MPFastClose(receiverKey: keys.remote))) {
                        counters.count(.MPFastcloseTx)
                    }
                    return emit(.acknowledge, index, options, nil, into: &buffer, headroom, now)
                }
                let options = resetOptions(index, counters: &counters)
                let packet = emit(.reset, index, options, nil, into: &buffer, headroom, now)
                settle(index, now: now, counters: &counters)
                return packet
            case .synchronize:
                // An address is echoed before it is joined, as Linux does it.
                if contexts[index].isJoin, let packet = transmitControl(into: &buffer, headroom, now, &counters) {
                    return packet
                }
                let options = synchronizeOptions(index, counters: &counters)
                return emit(.synchronize, index, options, nil, into: &buffer, headroom, now)
            case .retransmit(let range):
                return retransmit(index, range, into: &buffer, headroom, now, &counters)
            case .fin, .probe, .acknowledge, .nothing:
                break
            }
        }
        if thirdAckDue, contexts[0].isReady {
            let options = acknowledgeOptions(
                0, room: contexts[0].tcp.optionRoom(for: .acknowledge), counters: &counters)
            thirdAckDue = false
            let packet = emit(.acknowledge, 0, options, nil, into: &buffer, headroom, now)
            if send.finish == .sent { contexts[0].tcp.requestAcknowledgement() }
            return packet
        }
        if let packet = transmitControl(into: &buffer, headroom, now, &counters) { return packet }
        if let packet = transmitData(into: &buffer, headroom, now, &counters) { return packet }
        for step in 0..<count {
            let index = (rotor + step) % count
            if let packet = transmitBare(index, into: &buffer, headroom, now, &counters) { return packet }
        }
        if count > 1 { rotor = (rotor + 1) % count }
        return nil
    }

    private mutating func transmitBare(
        _ index: Int, into buffer: inout MutableRawSpan, _ headroom: Int, _ now: MonotonicInstant,
        _ counters: inout StackCounters
    ) -> TransmitMetadata? {
        let emission: Subflow.Emission
        switch contexts[index].tcp.opportunity(now: now) {
        case .fin: emission = .fin
        case .probe:
            counters.count(.WinProbe)
            emission = .probe
        case .acknowledge: emission = .acknowledge
        default: return nil
        }
        let options = acknowledgeOptions(
            index, room: contexts[index].tcp.optionRoom(for: emission), counters: &counters)
        let packet = emit(emission, index, options, nil, into: &buffer, headroom, now)
        if case .fin = emission { settle(index, now: now, counters: &counters) }
        return packet
    }

    private mutating func retransmit(
        _ index: Int, _ range: RetransmissionRange, into buffer: inout MutableRawSpan, _ headroom: Int,
        _ now: MonotonicInstant, _ counters: inout StackCounters
    ) -> TransmitMetadata? {
        if state.isMultipath { counters.count(.MPTCPRetrans) }
        let room = contexts[index].tcp.optionRoom(for: .retransmit(range))
        let options =
            range.length > 0
            ? dataOptions(index, range.mapping, room: room)
            : acknowledgeOptions(index, room: room, counters: &counters)
        return emit(
            .retransmit(range), index, options, (range.dataOffset, range.length), into: &buffer, headroom, now)
    }

    /// Address advertisements and the like, each on an ACK of its own.
    private mutating func transmitControl(
        into buffer: inout MutableRawSpan, _ headroom: Int, _ now: MonotonicInstant, _ counters: inout StackCounters
    ) -> TransmitMetadata? {
        guard isFullyMultipath, peerHasOurKey || role == .listener, let option = addresses.nextOutgoing else {
            return nil
        }
        //= RFC 8684 §3, §3.4.1, §4 no more than two duplicate ACKs in a row that only carry signals
        guard signalRun < 2, let index = bestReadySubflow() else { return nil }
        signalRun += 1
        if signalRun == 2 { signalPause = now + max(contexts[index].tcp.roundTrip.smoothed, .milliseconds(10)) }
        addresses.removeOutgoing()
        var signal = DataSequenceSignal()
        signal.dataAck = outgoingDataAck
        let leads = configuration.wire.signalFirst && option.subtype != .addAddress
        var emission = Subflow.Emission.acknowledge
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: emission))
        if leads { options.append(signal) }
        if !options.append(option) {
            // An IPv6 address with port and HMAC does not fit beside timestamps: as Linux does, they are left out once.
            emission = .unstampedAcknowledge
            options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: emission))
            if leads { options.append(signal) }
            guard options.append(option) else {
                counters.count(.AddAddrTxDrop)
                return nil
            }
        }
        switch option {
        case .addAddress(let address): counters.count(address.isEcho ? .EchoAddTx : .AddAddrTx)
        case .removeAddress: counters.count(.RmAddrTx)
        case .priority: counters.count(.MPPrioTx)
        default: break
        }
        if !leads, !(configuration.wire.addressAlone && option.subtype == .addAddress) { options.append(signal) }
        return emit(emission, index, options, nil, into: &buffer, headroom, now)
    }

    func bestReadySubflow() -> Int? {
        var best: Int?
        for index in contexts.indices
        where contexts[index].isReady && contexts[index].tcp.phase.isOpenForAcknowledgements {
            guard let other = best else {
                best = index
                continue
            }
            let isSilent = contexts[index].isStalled || contexts[index].isSuspect
            let better =
                isSilent != (contexts[other].isStalled || contexts[other].isSuspect)
                ? !isSilent
                : contexts[index].tcp.roundTrip.smoothed < contexts[other].tcp.roundTrip.smoothed
            if better { best = index }
        }
        return best
    }

    // MARK: Data

    private mutating func transmitData(
        into buffer: inout MutableRawSpan, _ headroom: Int, _ now: MonotonicInstant, _ counters: inout StackCounters
    ) -> TransmitMetadata? {
        guard let work = nextOverdue(now: now) ?? nextWork(now: now) ?? nextRepair(now: now) else { return nil }
        let optionBytes = dataOptionBytes
        guard let index = chooseSubflow(for: work, optionBytes: optionBytes, now: now) else { return nil }
        let length = segmentLength(index, work, optionBytes: optionBytes, now: now)
        guard length > 0 else { return nil }
        let end = work.start + Int64(length)
        let subflowOffset = contexts[index].tcp.sendNext
        let carriesFin =
            state.isMultipath && !sendReverted && send.finish == .queued && end == send.end && length < 65_535
            && !goesWithCapable(dataOffset: work.start, subflowOffset: subflowOffset)
        var mapping = SentMapping(
            dataOffset: work.start, subflowOffset: subflowOffset, length: Int32(length), dataFin: carriesFin)
        contexts[index].noteSent(dataOffset: work.start, subflowOffset: subflowOffset)
        if useChecksum, !sendReverted {
            mapping.hasChecksum = true
            mapping.checksum = outgoingChecksum(
                dataOffset: work.start, subflowOffset: subflowOffset, length: length, dataFin: carriesFin)
        }
        contexts[index].sentThrough = max(contexts[index].sentThrough, end)
        if work.isReinjection {
            counters.count(.reinjected)
            send.reinjections.remove(work.start..<end)
        } else {
            contexts[index].freshBytesSent &+= UInt64(length)
            send.sent(through: end)
            noteWritable()
        }
        signalRun = 0
        if carriesFin { startDataFin(now: now) }
        if dataTimer == .distantFuture { dataWaitingSince = now }
        armDataTimer(now: now)
        armHeadTimer(now: now)
        let push = end == send.end || configuration.wire.push == .everySegment
        let emission = Subflow.Emission.data(mapping, length: length, push: push, fin: false)
        let options = dataOptions(index, mapping, room: contexts[index].tcp.optionRoom(for: emission))
        let packet = emit(emission, index, options, (work.start, length), into: &buffer, headroom, now)
        watchSilence(index)
        if send.finish == .queued, !send.hasUnsent { progressClose(now: now) }
        return packet
    }

    // MARK: Emission

    /// Headers, payload from the ring, checksums.
    private mutating func emit(
        _ emission: Subflow.Emission, _ index: Int, _ options: OptionBlock, _ payload: (offset: Int64, length: Int)?,
        into buffer: inout MutableRawSpan, _ headroom: Int, _ now: MonotonicInstant
    ) -> TransmitMetadata {
        let network = contexts[index].networkHeaderLength
        let tcpOffset = headroom + network
        let tuple = contexts[index].setup.tuple
        let window = receive.advertise(segment: contexts[index].tcp.maximumSegmentSize)
        let header = contexts[index].tcp.emit(
            emission, tuple: tuple, multipath: options, window: window, into: &buffer, at: tcpOffset, now: now)
        let length = payload?.length ?? 0
        let partial = contexts[index].setup.checksumOffload
        let lends = partial && length >= contexts[index].setup.lendsFrom
        if let payload, length > 0, !lends {
            send.ring.copy(at: payload.offset, count: length, into: &buffer, at: tcpOffset + header)
        }
        let segment = contexts[index].tcp.segmentPayloadLimit(multipathOptionBytes: options.count)
        finishTCPChecksum(
            packet: &buffer, at: tcpOffset, length: header + length, source: tuple.local.address,
            destination: tuple.remote.address, partial: partial)
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: 6,
            payloadLength: header + length, identification: 0,
            trafficClass: contexts[index].tcp.congestionField(of: emission), hopLimit: 64, into: &buffer, at: headroom)
        var metadata = TransmitMetadata(
            interface: contexts[index].isAway ? .nowhere : contexts[index].setup.interface,
            length: network + header + length,
            headerLength: network + header, networkHeaderLength: network, segmentSize: length > segment ? segment : 0,
            checksumPartial: partial, isIPv6: tuple.isIPv6)
        if lends, let payload {
            metadata.lent = LentPayload(owner: -1, length: Int32(length), offset: payload.offset)
        }
        return metadata
    }
}

extension Connection {
    /// Lends what a packet's ``TransmitMetadata/lent`` names, in at most two slices; both are empty when it is not there.
    public borrowing func withLentPayload<Result, Failure: Error>(
        _ lent: LentPayload, _ body: (RawSpan, RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let count = Int(lent.length)
        guard holds(lent) else { return try body(RawSpan(), RawSpan()) }
        return try body(
            send.ring.firstSlice(at: lent.offset, count: count), send.ring.secondSlice(at: lent.offset, count: count))
    }

    public borrowing func copyLentPayload(_ lent: LentPayload, into buffer: inout MutableRawSpan, at position: Int) {
        if holds(lent) { send.ring.copy(at: lent.offset, count: Int(lent.length), into: &buffer, at: position) }
    }

    private borrowing func holds(_ lent: LentPayload) -> Bool {
        lent.length > 0 && lent.offset >= send.ring.start && lent.offset <= send.ring.limit - Int64(lent.length)
    }
}
