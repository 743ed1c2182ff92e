import BasicContainers
import TCPSubflow
import TransportValues
import WireFormats

extension Connection {
    /// The data level's part of an accepted segment: DATA_ACK, other options, mapping, payload, DATA_FIN.
    mutating func receiveMultipath(
        _ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome, packet: RawSpan, now: MonotonicInstant,
        counters: inout StackCounters
    ) {
        let options = segment.options.multipath
        var mapping: ReceiveMapping?
        if let signal = options.signal {
            //= RFC 8684 §3.3.2, §4 only a DATA_ACK acknowledges data, and moves the window with it; segments without one are valid
            if let acknowledgment = signal.dataAck, !sendReverted {
                contexts[index].sawDataAck = true
                receiveDataAck(acknowledgment, window: outcome.window, now: now, counters: &counters)
            }
            if let declared = signal.mapping, receiveReversion != .reverted {
                mapping = interpret(declared, fin: signal.dataFin, index, now: now, counters: &counters)
                if state.isTCP { return placePlain(index, segment, outcome, packet: packet, now: now) }
                if contexts[index].isDying { return }
            }
        } else if case .capable(let capable)? = options.other, let length = capable.dataLength {
            // It stands for the 8-byte number that follows from the key, and Linux answers it so.
            usesLongDataAck = true
            mapping = interpretFirstData(index, segment, capable, length: length, counters: &counters)
        }
        if options.other != nil {
            receiveControl(index, segment, now: now, counters: &counters)
            if phase.isClosed || contexts[index].isClosed { return }
        }
        if sendReverted {
            takePlainAcknowledgment(index, outcome, now: now)
        } else if fallsBackForMissingDataAck(index, segment, outcome, counters: &counters) {
            // It may be the last that comes before more is sent.
            takePlainAcknowledgment(index, outcome, now: now)
            return placePlain(index, segment, outcome, packet: packet, now: now)
        }
        noteBareSegment(index, segment, outcome)
        if endsAsTCP(index, segment, outcome), revertForUnmappedData(index, now: now, counters: &counters) {
            return placePlain(index, segment, outcome, packet: packet, now: now)
        }
        if receivesAsTCP { return placePlain(index, segment, outcome, packet: packet, now: now) }
        if case .held(let from) = receiveReversion {
            guard let range = outcome.payload else { return }
            let start = segment.payloadOffset + outcome.payloadSkip
            let bytes = packet.extracting(start..<start + Int(range.upperBound - range.lowerBound))
            _ = keep(index, range, bytes, from: from, now: now)
            return
        }
        if let range = outcome.payload {
            // A mapping that can't be used is no lost option: the bytes are not kept, and no fallback follows.
            if mapping == nil, options.signal?.mapping != nil { return }
            let start = segment.payloadOffset + outcome.payloadSkip
            let bytes = packet.extracting(start..<start + Int(range.upperBound - range.lowerBound))
            receivePayload(index, range, bytes, mapping, now: now, counters: &counters)
            if receivesAsTCP { return placePlain(index, segment, outcome, packet: packet, now: now) }
        } else if let mapping, segment.payloadLength == 0 || mapping.checksum != nil {
            // A mapping may come ahead of its data, or on a copy of data that is here.
            register(mapping, index, counters: &counters)
        }
        if receive.consumeFin() { requestDataAck() }
    }

    // MARK: DATA_ACK

    private mutating func receiveDataAck(
        _ acknowledgment: DataAck, window: Int, now: MonotonicInstant, counters: inout StackCounters
    ) {
        //= RFC 8684 §3.3.1, §3.3.2 numbers of either length are accepted
        let offset: Int64
        switch acknowledgment {
        case .four(let low):
            let reference = keys.localIDSN.advanced(by: send.acknowledged)
            offset = DataSequenceNumber.expanding(low, near: reference).offset(from: keys.localIDSN)
        case .eight(let value):
            offset = DataSequenceNumber(value).offset(from: keys.localIDSN)
        }
        // An acknowledgement of what was never sent is a lie or damage: it must not free anything.
        guard offset <= send.sentEnd else { return counters.count(.dataAckBeyondSent) }
        noteKeysKnown()
        if offset < send.acknowledged { return counters.count(.dataAckOld) }
        let finBefore = send.finish
        if send.acknowledge(upTo: offset) > 0 { noteDataProgress(now: now) }
        if send.finish == .acknowledged, finBefore != .acknowledged {
            dataFinTimer = .distantFuture
            events.insert(.finished)
        }
        send.widen(to: offset + Int64(window), window: window)
    }

    // MARK: Mappings

    /// Turns a declared mapping into offsets; nil when it says nothing about payload (DATA_FIN alone, infinite,
    /// impossible).
    private mutating func interpret(
        _ declared: DSSMapping, fin: Bool, _ index: Int, now: MonotonicInstant, counters: inout StackCounters
    ) -> ReceiveMapping? {
        let reference = keys.remoteIDSN.advanced(by: receive.next)
        let sequence: DataSequenceNumber
        if declared.dataSequence.isEightBytes {
            usesLongDataAck = true
            sequence = DataSequenceNumber(declared.dataSequence.rawValue)
        } else {
            sequence = .expanding(UInt32(truncatingIfNeeded: declared.dataSequence.rawValue), near: reference)
        }
        let dataOffset = sequence.offset(from: keys.remoteIDSN)
        if declared.length == 0 {
            receiveInfiniteMapping(index, dataOffset: dataOffset, declared, now: now, counters: &counters)
            return nil
        }
        // After a failure only an infinite mapping says anything.
        guard receiveReversion == .none else { return nil }
        guard checksumIsAsAgreed(declared, index, counters: &counters) else { return nil }
        // Offsets that hostile numbers could make overflow are outside any window.
        guard (dataOffset &- receive.next).magnitude < 1 << 31, dataOffset >= 0 else {
            counters.count(.NoDSSInWindow)
            return nil
        }
        let length = Int64(declared.length)
        if fin {
            let finOffset = dataOffset + length - 1
            if declared.subflowSequence == 0, length == 1 {
                noteDataFin(at: finOffset, counters: &counters)
                return nil
            }
            noteDataFin(at: finOffset, counters: &counters)
        }
        let start = subflowOffset(declared.subflowSequence, index)
        let end = start + length - (fin ? 1 : 0)
        guard start >= 1, start < end, dataOffset >= 1 else {
            counters.count(.DSSNotMatching)
            return nil
        }
        return ReceiveMapping(
            subflow: start..<end, dataOffset: dataOffset, checksum: useChecksum ? declared.checksum : nil, hasFin: fin)
    }

    //= RFC 8684 §3.3 a mapping without the checksum that was agreed on, or with one that was not: the subflow is closed
    // with RST and MP_TCPRST
    //= RFC 6824 §3.3 the same where it is missing; one that was not agreed on is ignored
    private mutating func checksumIsAsAgreed(
        _ declared: DSSMapping, _ index: Int, counters: inout StackCounters
    ) -> Bool {
        guard (declared.checksum != nil) != useChecksum, useChecksum || keys.version == .one else { return true }
        counters.count(.checksumNotAsAgreed)
        resetSubflow(
            index, reason: MPTCPReset.multipathSpecificError,
            why: useChecksum ? "a mapping without the checksum agreed on" : "a mapping with a checksum not agreed on")
        return false
    }

    func subflowOffset(_ relative: UInt32, _ index: Int) -> Int64 {
        SequenceNumber(relative).offset(from: SequenceNumber(0), near: contexts[index].tcp.receiveNext)
    }

    /// MP_CAPABLE with data maps the first bytes of both levels (RFC 8684 §3.1).
    private mutating func interpretFirstData(
        _ index: Int, _ segment: TCPSegment, _ capable: MPCapable, length: UInt16, counters: inout StackCounters
    ) -> ReceiveMapping? {
        guard role == .listener, case .initial = contexts[index].handshake, capable.receiverKey == keys.local,
            capable.senderKey == keys.remote
        else {
            counters.count(.optionWrongSegment)
            return nil
        }
        guard length > 0 else { return nil }
        return ReceiveMapping(
            subflow: 1..<1 + Int64(length), dataOffset: 1, checksum: useChecksum ? capable.checksum : nil)
    }

    private mutating func noteDataFin(at offset: Int64, counters: inout StackCounters) {
        guard offset >= 1, offset - receive.next < 1 << 31 else { return counters.count(.NoDSSInWindow) }
        if !receive.noteFin(at: offset) {
            if offset < receive.next {
                // A repeated DATA_FIN: its acknowledgement was lost.
                if receive.isFinished { requestDataAck() }
            } else {
                counters.count(.dataFinConflict)
            }
        } else if receive.isFinished {
            requestDataAck()
        }
    }

    @discardableResult
    private mutating func register(
        _ mapping: ReceiveMapping, _ index: Int, counters: inout StackCounters
    ) -> Bool {
        if mapping.subflow.upperBound <= contexts[index].tcp.receiveNext { return true }
        switch contexts[index].mappings.insert(mapping) {
        case .inserted, .duplicate: return true
        case .conflict:
            counters.count(.mappingConflict)
            return false
        case .full:
            counters.count(.mappingTableFull)
            return false
        }
    }

    // MARK: Payload

    private mutating func receivePayload(
        _ index: Int, _ range: Range<Int64>, _ bytes: RawSpan, _ own: ReceiveMapping?, now: MonotonicInstant,
        counters: inout StackCounters
    ) {
        var own = own
        // One that reaches beyond this segment is for the next ones too, which may not repeat it.
        if let mapping = own, useChecksum || mapping.subflow != range {
            if !register(mapping, index, counters: &counters) {
                // The bytes are not kept, and come again when there is room.
                if contexts[index].mappings.isFull { return }
                own = nil
            }
        }
        var position = range.lowerBound
        while position < range.upperBound {
            let mapping: ReceiveMapping
            if let own, own.subflow.contains(position) {
                mapping = own
                impliesMappings = false
            } else if let found = contexts[index].mappings.find(position) {
                mapping = found
            } else if let implied = impliedMapping(index, position..<range.upperBound, own != nil) {
                mapping = implied
            } else {
                receiveUnmapped(index, position, own != nil, now: now, counters: &counters)
                break
            }
            let end = min(range.upperBound, mapping.subflow.upperBound)
            let piece = bytes.extracting(Int(position - range.lowerBound)..<Int(end - range.lowerBound))
            let kept: Bool
            if mapping.checksum != nil {
                kept = hold(index, position..<end, piece, mapping, now: now, counters: &counters)
            } else {
                kept = placeMapped(index, position..<end, piece, mapping, now: now, counters: &counters)
            }
            if !kept || contexts[index].isClosed { break }
            position = end
        }
        if !contexts[index].mappings.isEmpty, !useChecksum {
            contexts[index].mappings.removeAll(below: contexts[index].tcp.receiveNext)
        }
    }

    private mutating func placeMapped(
        _ index: Int, _ range: Range<Int64>, _ piece: RawSpan, _ mapping: ReceiveMapping, now: MonotonicInstant,
        counters: inout StackCounters
    ) -> Bool {
        let inOrderBefore = !receive.hasOutOfOrder
        switch receive.place(piece, at: mapping.dataOffset(at: range.lowerBound), slack: windowSlack) {
        case .stored:
            if receive.hasOutOfOrder { counters.count(.OFOQueue) } else if !inOrderBefore { counters.count(.OFOMerge) }
        case .duplicate:
            counters.count(.DuplicateData)
        case .outsideWindow, .full:
            counters.count(.NoDSSInWindow)
            return false
        }
        _ = contexts[index].tcp.store(range, now: now)
        return true
    }

    /// Payload for which no mapping is known.
    private mutating func receiveUnmapped(
        _ index: Int, _ position: Int64, _ hasMapping: Bool, now: MonotonicInstant, counters: inout StackCounters
    ) {
        counters.count(.unmappedData)
        // Out of order the mapping may be in what is missing: the bytes are not kept and come again.
        guard position == contexts[index].tcp.receiveNext, !hasMapping else { return }
        //= RFC 8684 §3.7 options got lost on the only subflow and all data is contiguous: go on as TCP
        // The bytes come again when it is known what becomes of the other.
        if hasUnusedJoin, !hadOtherSubflow { return }
        let isContiguous = contexts[index].mappings.isEmpty && !receive.hasOutOfOrder
        if !hadOtherSubflow, isContiguous, trustsUnmappedData,
            revertForUnmappedData(index, now: now, counters: &counters)
        {
            return
        }
        //= RFC 8684 §3.3.1, §3.7 data that no mapping covers: the subflow is broken and closed with RST, "middlebox interference"
        counters.count(.DSSNoMatchTCP)
        resetSubflow(index, reason: MPTCPReset.middleboxInterference, why: "data without a mapping")
    }

    //= RFC 8684 §3.7 an ACK for data without DATA_ACK before the path was proven: the options do not get through
    private mutating func fallsBackForMissingDataAck(
        _ index: Int, _ segment: TCPSegment, _ outcome: SegmentOutcome, counters: inout StackCounters
    ) -> Bool {
        guard outcome.newlyAcknowledged > 0, !contexts[index].sawDataAck, segment.options.multipath.isEmpty else {
            return false
        }
        // A joined subflow is closed with RST, the first goes on as TCP. Joins in their handshake have carried nothing.
        if !contexts[index].isJoin, becomesOnlySubflow(index) {
            counters.count(.DssFallback)
            fallBackInPlace(index, .ackWithoutDataAck)
            return true
        }
        // A proxy that acknowledges early would have every subflow reset before the DATA_ACK behind it can come: after two,
        // the others get the data level's time-out (see `actOnBareAcknowledgments`).
        bareJoins += 1
        if bareJoins > 2 { return false }
        resetSubflow(index, reason: MPTCPReset.middleboxInterference, why: "data acknowledged without a DATA_ACK")
        return false
    }

    /// Has a DATA_ACK sent on every subflow that can carry it.
    mutating func requestDataAck() {
        for index in contexts.indices where contexts[index].isReady { contexts[index].tcp.requestAcknowledgement() }
    }
}

extension Range where Bound == Int64 {
    func contains(_ other: Range<Int64>) -> Bool { other.lowerBound >= lowerBound && other.upperBound <= upperBound }
}
