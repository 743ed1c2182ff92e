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

    /// MP_CAPABLE with both keys, for as long as nothing proves that the peer has ours.
    private func capableWithKeys() -> MPCapable {
        var capable = MPCapable(version: 1)
        capable.checksumRequired = useChecksum
        capable.hmacSHA256 = true
        capable.senderKey = keys.local
        capable.receiverKey = keys.remote
        return capable
    }

    private var mustRepeatKeys: Bool { role == .initiator && state == .multipath(confirmed: false) }

    /// Option bytes beside a data segment.
    var dataOptionBytes: Int {
        guard state.isMultipath else { return 0 }
        var mapping = SentMapping(dataOffset: send.next, subflowOffset: 1, length: 1)
        mapping.hasChecksum = useChecksum
        return dataOptions(mapping, room: 40).count
    }

    /// DSS with DATA_ACK and mapping; MP_CAPABLE with data for the very first bytes until they are known to be there.
    func dataOptions(_ mapping: SentMapping, room: Int) -> OptionBlock {
        var options = OptionBlock(capacity: room)
        guard state.isMultipath else { return options }
        if mustRepeatKeys, mapping.dataOffset == 1, mapping.subflowOffset == 1 {
            var capable = capableWithKeys()
            capable.dataLength = UInt16(truncatingIfNeeded: mapping.length)
            if mapping.hasChecksum { capable.checksum = mapping.checksum }
            if options.append(.capable(capable)) { return options }
        }
        var signal = DataSequenceSignal()
        signal.dataAck = outgoingDataAck
        signal.mapping = DSSMapping(
            dataSequence: .eight(keys.localIDSN.advanced(by: mapping.dataOffset).rawValue),
            subflowSequence: UInt32(truncatingIfNeeded: mapping.subflowOffset),
            length: UInt16(truncatingIfNeeded: Int(mapping.length) + (mapping.dataFin ? 1 : 0)),
            checksum: mapping.hasChecksum ? mapping.checksum : nil)
        signal.dataFin = mapping.dataFin
        options.append(signal)
        return options
    }

    /// What a segment without payload carries: the join's HMAC, the keys, or DATA_ACK and DATA_FIN.
    func acknowledgeOptions(_ index: Int, room: Int) -> OptionBlock {
        var options = OptionBlock(capacity: room)
        guard state.isMultipath else { return options }
        switch contexts[index].handshake {
        case .joinAckSent(let hmac, _, _):
            options.append(.join(.ack(hmac: hmac)))
            return options
        case .joinSynSent, .joinSynReceived:
            return options
        case .initial where mustRepeatKeys:
            options.append(.capable(capableWithKeys()))
            return options
        case .initial, .joined:
            break
        }
        var signal = DataSequenceSignal()
        signal.dataAck = outgoingDataAck
        if send.finish == .sent {
            let number = keys.localIDSN.advanced(by: send.end).rawValue
            let checksum =
                useChecksum
                ? InternetChecksum.dataSequenceChecksum(
                    dataSequence: number, subflowSequence: 0, length: 1, payloadSum: 0) : nil
            signal.mapping = DSSMapping(
                dataSequence: .eight(number), subflowSequence: 0, length: 1, checksum: checksum)
            signal.dataFin = true
        }
        options.append(signal)
        return options
    }

    /// MP_CAPABLE or MP_JOIN for a SYN or SYN/ACK.
    mutating func synchronizeOptions(_ index: Int, counters: inout StackCounters) -> OptionBlock {
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .synchronize))
        switch contexts[index].handshake {
        case .initial:
            giveUpCapableWhenUnanswered(index)
            guard state == .offered else { return options }
            var capable = MPCapable(version: 1)
            capable.checksumRequired = useChecksum
            capable.hmacSHA256 = true
            if role == .listener { capable.senderKey = keys.local }
            options.append(.capable(capable))
        case .joinSynSent(let nonce):
            options.append(
                .join(
                    .syn(
                        backup: contexts[index].setup.isBackup, addressID: contexts[index].setup.localAddressID,
                        token: keys.remoteToken, nonce: nonce)))
        case .joinSynReceived(let localNonce, let remoteNonce):
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

    //= RFC 8684 §3.9 SYNs with MP_CAPABLE that get no answer may have been dropped for it: the fourth goes without
    private mutating func giveUpCapableWhenUnanswered(_ index: Int) {
        guard role == .initiator, state == .offered, contexts[index].tcp.consecutiveTimeouts >= 3 else { return }
        fallBack(.synUnanswered)
    }

    mutating func resetOptions(_ index: Int, counters: inout StackCounters) -> OptionBlock {
        var options = OptionBlock(capacity: contexts[index].tcp.optionRoom(for: .reset))
        guard state.isMultipath else { return options }
        //= RFC 8684 §3.5 abort: RST with MP_FASTCLOSE and the peer's key on every subflow
        if case .closed(.aborted) = phase, keys.remote != 0 {
            options.append(.fastClose(MPFastClose(receiverKey: keys.remote)))
            counters.count(.MPFastcloseTx)
            return options
        }
        if let failed = contexts[index].failedDataSequence { options.append(.fail(MPFail(dataSequence: failed))) }
        if let reason = contexts[index].resetReason {
            options.append(.reset(MPTCPReset(transient: false, reason: reason)))
            counters.count(.MPRstTx)
        }
        return options
    }
}
