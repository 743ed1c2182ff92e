import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// The threats of RFC 6181 and RFC 7430, and what was added to them. Hijack by ADD_ADDR is HostilePeerTests and
/// VersionZeroTests; state exhaustion by joins is JoinDefenceTests.
@Suite struct FieldNotesThreatTests {
    // MARK: Third parties

    /// A server that announces `victims`, none of which ever answers; what the client sends to them.
    private static func announce(
        _ victims: [IPAddress], connections: Int, during span: TimeSpan, cycles: Bool = false
    ) throws -> (pair: PairedHosts, syns: [PairedHosts.Sent]) {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        settings.keepalive = nil
        let pair = PairedHosts(paths: 1, client: settings, server: settings)
        pair.keepsPackets = true
        for victim in victims { pair.server.addAddress(victim, prefixLength: 24, to: InterfaceID(0)) }
        pair.tamper = { packet in
            packet.fromClient && packet.segment?.flags == .syn
                && victims.contains((try? IPHeader(packet.bytes.rawBytes))?.destination ?? .anyIPv4)
                ? nil : packet.bytes
        }
        _ = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        for _ in 0..<connections {
            let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
            _ = pair.write(client: true, id, [1])
        }
        let end = pair.now + span
        while pair.now < end {
            pair.run(for: .seconds(5 as Int64))
            guard cycles else { continue }
            for victim in victims {
                pair.server.removeAddress(victim, now: pair.now)
                pair.server.addAddress(victim, prefixLength: 24, to: InterfaceID(0))
            }
            pair.server.announceAddresses(now: pair.now)
        }
        let syns = pair.sent.filter { packet in
            packet.fromClient && packet.segment?.flags == .syn
                && (try? IPHeader(packet.bytes.rawBytes))?.destination != IPAddress(10, 0, 1, 2)
        }
        return (pair, syns)
    }

    /// One connection: 32 attempts of three SYNs at most, however long it lasts and often the address comes back.
    @Test(arguments: [false, true])
    func aSilentAddressIsLeftAlone(cycles: Bool) throws {
        let (pair, syns) = try Self.announce(
            [IPAddress(10, 0, 1, 77)], connections: 1, during: .seconds(1200 as Int64), cycles: cycles)
        #expect(pair.client.counters[.AddAddr] >= 1)
        #expect(syns.count >= 3 && syns.count <= 96, "\(syns.count) SYNs")
        let lastTen = syns.filter { $0.time > pair.now - .seconds(600 as Int64) }
        #expect(lastTen.isEmpty, "\(lastTen.count) SYNs after ten minutes")
    }

    /// Many connections: eight attempts a minute to one address, all together.
    @Test func manyConnectionsAreNoReasonForMore() throws {
        let (pair, syns) = try Self.announce(
            [IPAddress(10, 0, 1, 77)], connections: 50, during: .seconds(300 as Int64))
        #expect(pair.client.counters[.AddAddr] >= 50 && pair.client.counters[.joinTargetLimited] > 0)
        for second in 0..<300 {
            let from = pair.sent[0].time + .seconds(Int64(second))
            let count = syns.filter { $0.time >= from && $0.time < from + .seconds(60 as Int64) }.count
            // Attempts of two windows may overlap, with three SYNs each.
            #expect(count <= 2 * 8 * 3, "\(count) SYNs in a minute")
        }
    }

    /// Addresses that no subflow may go to.
    @Test func impossibleAddressesAreNotJoined() throws {
        let impossible = [
            IPAddress(224, 0, 0, 5), IPAddress(255, 255, 255, 255), IPAddress(10, 0, 1, 255), IPAddress(10, 0, 1, 0),
            IPAddress(127, 0, 0, 1), IPAddress(10, 0, 1, 1), IPAddress(0, 1, 2, 3),
        ]
        for address in impossible {
            let (pair, syns) = try Self.announce([address], connections: 1, during: .seconds(60 as Int64))
            #expect(pair.client.counters[.AddAddr] >= 1, "\(address)")
            #expect(syns.isEmpty, "\(address)")
            #expect(pair.client.counters[.addAddrInvalid] >= 1, "\(address)")
        }
    }

    @Test func anAnnouncedPortOfZeroIsNotJoined() throws {
        let peer = ScriptedPeer()
        _ = try peer.establish()
        let address = IPAddress(10, 0, 1, 50)
        let hmac = KeyMaterial.addAddressHMAC(
            senderKey: peer.key, receiverKey: peer.hostKey, addressID: AddressID(3), address: address, port: 0)
        var options = OptionBlock()
        options.append(.addAddress(AddAddress(addressID: AddressID(3), address: address, port: 0, hmac: hmac)))
        peer.ack(options: options)
        #expect(peer.host.counters[.addAddrInvalid] == 1)
    }

    // MARK: Joins

    /// Time-shifted attack: what was seen of one join is no use for another, since nonces are new each time.
    @Test func anOldJoinCannotBeReplayed() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        var nonces: Set<UInt32> = []
        var seen: HMAC160?
        for port in UInt16(6000)...6003 {
            let from = Endpoint(IPAddress(10, 0, 2, 1), port)
            var options = OptionBlock()
            options.append(
                .join(
                    .syn(backup: false, addressID: AddressID(2), token: KeyMaterial.token(of: peer.hostKey), nonce: 7)))
            peer.send(.syn, from: from, to: Endpoint(IPAddress(10, 0, 2, 2), 80), sequence: 1, options: options)
            let answer = try #require(peer.replies().first { $0.segment.flags == [.syn, .ack] })
            guard case .join(.synAck(_, _, _, let nonce))? = answer.segment.options.multipath.other else {
                throw Unexpected("no MP_JOIN")
            }
            nonces.insert(nonce)
            let hmac =
                seen
                ?? KeyMaterial.joinHMAC(
                    localKey: peer.key, remoteKey: peer.hostKey, localNonce: 7, remoteNonce: nonce, version: .one)
            options = OptionBlock()
            options.append(.join(.ack(hmac: hmac)))
            peer.send(
                .ack, from: from, to: Endpoint(IPAddress(10, 0, 2, 2), 80), sequence: 2,
                acknowledgment: answer.segment.sequence.rawValue &+ 1, options: options)
            _ = peer.replies()
            seen = seen ?? hmac
        }
        #expect(nonces.count == 4)
        #expect(peer.host.counters[.MPJoinAckHMacFailure] == 3)
        #expect(peer.snapshot(id)?.subflows.filter { $0.state == "established" }.count == 2)
    }

    /// All 160 bits are compared, and no branch of it depends on which one differs.
    @Test func everyBitOfAnHMACCounts() {
        let right = HMAC160(high: 0x0123_4567_89ab_cdef, middle: 0xfedc_ba98_7654_3210, low: 0x5555_aaaa)
        #expect(right.constantTimeEquals(right))
        for bit in 0..<160 {
            var wrong = right
            if bit < 64 {
                wrong.high ^= 1 << UInt64(bit)
            } else if bit < 128 {
                wrong.middle ^= 1 << UInt64(bit - 64)
            } else {
                wrong.low ^= 1 << UInt32(bit - 128)
            }
            #expect(!right.constantTimeEquals(wrong) && right != wrong)
        }
    }

    // MARK: DATA_ACK, MP_FASTCLOSE, tokens

    /// Optimistic DATA_ACKs: what a liar acknowledges before it can have it neither speeds the sender up nor loses the
    /// bytes that a subflow may have to repeat.
    @Test func optimismDoesNotSpeedUp() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        let bytes = PairedHosts.pattern(0, 400_000)
        var written = peer.host.write(id, bytes.rawBytes, now: peer.now)
        var first: [UInt8] = []
        var sent = 0
        var acks: UInt16 = 0
        for _ in 0..<50 {
            for reply in peer.replies() where !reply.payload.isEmpty {
                if first.isEmpty { first = reply.payload }
                sent += reply.payload.count
                // Acknowledged at the data level at once, at the subflow's never; with a window of its own each, so that
                // none is a duplicate acknowledgment (RFC 5681 §2).
                acks += 1
                peer.send(
                    .ack, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: peer.sequence,
                    acknowledgment: peer.acknowledgment, window: 65_535 - acks,
                    options: peer.signal(dataAck: Int64(min(sent, written)) + 1))
            }
            written += peer.host.write(id, Array(bytes[written...].prefix(50_000)).rawBytes, now: peer.now)
        }
        // The subflow's congestion window alone decides: ten segments in the first flight (RFC 6928).
        #expect(sent > 0 && sent <= 10 * 1460, "\(sent) bytes without a subflow acknowledgment")
        var again = false
        for _ in 0..<40 where !again {
            peer.wait(.seconds(1 as Int64))
            again = peer.replies().contains { $0.payload == first }
        }
        #expect(again, "the subflow repeats what it must, byte by byte")
    }

    /// The same at the subflow's level: duplicate acknowledgments that are made up (RFC 5681 §3.2).
    @Test func inventedDuplicatesDoNotSpeedUp() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        _ = peer.host.write(id, PairedHosts.pattern(0, 400_000).rawBytes, now: peer.now)
        var sent = 0
        for _ in 0..<5_000 {
            for reply in peer.replies() { sent += reply.payload.count }
            peer.ack(options: peer.signal(dataAck: 1))
        }
        #expect(sent > 0 && sent <= 2 * 10 * 1460, "\(sent) bytes for nothing but duplicates")
    }

    /// MP_FASTCLOSE: a right key at a wrong place, and a wrong key at the right one.
    @Test func fastCloseNeedsAnAcceptableSequence() throws {
        for flags in [TCPFlags.ack, [.rst, .ack]] {
            let peer = ScriptedPeer()
            let id = try peer.establish()
            var options = OptionBlock()
            options.append(.fastClose(MPFastClose(receiverKey: peer.hostKey)))
            for shift in [-1_000_000 as Int32, -1, 300_000_000, .min] {
                peer.send(
                    flags, from: ScriptedPeer.peer, to: ScriptedPeer.server,
                    sequence: peer.sequence &+ UInt32(bitPattern: shift), acknowledgment: peer.acknowledgment,
                    options: options)
                #expect(peer.snapshot(id)?.closeReason == nil, "\(flags) \(shift)")
            }
            var guessed = OptionBlock()
            guessed.append(.fastClose(MPFastClose(receiverKey: peer.hostKey ^ 1)))
            if flags == .ack {
                peer.ack(options: guessed)
                #expect(peer.host.counters[.fastcloseBadKey] == 1 && peer.snapshot(id)?.closeReason == nil)
            }
            peer.send(
                flags, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: peer.sequence,
                acknowledgment: peer.acknowledgment, options: options)
            #expect(peer.snapshot(id)?.closeReason == .fastClosed)
        }
    }

    //= RFC 8684 §3.1 a token is that of one connection only
    @Test func tokensDoNotCollide() throws {
        let pair = PairedHosts(paths: 1)
        _ = try pair.server.listen(on: Endpoint(.anyIPv4, 80), backlog: 2000, now: pair.now)
        for _ in 0..<1500 { _ = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now) }
        pair.run(for: .milliseconds(100))
        let (client, server) = (pair.client.occupancy, pair.server.occupancy)
        #expect(client.tokens == client.connections && client.tokens == 1500)
        #expect(server.tokens == server.connections && server.tokens == 1500)
    }
}
