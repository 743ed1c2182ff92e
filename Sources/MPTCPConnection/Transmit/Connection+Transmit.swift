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
                let options = synchronizeOptions(index, counters: &counters)
                return emit(.synchronize, index, options, nil, into: &buffer, headroom, now)
            case .retransmit(let range):
                return retransmit(index, range, into: &buffer, headroom, now, &counters)
            case .fin, .probe, .acknowledge, .nothing:
                break
            }
        }
        if thirdAckDue, contexts[0].isReady {
            thirdAckDue = false
            let options = acknowledgeOptions(
                0, room: contexts[0].tcp.optionRoom(for: .acknowledge), counters: &counters)
            return emit(.acknowledge, 0, options, nil, into: &buffer, headroom, now)
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
        guard let index = bestReadySubflow() else { return nil }
        addresses.removeOutgoing()
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .acknowledge))
        guard options.append(option) else {
            counters.count(.AddAddrTxDrop)
            return nil
        }
        switch option {
        case .addAddress(let address): counters.count(address.isEcho ? .EchoAddTx : .AddAddrTx)
        case .removeAddress: counters.count(.RmAddrTx)
        case .priority: counters.count(.MPPrioTx)
        default: break
        }
        var signal = DataSequenceSignal()
        signal.dataAck = outgoingDataAck
        _ = options.append(signal)
        return emit(.acknowledge, index, options, nil, into: &buffer, headroom, now)
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
        guard let work = nextWork() else { return nil }
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
        if work.isReinjection {
            counters.count(.reinjected)
            send.reinjections.remove(work.start..<end)
        } else {
            send.sent(through: end)
            noteWritable()
        }
        if carriesFin { startDataFin(now: now) }
        if dataTimer == .distantFuture { dataWaitingSince = now }
        armDataTimer(now: now)
        let emission = Subflow.Emission.data(mapping, length: length, push: end == send.end, fin: false)
        let options = dataOptions(index, mapping, room: contexts[index].tcp.optionRoom(for: emission))
        let packet = emit(emission, index, options, (work.start, length), into: &buffer, headroom, now)
        watchSilence(index)
        if send.finish == .queued, !send.hasUnsent { progressClose(now: now) }
        return packet
    }

    struct Work {
        var start: Int64
        var available: Int
        var isReinjection: Bool
    }

    /// What is to be sent next: repairs first, then new data inside the peer's window.
    private func nextWork() -> Work? {
        guard phase == .open || phase == .draining || phase == .handshake else { return nil }
        if let range = send.reinjections.first {
            return Work(
                start: range.lowerBound, available: Int(range.upperBound - range.lowerBound), isReinjection: true)
        }
        let limit = min(send.end, send.peerEdge)
        guard send.next < limit else { return nil }
        return Work(start: send.next, available: Int(limit - send.next), isReinjection: false)
    }

    private mutating func chooseSubflow(for work: Work, optionBytes: Int, now: MonotonicInstant) -> Int? {
        snapshots.removeAll(keepingCapacity: true)
        for index in contexts.indices where contexts[index].isReady && contexts[index].tcp.canSendData {
            let length = segmentLength(index, work, optionBytes: optionBytes, now: now)
            snapshots.append(
                PathSnapshot(
                    index: index, smoothedRoundTrip: contexts[index].tcp.roundTrip.smoothed,
                    congestionWindow: contexts[index].tcp.congestionWindow, inFlight: contexts[index].tcp.inFlight,
                    room: length, maximumSegmentSize: contexts[index].tcp.maximumSegmentSize,
                    isBackup: contexts[index].peerWantsBackup || contexts[index].setup.isBackup,
                    isStalled: contexts[index].isStalled || contexts[index].isSuspect || contexts[index].hasAsked))
        }
        if snapshots.isEmpty { return nil }
        var policy = scheduler
        let choice = policy.choose(snapshots.span)
        scheduler = policy
        return choice
    }

    /// Bytes for one segment on this subflow now; 0 when it should wait (windows, Nagle, silly windows).
    private borrowing func segmentLength(_ index: Int, _ work: Work, optionBytes: Int, now: MonotonicInstant) -> Int {
        let room = contexts[index].tcp.sendRoom(now: now)
        if room <= 0 { return 0 }
        let segment = contexts[index].tcp.segmentPayloadLimit(multipathOptionBytes: optionBytes)
        // The burst leaves room for the most options; beside fewer, a whole segment is longer and still fits the MTU.
        let length = min(work.available, room, max(contexts[index].maximumBurst, segment), 65_535)
        if length >= segment { return wholeSegments(length, segment, work) }
        let isTail = work.isReinjection || work.start + Int64(length) == send.end
        if isTail, length == work.available {
            //= RFC 9293 §3.7.4 Nagle: a small segment waits while data is unacknowledged
            if configuration.nagle, send.finish == .open, !work.isReinjection, send.next > send.acknowledged {
                return 0
            }
            return length
        }
        //= RFC 9293 §3.8.6.2.1 sender's silly-window avoidance: a part of a segment waits unless it is half the window,
        // or nothing is on its way that would open the window further: on any subflow where the shared window limits,
        // or on this one
        let isAlone = length == work.available ? send.next == send.acknowledged : contexts[index].tcp.inFlight == 0
        return isAlone || length >= send.largestWindow / 2 ? length : 0
    }

    /// A whole number of segments, but for a tail that empties the buffer and may go now.
    private borrowing func wholeSegments(_ length: Int, _ segment: Int, _ work: Work) -> Int {
        let drains = length == work.available && work.start + Int64(length) == send.end
        if drains, !configuration.nagle || send.finish != .open { return length }
        return length / segment * segment
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
        if let payload, length > 0 {
            send.ring.copy(at: payload.offset, count: length, into: &buffer, at: tcpOffset + header)
        }
        let segment = contexts[index].tcp.segmentPayloadLimit(multipathOptionBytes: options.count)
        let partial = contexts[index].setup.checksumOffload
        finishTCPChecksum(
            packet: &buffer, at: tcpOffset, length: header + length, source: tuple.local.address,
            destination: tuple.remote.address, partial: partial)
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: 6,
            payloadLength: header + length, identification: 0, trafficClass: 0, hopLimit: 64, into: &buffer,
            at: headroom)
        return TransmitMetadata(
            interface: contexts[index].setup.interface, length: network + header + length,
            headerLength: network + header, networkHeaderLength: network, segmentSize: length > segment ? segment : 0,
            checksumPartial: partial, isIPv6: tuple.isIPv6)
    }
}
