import BasicContainers
import DequeModule
import MPTCPConnection
import TCPSubflow
import TransportValues
import WireFormats

/// SYN cookies: a listener under a flood of SYNs goes on to serve (RFC 4987 §3.6).
extension Host {
    mutating func answerWithCookie(
        _ index: Int, _ syn: TCPSegment, _ tuple: FourTuple, _ interface: InterfaceID, now: MonotonicInstant
    ) {
        guard configuration.synCookies, replies.count < Self.replyLimit, let local = routes.local(tuple.local.address)
        else { return counters.count(.synDroppedBacklog) }
        let answer = Connection.cookieAnswer(listeners[index].configuration, syn: syn, counters: &counters)
        let offer = SynCookies.Offer(answer?.version, checksum: answer?.checksum ?? false)
        let cookie = cookies.cookie(
            tuple, peer: syn.sequence, offer: offer, announced: syn.options.maximumSegmentSize, now: now)
        var options = OptionBlock()
        let segment = max(88, routes.mtu(of: local.interface) - (tuple.isIPv6 ? 60 : 40))
        options.append(maximumSegmentSize: UInt16(clamping: segment))
        if let stamp = syn.options.timestamps {
            let clock = Subflow.timestamp(at: now, offset: timestampOffset(tuple))
            let own = TCPTimestamps(value: SynCookies.stamp(clock, syn.options), echo: stamp.value)
            if syn.options.sackPermitted { options.appendSACKPermitted(with: own) } else { options.append(own) }
            if syn.options.windowScale != nil {
                options.append(windowScale: listeners[index].configuration.windowScale)
            }
        }
        if let answer {
            var capable = MPCapable(version: answer.version.rawValue, checksumRequired: answer.checksum)
            capable.noAdditionalSubflows = listeners[index].configuration.forbidsJoinsToInitialAddress
            capable.senderKey = cookie.key
            options.append(.capable(capable))
        }
        counters.count(.synCookieSent)
        listeners[index].cookiesUntil = now + SynCookies.period * 2
        cookiesUntil = listeners[index].cookiesUntil
        replies.append(
            StatelessReply(
                cookie: cookie.sequence, for: syn, tuple, interface,
                window: Connection.cookieWindow(listeners[index].configuration), options: options))
    }

    /// Looks whether a segment answers a cookie. True: it is dealt with.
    mutating func receiveCookie(
        _ segment: TCPSegment, _ packet: RawSpan, _ tuple: FourTuple, _ interface: InterfaceID, now: MonotonicInstant
    ) -> Bool {
        guard segment.flags.contains(.ack), segment.flags.isDisjoint(with: [.syn, .rst]),
            let index = listenerFor(tuple.local), listeners[index].cookiesUntil > now
        else { return false }
        let cookie = segment.acknowledgment.advanced(by: -1)
        let peer = segment.sequence.advanced(by: -1)
        guard let content = cookies.check(cookie, tuple, peer: peer, now: now) else {
            counters.count(.synCookieFailed)
            // Data may have overtaken the segment that would have passed: it comes again, and a RST would end it all.
            return segment.payloadLength > 0
        }
        if listeners[index].isQueueFull {
            counters.count(.ackDroppedBacklog)
            return true
        }
        guard let local = routes.local(tuple.local.address), tuple.remote.address.isUnicast,
            let slot = try? claimSlot()
        else {
            counters.count(.synDroppedLimit)
            return true
        }
        counters.count(.synCookieAccepted)
        var syn = segment
        syn.flags = .syn
        syn.sequence = peer
        syn.payloadLength = 0
        syn.options = SynCookies.options(content, echo: segment.options.timestamps)
        syn.options.multipath.other = offered(content.offer, key: content.key, segment)
        var setup = setup(tuple, LocalAddress(id: local.id, address: local.address, interface: interface), now: now)
        setup.initialSequence = cookie
        let connection = Connection.resume(
            listeners[index].configuration, key: content.key, setup: setup, syn: syn, random: random.fork(), now: now)
        _ = install(connection, slot, tuple, now: now)
        slots[Int(slot)].listener = Int32(index)
        slots[Int(slot)].connection?.receive(segment, packet: packet, subflow: 0, now: now, counters: &counters)
        follow(slot, now: now)
        return true
    }

    /// The MP_CAPABLE that the SYN had; nil where the connection can only be TCP.
    private mutating func offered(_ offer: SynCookies.Offer, key: UInt64, _ segment: TCPSegment) -> MPTCPOption? {
        guard let version = offer.version else { return nil }
        let token = KeyMaterial.token(of: key, version: version)
        //= RFC 8684 §3.1 a key whose token another connection has must not be used: TCP then
        guard key != 0, token != 0, tokens[token] == nil else {
            counters.count(.MPFallbackTokenInit)
            return nil
        }
        var capable = MPCapable(version: version.rawValue, checksumRequired: offer.checksum)
        if version.hasKeyInSYN {
            //= RFC 6824 §3.1 the third ACK repeats the SYN's key; without it nothing is known of it any more
            guard case .capable(let third)? = segment.options.multipath.other, third.receiverKey == key,
                let theirs = third.senderKey
            else {
                counters.count(.MPCapableFallbackACK)
                return nil
            }
            capable.senderKey = theirs
        }
        return .capable(capable)
    }
}
