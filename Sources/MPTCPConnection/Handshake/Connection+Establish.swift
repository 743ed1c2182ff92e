import BasicContainers
import TCPSubflow
import TransportPolicies
import TransportValues
import WireFormats

extension Connection {
    /// What a segment that completes (or fails) a subflow's handshake means for the data level. False: the subflow was
    /// reset and the segment must not be used further.
    mutating func establish(
        _ index: Int, _ segment: TCPSegment, now: MonotonicInstant, counters: inout StackCounters
    ) -> Bool {
        let option = segment.options.multipath.other
        switch contexts[index].handshake {
        case .initial:
            if role == .initiator {
                establishInitiator(segment, now: now, counters: &counters)
            } else {
                establishListener(index, segment, now: now, counters: &counters)
            }
            return true
        case .joinSynSent(let nonce):
            return establishJoinInitiator(index, option, nonce: nonce, now: now, counters: &counters)
        case .joinSynReceived(let localNonce, let remoteNonce):
            return establishJoinListener(index, option, localNonce, remoteNonce, counters: &counters)
        case .joinAckSent, .joined:
            return true
        }
    }

    // MARK: The first subflow

    private mutating func establishInitiator(
        _ segment: TCPSegment, now: MonotonicInstant, counters: inout StackCounters
    ) {
        defer { open() }
        guard state == .offered else { return }
        guard segment.flags.contains(.syn), segment.flags.contains(.ack) else {
            // Both ends sent SYN at once: no key has been exchanged in the order that §3.1 asks for.
            counters.count(.SimultConnFallback)
            return fallBack(.simultaneousOpen)
        }
        //= RFC 8684 §3.1, §3.7, §6 no MP_CAPABLE in the SYN/ACK, or none that can be used: regular TCP
        guard case .capable(let capable)? = segment.options.multipath.other else {
            counters.count(.MPCapableFallbackSYNACK)
            return fallBack(.synAckWithoutCapable)
        }
        counters.count(.MPCapableSYNACKRX)
        guard capable.version == keys.version.rawValue, let key = capable.senderKey, capable.receiverKey == nil else {
            answeredVersion = capable.version
            return fallBack(.versionMismatch)
        }
        if capable.extensibility { return fallBack(.extensibilityFlag) }
        if !capable.hmacSHA256 { return fallBack(.unsupportedCrypto) }
        if key == keys.local { return fallBack(.reflectedKey) }
        //= RFC 8684 §3.1 checksums are used when either host asks for them
        useChecksum = useChecksum || capable.checksumRequired
        contexts[0].tcp.sharesWindow = true
        //= RFC 8684 §3.1 C set: the receiver MUST NOT open further subflows to this address and port
        peerForbidsJoinToInitial = capable.noAdditionalSubflows
        keys.learn(remote: key)
        state = .multipath(confirmed: false)
        thirdAckDue = !keys.version.hasCapableWithData || send.finish != .open
        countEstablished(&counters)
    }

    private mutating func establishListener(
        _ index: Int, _ segment: TCPSegment, now: MonotonicInstant, counters: inout StackCounters
    ) {
        defer { open() }
        guard state == .offered else { return }
        guard !segment.flags.contains(.syn) else {
            counters.count(.SimultConnFallback)
            return fallBack(.simultaneousOpen)
        }
        if keys.version == .zero { return establishVersionZero(index, segment, counters: &counters) }
        //= RFC 8684 §3.1 no MP_CAPABLE in the third packet: the listener falls back
        guard case .capable(let capable)? = segment.options.multipath.other, let key = capable.senderKey,
            let echo = capable.receiverKey
        else {
            counters.count(.MPCapableFallbackACK)
            return fallBack(.thirdAckWithoutCapable)
        }
        counters.count(.MPCapableACKRX)
        guard echo == keys.local, capable.version == 1 else { return fallBack(.keyMismatch) }
        if key == keys.local { return fallBack(.reflectedKey) }
        keys.learn(remote: key)
        contexts[index].tcp.sharesWindow = true
        state = .multipath(confirmed: true)
        countEstablished(&counters)
    }

    //= RFC 6824 §3.1 the third ACK carries both keys; where it was lost, the DSS of the first data stands for it
    private mutating func establishVersionZero(
        _ index: Int, _ segment: TCPSegment, counters: inout StackCounters
    ) {
        if case .capable(let capable)? = segment.options.multipath.other {
            counters.count(.MPCapableACKRX)
            guard capable.version == 0, capable.senderKey == keys.remote, capable.receiverKey == keys.local else {
                return fallBack(.keyMismatch)
            }
        } else if segment.options.multipath.signal == nil {
            counters.count(.MPCapableFallbackACK)
            return fallBack(.thirdAckWithoutCapable)
        }
        if keys.remote == keys.local { return fallBack(.reflectedKey) }
        contexts[index].tcp.sharesWindow = true
        state = .multipath(confirmed: true)
        countEstablished(&counters)
    }

    private mutating func open() {
        guard phase == .handshake else { return }
        phase = .open
        wasEstablished = true
        events.insert(role == .initiator ? .connected : .accepted)
    }

    /// MPCurrEstab is a gauge: ``leaveEstablished(_:)`` takes this back.
    private mutating func countEstablished(_ counters: inout StackCounters) {
        isCountedEstablished = true
        counters.count(.MPCurrEstab)
    }

    mutating func leaveEstablished(_ counters: inout StackCounters) {
        guard isCountedEstablished else { return }
        isCountedEstablished = false
        counters.uncount(.MPCurrEstab)
    }

    // MARK: Joined subflows

    private mutating func establishJoinInitiator(
        _ index: Int, _ option: MPTCPOption?, nonce: UInt32, now: MonotonicInstant, counters: inout StackCounters
    ) -> Bool {
        guard case .join(.synAck(let backup, let addressID, let truncated, let remoteNonce))? = option else {
            //= RFC 8684 §3.2, §3.9.3 a SYN/ACK without MP_JOIN: the subflow is closed with RST
            resetSubflow(index, reason: MPTCPReset.multipathSpecificError, why: "the SYN/ACK carried no MP_JOIN")
            counters.count(.MPJoinRejected)
            return false
        }
        counters.count(.MPJoinSynAckRx)
        if backup { counters.count(.MPJoinSynAckBackupRx) }
        let expected = KeyMaterial.joinHMAC(
            localKey: keys.remote, remoteKey: keys.local, localNonce: remoteNonce, remoteNonce: nonce,
            version: keys.version)
        //= RFC 8684 §3.2 the HMAC in the SYN/ACK is not the expected one: the subflow is closed with RST
        guard expected.truncated64 == truncated, remoteNonce != nonce else {
            counters.count(.MPJoinSynAckHMacFailure)
            resetSubflow(index, reason: MPTCPReset.multipathSpecificError, why: "wrong HMAC in the SYN/ACK of a join")
            return false
        }
        let mine = KeyMaterial.joinHMAC(
            localKey: keys.local, remoteKey: keys.remote, localNonce: nonce, remoteNonce: remoteNonce,
            version: keys.version)
        contexts[index].peerWantsBackup = backup
        contexts[index].remoteAddressID = addressID
        addresses.noteAnswered(contexts[index].setup.tuple.remote)
        answeredTarget = contexts[index].setup.tuple.remote.address
        events.insert(.joinAnswered)
        contexts[index].handshake = .joinAckSent(hmac: mine, retryAt: now + retryInterval(index, tries: 0), tries: 0)
        contexts[index].tcp.requestAcknowledgement()
        return true
    }

    private mutating func establishJoinListener(
        _ index: Int, _ option: MPTCPOption?, _ localNonce: UInt32, _ remoteNonce: UInt32,
        counters: inout StackCounters
    ) -> Bool {
        //= RFC 8684 §3.2 no MP_JOIN on the third ACK: the subflow is closed with RST
        guard case .join(.ack(let hmac))? = option else {
            resetSubflow(
                index, reason: MPTCPReset.multipathSpecificError, why: "the third ACK of a join carried no MP_JOIN")
            counters.count(.MPJoinRejected)
            return false
        }
        counters.count(.MPJoinAckRx)
        let expected = KeyMaterial.joinHMAC(
            localKey: keys.remote, remoteKey: keys.local, localNonce: remoteNonce, remoteNonce: localNonce,
            version: keys.version)
        guard expected.constantTimeEquals(hmac) else {
            counters.count(.MPJoinAckHMacFailure)
            //= RFC 8684 §3.2 a wrong HMAC: the host closes the subflow with RST
            resetSubflow(index, reason: MPTCPReset.multipathSpecificError, why: "wrong HMAC in the third ACK of a join")
            return false
        }
        contexts[index].handshake = .joined
        leaveHalfOpen(index, counters: &counters)
        //= RFC 8684 §3.2 the third ACK is acknowledged, so that the initiator may send data
        contexts[index].tcp.requestAcknowledgement()
        return true
    }

    /// Back-off of the third ACK of a join, which nothing else repeats.
    func retryInterval(_ index: Int, tries: Int) -> TimeSpan {
        contexts[index].tcp.roundTrip.retransmissionTimeout * Int64(1 << min(tries, 6))
    }

    /// The fourth ACK: any segment without SYN that the subflow accepted after its third ACK.
    mutating func noteFourthAck(_ index: Int, _ segment: TCPSegment) {
        guard case .joinAckSent = contexts[index].handshake, !segment.flags.contains(.syn) else { return }
        contexts[index].handshake = .joined
        retireReplaced(by: index)
        addresses.noteJoined(contexts[index].setup.tuple.local.address, contexts[index].setup.tuple.remote)
    }

    /// Repeats the third ACK of joins whose fourth ACK is missing.
    mutating func advanceJoins(now: MonotonicInstant, counters: inout StackCounters) {
        for index in contexts.indices {
            guard case .joinAckSent(let hmac, let retryAt, let tries) = contexts[index].handshake,
                !contexts[index].isClosed, retryAt <= now
            else { continue }
            if tries >= 6 {
                counters.count(.joinHandshakeTimeout)
                resetSubflow(index, reason: MPTCPReset.unacceptablePerformance, why: "no fourth ACK of a join came")
                continue
            }
            //= RFC 8684 §3.2 the third ACK of a join is sent again until it is acknowledged
            counters.count(.thirdAckRetransmitted)
            contexts[index].handshake = .joinAckSent(
                hmac: hmac, retryAt: now + retryInterval(index, tries: tries + 1), tries: tries + 1)
            contexts[index].tcp.requestAcknowledgement()
        }
    }
}
