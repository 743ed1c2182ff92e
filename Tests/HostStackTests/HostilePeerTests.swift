import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// A peer that lies, forgets and repeats itself: a counter each time, never a trap, never a byte that is not there.
@Suite struct HostilePeerTests {
    @Test func handshakeAndData() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        peer.data([1, 2, 3], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 3))
        #expect(peer.read(id) == [1, 2, 3])
        #expect(peer.host.counters[.MPCapableSYNRX] == 1 && peer.host.counters[.MPCapableACKRX] == 1)
    }

    //= RFC 8684 §3.1 the third ACK may be lost: data that comes first without keys is not fallback
    @Test func dataThatOvertakesTheThirdAckIsDropped() throws {
        let peer = ScriptedPeer()
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        var options = OptionBlock()
        options.append(.capable(MPCapable()))
        peer.send([.syn], from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, options: options)
        let answer = try #require(peer.replies().first)
        guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
        peer.hostKey = try #require(capable.senderKey)
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        peer.data([9, 9], at: 2, options: peer.signal(dataAck: 1, dataOffset: 3, subflow: 3, length: 2))
        #expect(peer.accept(listener) == nil)
        #expect(peer.host.counters[.handshakeOutOfOrderDropped] == 1)
        // MP_CAPABLE with data, 22 bytes: keys and mapping at once.
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: peer.key, receiverKey: peer.hostKey, dataLength: 2)))
        peer.data([7, 8], options: options)
        let id = try #require(peer.accept(listener))
        #expect(peer.read(id) == [7, 8])
        #expect(peer.snapshot(id)?.isMultipath == true)
    }

    @Test func keysThatAreNotOursFallBack() throws {
        let peer = ScriptedPeer()
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        var options = OptionBlock()
        options.append(.capable(MPCapable()))
        peer.send([.syn], from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, options: options)
        let answer = try #require(peer.replies().first)
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: 5, receiverKey: 6)))
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        peer.ack(options: options)
        let id = try #require(peer.accept(listener))
        #expect(peer.snapshot(id)?.fallback == FallbackReason.keyMismatch.rawValue)
        peer.data([4], options: OptionBlock())
        #expect(peer.read(id) == [4])
    }

    @Test func dataAckBeyondWhatWasSentFreesNothing() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        #expect(peer.host.write(id, [1, 2, 3, 4].rawBytes, now: peer.now) == 4)
        #expect(peer.replies().contains { $0.payload == [1, 2, 3, 4] })
        for lie in [6, 1_000, 1 << 40, Int64.max / 2] { peer.ack(options: peer.signal(dataAck: lie)) }
        #expect(peer.host.counters[.dataAckBeyondSent] == 4)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 0)
        peer.acknowledgment &+= 4
        peer.ack(options: peer.signal(dataAck: 5))
        #expect(peer.snapshot(id)?.bytesAcknowledged == 4)
    }

    @Test func mappingsOutsideTheWindowAreNotKept() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        for offset in [Int64(300_000_000), 1 << 33, -5, .max - 10, .min + 3, .min + 1, .min, .max] {
            peer.data([1], options: peer.signal(dataAck: 1, dataOffset: offset, subflow: 1, length: 1))
        }
        #expect(peer.read(id) == [])
        #expect(peer.host.counters[.NoDSSInWindow] >= 4)
    }

    @Test func overlappingDataStaysAsItFirstCame() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        // Bytes 5…8 out of order, then 1…8 with other contents for 5…8, through one larger mapping each.
        peer.data([5, 6, 7, 8], at: 4, options: peer.signal(dataAck: 1, dataOffset: 5, subflow: 5, length: 4))
        peer.data([1, 2, 3, 4, 99, 99, 99, 99], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 8))
        #expect(peer.read(id) == [1, 2, 3, 4, 5, 6, 7, 8])
    }

    @Test func conflictingMappingsAreCounted() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        peer.ack(options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 100))
        peer.ack(options: peer.signal(dataAck: 1, dataOffset: 50, subflow: 1, length: 100))
        #expect(peer.host.counters[.mappingConflict] == 1)
        peer.data([3], options: peer.signal(dataAck: 1))
        #expect(peer.read(id) == [3], "the mapping that came first holds")
    }

    @Test func manyMappingsAreBounded() throws {
        let peer = ScriptedPeer()
        _ = try peer.establish()
        for number in 0..<5_000 {
            let subflow = UInt32(number) * 20 + 2
            peer.ack(options: peer.signal(dataAck: 1, dataOffset: Int64(subflow), subflow: subflow, length: 10))
        }
        #expect(peer.host.counters[.mappingTableFull] == 5_000 - 4_608)
    }

    @Test func joinsWithoutATokenOrWithAWrongHMAC() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        let from = Endpoint(IPAddress(10, 0, 2, 1), 6000)
        let to = Endpoint(IPAddress(10, 0, 2, 2), 80)
        var options = OptionBlock()
        options.append(.join(.syn(backup: false, addressID: AddressID(2), token: 0xdead_beef, nonce: 7)))
        peer.send([.syn], from: from, to: to, sequence: 1, options: options)
        let refused = try #require(peer.replies().first)
        #expect(refused.segment.flags.contains(.rst))
        #expect(peer.host.counters[.MPJoinNoTokenFound] == 1)
        guard case .reset(let reset)? = refused.segment.options.multipath.other else {
            throw Unexpected("no MP_TCPRST")
        }
        #expect(reset.reason == MPTCPReset.multipathSpecificError)

        options = OptionBlock()
        let token = KeyMaterial.token(of: peer.hostKey)
        options.append(.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 7)))
        peer.send([.syn], from: from, to: to, sequence: 1, options: options)
        let answer = try #require(peer.replies().first { $0.segment.flags == [.syn, .ack] })
        options = OptionBlock()
        options.append(.join(.ack(hmac: HMAC160(high: 1, middle: 2, low: 3))))
        peer.send(
            [.ack], from: from, to: to, sequence: 2, acknowledgment: answer.segment.sequence.rawValue &+ 1,
            options: options)
        #expect(peer.host.counters[.MPJoinAckHMacFailure] == 1)
        #expect(peer.replies().contains { $0.segment.flags.contains(.rst) })
        #expect(peer.snapshot(id)?.closeReason == nil, "the connection goes on")
    }

    @Test func joinWithTheRightHMACIsAcknowledged() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        let from = Endpoint(IPAddress(10, 0, 2, 1), 6000)
        let to = Endpoint(IPAddress(10, 0, 2, 2), 80)
        var options = OptionBlock()
        options.append(
            .join(.syn(backup: true, addressID: AddressID(2), token: KeyMaterial.token(of: peer.hostKey), nonce: 7)))
        peer.send([.syn], from: from, to: to, sequence: 1, options: options)
        let answer = try #require(peer.replies().first { $0.segment.flags == [.syn, .ack] })
        guard case .join(.synAck(_, _, let truncated, let nonce))? = answer.segment.options.multipath.other else {
            throw Unexpected("no MP_JOIN")
        }
        let theirs = KeyMaterial.joinHMAC(
            localKey: peer.hostKey, remoteKey: peer.key, localNonce: nonce, remoteNonce: 7, version: .one)
        #expect(theirs.truncated64 == truncated)
        let mine = KeyMaterial.joinHMAC(
            localKey: peer.key, remoteKey: peer.hostKey, localNonce: 7, remoteNonce: nonce, version: .one)
        options = OptionBlock()
        options.append(.join(.ack(hmac: mine)))
        let ack = answer.segment.sequence.rawValue &+ 1
        for repetition in 0..<2 {
            //= RFC 8684 §3.2 the third ACK is acknowledged, also when it comes again
            peer.send([.ack], from: from, to: to, sequence: 2, acknowledgment: ack, options: options)
            #expect(peer.replies().contains { $0.segment.destinationPort == 6000 }, "repetition \(repetition)")
        }
        #expect(peer.host.counters[.MPJoinAckRx] == 1)
        #expect(peer.snapshot(id)?.subflows.count == 2)
    }

    @Test func halfOpenConnectionsAreBounded() throws {
        let peer = ScriptedPeer()
        _ = try peer.host.listen(on: Endpoint(.anyIPv4, 80), backlog: 16, now: peer.now)
        for number in 0..<5_000 {
            let from = Endpoint(IPAddress(ipv4: 0x0b00_0000 + UInt32(number)), 1000)
            peer.send([.syn], from: from, to: ScriptedPeer.server, sequence: 1)
            if number % 100 == 0 { _ = peer.replies() }
        }
        #expect(peer.host.liveConnections <= 64)
        // Beyond that nothing is kept: cookies, and where 256 answers wait already nothing at all.
        let beyond = peer.host.counters[.synCookieSent] + peer.host.counters[.synDroppedBacklog]
        #expect(peer.host.counters[.synCookieSent] > 0 && beyond == 5_000 - 64)
        for _ in 0..<2_000 where peer.host.liveConnections > 0 {
            peer.wait(.seconds(30))
            _ = peer.replies()
        }
        #expect(peer.host.liveConnections == 0, "they time out")
    }

    @Test func segmentsForNobodyAreAnsweredWithinABudget() {
        let peer = ScriptedPeer()
        for number in 0..<1_000 {
            peer.send(
                [.ack], from: Endpoint(IPAddress(10, 0, 1, 1), UInt16(number + 1)), to: ScriptedPeer.server,
                sequence: 5,
                acknowledgment: 77)
        }
        let replies = peer.replies()
        #expect(replies.count == 200)
        #expect(replies.allSatisfy { $0.segment.flags == [.rst] && $0.segment.sequence.rawValue == 77 })
        #expect(peer.host.counters[.resetRateLimited] == 800)
    }

    @Test func addAddressNeedsTheRightHMAC() throws {
        let peer = ScriptedPeer()
        _ = try peer.establish()
        let address = IPAddress(10, 0, 9, 1)
        var options = OptionBlock()
        options.append(.addAddress(AddAddress(addressID: AddressID(3), address: address, hmac: 12)))
        peer.ack(options: options)
        #expect(peer.host.counters[.addAddrBadHMAC] == 1)
        let hmac = KeyMaterial.addAddressHMAC(
            senderKey: peer.key, receiverKey: peer.hostKey, addressID: AddressID(3), address: address, port: nil)
        options = OptionBlock()
        options.append(.addAddress(AddAddress(addressID: AddressID(3), address: address, hmac: hmac)))
        peer.ack(options: options)
        #expect(peer.host.counters[.AddAddr] == 1)
        let echoed = peer.replies().contains {
            if case .addAddress(let echo)? = $0.segment.options.multipath.other { return echo.isEcho }
            return false
        }
        #expect(echoed)
    }

    @Test func fastCloseNeedsOurKey() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        var options = OptionBlock()
        options.append(.fastClose(MPFastClose(receiverKey: 1)))
        peer.ack(options: options)
        #expect(peer.snapshot(id)?.closeReason == nil)
        #expect(peer.host.counters[.fastcloseBadKey] == 1)
        options = OptionBlock()
        options.append(.fastClose(MPFastClose(receiverKey: peer.hostKey)))
        peer.ack(options: options)
        #expect(peer.snapshot(id)?.closeReason == .fastClosed)
        #expect(peer.replies().contains { $0.segment.flags.contains(.rst) })
    }

    @Test(arguments: 0..<20) func randomSegmentsNeverHurt(seed: UInt64) throws {
        let peer = ScriptedPeer()
        var random = RandomSource(seed: seed)
        let id = try peer.establish()
        _ = peer.host.write(id, PairedHosts.pattern(0, 5_000).rawBytes, now: peer.now)
        for _ in 0..<3_000 {
            let base =
                peer.sequence &+ UInt32(truncatingIfNeeded: random.chance(0.5) ? random.next() % 4_000 : random.next())
            let ack =
                peer.acknowledgment
                &+ UInt32(truncatingIfNeeded: random.chance(0.7) ? random.next() % 6_000 : random.next())
            let payload = [UInt8](repeating: 0xee, count: Int(random.next() % 60))
            let offset = random.chance(0.5) ? Int64(random.next() % 5_000) : Int64(bitPattern: random.next())
            let options =
                random.chance(0.8)
                ? peer.signal(
                    dataAck: random.chance(0.5) ? offset : nil, dataOffset: random.chance(0.5) ? offset : nil,
                    subflow: UInt32(truncatingIfNeeded: random.next() % 5_000), length: Int(random.next() % 65_536),
                    fin: random.chance(0.1)) : OptionBlock()
            let flags = TCPFlags(rawValue: UInt8(truncatingIfNeeded: random.next()) | (random.chance(0.9) ? 0x10 : 0))
            peer.send(
                random.chance(0.9) ? [.ack] : flags, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: base,
                acknowledgment: ack, window: UInt16(truncatingIfNeeded: random.next()), options: options,
                payload: payload)
            _ = peer.replies()
            if random.chance(0.05) { peer.wait(.milliseconds(Int64(random.next() % 2_000))) }
            _ = peer.read(id)
        }
    }
}
