import BasicContainers
import TCPSubflow
import TransportValues
import WireFormats

extension Connection {
    //= RFC 8684 §3.3.2 an 8-byte data sequence number is answered with 8-byte DATA_ACKs
    var outgoingDataAck: DataAck {
        let value = keys.remoteIDSN.advanced(by: receive.next).rawValue
        return usesLongDataAck ? .eight(value) : .four(UInt32(truncatingIfNeeded: value))
    }

    //= RFC 8684 §3.3.1 the low 4 bytes may stand alone where they are not ambiguous: windows here are below 2^31 bytes
    private func outgoingSequence(_ offset: Int64) -> MappedDataSequence {
        let number = keys.localIDSN.advanced(by: offset).rawValue
        return configuration.wire.shortDataSequence ? .four(UInt32(truncatingIfNeeded: number)) : .eight(number)
    }

    /// MP_CAPABLE with both keys, for as long as nothing proves that the peer has ours.
    private func capableWithKeys() -> MPCapable {
        var capable = MPCapable(version: keys.version.rawValue)
        capable.checksumRequired = useChecksum
        capable.hmacSHA256 = true
        capable.noAdditionalSubflows = configuration.forbidsJoinsToInitialAddress
        capable.senderKey = keys.local
        capable.receiverKey = keys.remote
        return capable
    }

    private var mustRepeatKeys: Bool {
        // A peer that sends data, of whatever kind, has had the third ACK.
        role == .initiator && state == .multipath(confirmed: false) && !impliesMappings
    }

    /// The first bytes of all go with MP_CAPABLE, which has no DATA_FIN flag (RFC 8684 §3.1).
    func goesWithCapable(dataOffset: Int64, subflowOffset: Int64) -> Bool {
        mustRepeatKeys && keys.version.hasCapableWithData && dataOffset == 1 && subflowOffset == 1
    }

    /// Option bytes beside a data segment.
    var dataOptionBytes: Int {
        if sendsAsTCP {
            guard infinite != nil, let index = bestReadySubflow() else { return 0 }
            return revertedOptions(index, room: 40).count
        }
        var mapping = SentMapping(dataOffset: send.next, subflowOffset: 1, length: 1)
        mapping.hasChecksum = useChecksum
        return dataOptions(0, mapping, room: 40).count
    }

    /// What a direction that has reverted to TCP still says: the infinite mapping, and the peer's DATA_ACK while its
    /// direction is mapped.
    private func revertedOptions(_ index: Int, room: Int) -> OptionBlock {
        //= RFC 8684 §3.7 no DATA_ACK any more for a direction that has sent an infinite mapping
        var options = OptionBlock(capacity: room)
        var signal = DataSequenceSignal()
        if !receivesAsTCP { signal.dataAck = outgoingDataAck }
        signal.mapping = infiniteMapping(index)
        if signal.dataAck != nil || signal.mapping != nil { options.append(signal) }
        return options
    }

    /// DSS with DATA_ACK and mapping; MP_CAPABLE with data for the very first bytes until they are known to be there.
    func dataOptions(_ index: Int, _ mapping: SentMapping, room: Int) -> OptionBlock {
        //= RFC 8684 §3.1, §3.7 no option any more once the negotiation has failed, or the connection has fallen back
        if sendsAsTCP { return revertedOptions(index, room: room) }
        var options = OptionBlock(capacity: room)
        guard state.isMultipath else { return options }
        if goesWithCapable(dataOffset: mapping.dataOffset, subflowOffset: mapping.subflowOffset) {
            var capable = capableWithKeys()
            capable.dataLength = UInt16(truncatingIfNeeded: mapping.length)
            if mapping.hasChecksum { capable.checksum = mapping.checksum }
            if options.append(.capable(capable)) { return options }
        }
        //= RFC 8684 §3.7 a mapping on every segment with data, always
        //= RFC 8684 §3.3.1 all 64 bits of the number, at any rate; a repetition says what the first said
        var signal = DataSequenceSignal()
        if !receivesAsTCP { signal.dataAck = outgoingDataAck }
        signal.mapping = DSSMapping(
            dataSequence: outgoingSequence(mapping.dataOffset),
            subflowSequence: UInt32(truncatingIfNeeded: mapping.subflowOffset),
            length: UInt16(truncatingIfNeeded: Int(mapping.length) + (mapping.dataFin ? 1 : 0)),
            checksum: mapping.hasChecksum ? mapping.checksum : nil)
        signal.dataFin = mapping.dataFin
        options.append(signal)
        return options
    }

    /// What a segment without payload carries: the join's HMAC, the keys, or DATA_ACK and DATA_FIN.
    mutating func acknowledgeOptions(
        _ index: Int, room: Int, counters: inout StackCounters
    ) -> OptionBlock {
        if sendsAsTCP {
            var options = revertedOptions(index, room: room)
            infinite?.isAsked = false
            appendFailure(to: &options, &counters)
            return options
        }
        var options = OptionBlock(capacity: room)
        guard state.isMultipath else { return options }
        switch contexts[index].handshake {
        case .joinAckSent(let hmac, _, _):
            options.append(.join(.ack(hmac: hmac)))
            return options
        case .joinSynSent, .joinSynReceived:
            return options
        //= RFC 8684 §3.1 the third ACK carries MP_CAPABLE with both keys when no data goes with it
        //= RFC 8684 §3.3.3 a DATA_FIN that waited for the peer to know the keys would wait for ever: no data will tell
        case .initial where mustRepeatKeys && (send.finish != .sent || thirdAckDue):
            options.append(.capable(capableWithKeys()))
            return options
        case .initial, .joined:
            break
        }
        if configuration.wire.failFirst { appendFailure(to: &options, &counters) }
        var signal = DataSequenceSignal()
        if !receivesAsTCP { signal.dataAck = outgoingDataAck }
        if send.finish == .sent {
            //= RFC 8684 §3.3.3 a DATA_FIN without data: subflow sequence number 0, length 1, the number of the DATA_FIN
            let number = keys.localIDSN.advanced(by: send.end).rawValue
            let checksum =
                useChecksum
                ? InternetChecksum.dataSequenceChecksum(
                    dataSequence: number, subflowSequence: 0, length: 1, payloadSum: 0) : nil
            signal.mapping = DSSMapping(
                dataSequence: outgoingSequence(send.end), subflowSequence: 0, length: 1, checksum: checksum)
            signal.dataFin = true
        }
        if signal.dataAck != nil || signal.mapping != nil { options.append(signal) }
        if !configuration.wire.failFirst { appendFailure(to: &options, &counters) }
        //= RFC 8684 §3.3.8 MP_PRIO changes the priority of the subflow on which it is sent
        if let backup = contexts[index].priorityDue,
            options.append(.priority(MPPriority(backup: backup, addressID: nil)))
        {
            counters.count(.MPPrioTx)
            contexts[index].priorityDue = nil
        }
        return options
    }

    private mutating func appendFailure(to options: inout OptionBlock, _ counters: inout StackCounters) {
        guard let notice = failNotice, options.append(.fail(MPFail(dataSequence: notice.dataSequence))) else { return }
        counters.count(.MPFailTx)
        let remaining = notice.remaining == .max ? .max : notice.remaining - 1
        failNotice = remaining > 0 ? FailureNotice(dataSequence: notice.dataSequence, remaining: remaining) : nil
    }

    /// MP_CAPABLE or MP_JOIN for a SYN or SYN/ACK.
    mutating func synchronizeOptions(_ index: Int, counters: inout StackCounters) -> OptionBlock {
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .synchronize))
        switch contexts[index].handshake {
        case .initial:
            giveUpCapableWhenUnanswered(index)
            //= RFC 8684 §3.1 a SYN without MP_CAPABLE that can be used is answered without
            guard state == .offered else { return options }
            //= RFC 8684 §3.1 A as wanted, H is 1, B and D to G are 0 (RFC 6824 §3.1: C too, and A unless it was decided otherwise)
            var capable = MPCapable(version: keys.version.rawValue)
            capable.checksumRequired = useChecksum
            capable.hmacSHA256 = true
            //= RFC 8684 §3.1 C set: no additional subflows to the source address and port
            capable.noAdditionalSubflows = configuration.forbidsJoinsToInitialAddress
            if role == .listener || keys.version.hasKeyInSYN { capable.senderKey = keys.local }
            options.append(.capable(capable))
        case .joinSynSent(let nonce):
            options.append(
                .join(
                    .syn(
                        backup: contexts[index].setup.isBackup, addressID: contexts[index].setup.localAddressID,
                        token: keys.remoteToken, nonce: nonce)))
        case .joinSynReceived(let localNonce, let remoteNonce):
            //= RFC 8684 §3.2 a valid token is answered with a nonce and the leftmost 64 bits of the HMAC
            let hmac = KeyMaterial.joinHMAC(
                localKey: keys.local, remoteKey: keys.remote, localNonce: localNonce, remoteNonce: remoteNonce,
                version: keys.version)
            options.append(
                .join(
                    .synAck(
                        backup: contexts[index].setup.isBackup, addressID: contexts[index].setup.localAddressID,
                        truncatedHMAC: hmac.truncated64, nonce: localNonce)))
        case .joinAckSent, .joined:
            break
        }
        return options
    }

    //= RFC 8684 §3.9.3, §6 SYNs with MP_CAPABLE that get no answer may have been dropped for it: the fourth goes without
    private mutating func giveUpCapableWhenUnanswered(_ index: Int) {
        guard role == .initiator, state == .offered, contexts[index].tcp.consecutiveTimeouts >= 3 else { return }
        fallBack(.synUnanswered)
    }

    mutating func resetOptions(_ index: Int, counters: inout StackCounters) -> OptionBlock {
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .reset))
        guard state.isMultipath else { return options }
        //= RFC 8684 §3.5 abort: RST with MP_FASTCLOSE and the peer's key on every subflow
        if case .closed(.aborted) = phase, keys.remote != 0, keys.version.allowsFastCloseOnReset {
            options.append(.fastClose(MPFastClose(receiverKey: keys.remote)))
            counters.count(.MPFastcloseTx)
            if configuration.wire.fastCloseWithReason, keys.version.hasReset,
                options.append(.reset(MPTCPReset(transient: false, reason: MPTCPReset.unspecified)))
            {
                counters.count(.MPRstTx)
            }
            return options
        }
        //= RFC 8684 §3.7 MP_FAIL on the RST where a checksum failed, or what is under way is not contiguous
        if let failed = contexts[index].failedDataSequence, options.append(.fail(MPFail(dataSequence: failed))) {
            counters.count(.MPFailTx)
        }
        //= RFC 8684 §3.2, §3.3, §3.3.6, §3.7 a RST says why, in MP_TCPRST
        if let reason = contexts[index].resetReason, keys.version.hasReset {
            options.append(.reset(MPTCPReset(transient: MPTCPReset.passes(reason), reason: reason)))
            counters.count(.MPRstTx)
        }
        return options
    }
}
