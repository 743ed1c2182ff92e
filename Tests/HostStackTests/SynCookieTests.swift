import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// A listener whose half-open queue is full goes on to serve (RFC 4987 §3.6), Multipath TCP included.
@Suite struct SynCookieTests {
    /// A server with 64 half-open connections of nobody's, which is all that a backlog of up to 16 takes.
    private static func flooded(
        _ mode: MultipathMode, checksum: Bool = false, seed: UInt64 = 1
    ) throws -> (PairedHosts, ListenerID) {
        var settings = ConnectionConfiguration()
        settings.multipath = mode
        settings.requestChecksum = checksum
        settings.checksumInVersion0 = checksum
        settings.acceptUnprovenAddresses = true
        var server = settings
        server.multipath = mode == .off ? .automatic : mode
        let pair = PairedHosts(seed: seed, client: settings, server: server)
        pair.keepsPackets = true
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), backlog: 4, now: pair.now)
        pair.flood(64)
        pair.flush()
        #expect(pair.server.occupancy.halfOpen == 64 && pair.server.counters[.synCookieSent] == 0)
        return (pair, listener)
    }

    private struct Outcome {
        var client: ConnectionID
        var server: ConnectionID?
        var received: [UInt8] = []
    }

    private static let bytes = PairedHosts.pattern(0, 300_000)

    private static func transfer(_ pair: PairedHosts, _ listener: ListenerID, seconds: Int64 = 20) throws -> Outcome {
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        var outcome = Outcome(client: id)
        var sent = 0
        let end = pair.now + .seconds(seconds)
        while pair.now < end, outcome.received.count < bytes.count {
            if sent < bytes.count {
                sent += pair.write(client: true, id, Array(bytes[sent..<min(sent + 50_000, bytes.count)]))
            }
            if outcome.server == nil { outcome.server = pair.server.accept(listener) }
            if let server = outcome.server { outcome.received += pair.read(client: false, server).bytes }
            if !pair.step(until: end) { break }
        }
        return outcome
    }

    //= RFC 8684 §3.1 the third segment carries both keys: version 1 needs no memory of the SYN
    @Test(arguments: [MultipathMode.version1, .version0], [false, true])
    func multipathWorksThroughACookie(mode: MultipathMode, checksum: Bool) throws {
        let (pair, listener) = try Self.flooded(mode, checksum: checksum)
        let outcome = try Self.transfer(pair, listener)
        #expect(outcome.received == Self.bytes)
        #expect(pair.server.counters[.synCookieSent] == 1 && pair.server.counters[.synCookieAccepted] == 1)
        let server = try #require(outcome.server)
        let snapshot = pair.snapshot(client: false, server)
        #expect(snapshot?.version == (mode == .version1 ? 1 : 0))
        #expect(snapshot?.checksum == checksum)
        #expect(pair.snapshot(client: true, outcome.client)?.checksum == checksum)
        //= RFC 8684 §3.2 joins need only the token: they work while the listener is flooded, to a cookie's connection too
        #expect(snapshot?.subflows.count == 2 && pair.server.counters[.MPJoinAckRx] == 1)
        // Window scale, SACK and timestamps come back in the timestamp's echo.
        let acks = pair.sent.compactMap(\.segment).filter { $0.sourcePort == 80 && $0.flags == .ack }
        #expect(acks.allSatisfy { $0.options.timestamps != nil })
    }

    @Test func plainTCPWorksThroughACookie() throws {
        let (pair, listener) = try Self.flooded(.off)
        let outcome = try Self.transfer(pair, listener)
        #expect(outcome.received == Self.bytes)
        #expect(pair.server.counters[.synCookieAccepted] == 1)
        let server = try #require(outcome.server)
        #expect(pair.snapshot(client: false, server)?.fallback == FallbackReason.peerSentNoCapable.rawValue)
    }

    @Test(arguments: [MultipathMode.version1, .version0, .off], UInt64(1)...8)
    func lossChangesNothing(mode: MultipathMode, seed: UInt64) throws {
        let (pair, listener) = try Self.flooded(mode, seed: seed)
        pair.loss = 0.1
        let outcome = try Self.transfer(pair, listener, seconds: 60)
        #expect(outcome.received == Self.bytes, "\(outcome.received.count) bytes")
    }

    /// The third ACK is lost: MP_CAPABLE with data stands for it.
    @Test func dataWithBothKeysStandsForTheThirdAck() throws {
        let (pair, listener) = try Self.flooded(.version1)
        var dropped = 0
        pair.tamper = { packet in
            guard packet.fromClient, let segment = packet.segment, segment.flags == .ack, dropped == 0 else {
                return packet.bytes
            }
            dropped += 1
            return nil
        }
        let outcome = try Self.transfer(pair, listener)
        #expect(dropped == 1 && outcome.received == Self.bytes)
        let server = try #require(outcome.server)
        #expect(pair.snapshot(client: false, server)?.isMultipath == true)
    }

    /// Options vanish behind the SYN/ACK: plain TCP, as without a cookie.
    @Test func strippedKeysFallBack() throws {
        let (pair, listener) = try Self.flooded(.version1)
        pair.tamper = { packet in
            guard packet.fromClient, let segment = packet.segment, !segment.flags.contains(.syn) else { return packet.bytes }
            return RawEdit.strippingOptions(packet.bytes)
        }
        let outcome = try Self.transfer(pair, listener)
        #expect(outcome.received == Self.bytes)
        let server = try #require(outcome.server)
        #expect(pair.snapshot(client: false, server)?.fallback == FallbackReason.thirdAckWithoutCapable.rawValue)
    }

    /// A script that answers a cookie: rightly, with one bit wrong, from elsewhere, too late.
    private struct Cookie {
        let peer: ScriptedPeer
        let listener: ListenerID
        let number: UInt32
        let key: UInt64

        init(version: UInt8 = 1) throws {
            peer = ScriptedPeer()
            // At the end of a period, so that a cookie is good for little more than the next.
            listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), backlog: 1, now: peer.now)
            for number in 0..<64 {
                peer.send(
                    .syn, from: Endpoint(IPAddress(11, 0, 0, UInt8(number)), 99), to: ScriptedPeer.server,
                    sequence: 1)
            }
            _ = peer.replies()
            var options = OptionBlock()
            options.append(maximumSegmentSize: 1450)
            options.append(.capable(MPCapable(version: version, senderKey: version == 0 ? 77 : nil)))
            peer.send(.syn, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 4_000, options: options)
            let answer = try #require(peer.replies().last)
            #expect(answer.segment.flags == [.syn, .ack] && answer.segment.options.windowScale == nil)
            #expect(answer.segment.acknowledgment.rawValue == 4_001)
            number = answer.segment.sequence.rawValue
            guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
            key = try #require(capable.senderKey)
            #expect(peer.host.occupancy.connections == 64, "nothing is kept")
        }

        func answer(
            _ number: UInt32, from: Endpoint = ScriptedPeer.peer, sequence: UInt32 = 4_001, echo: UInt64? = nil,
            version: UInt8 = 1, payload: [UInt8] = []
        ) -> [ScriptedPeer.Reply] {
            var options = OptionBlock()
            options.append(.capable(MPCapable(version: version, senderKey: 77, receiverKey: echo ?? key)))
            peer.send(
                .ack, from: from, to: ScriptedPeer.server, sequence: sequence, acknowledgment: number &+ 1,
                options: options, payload: payload)
            return peer.replies()
        }
    }

    @Test func onlyItsOwnPeerCanUseIt() throws {
        let cookie = try Cookie()
        for bit in 0..<32 {
            #expect(cookie.answer(cookie.number ^ 1 << UInt32(bit)).allSatisfy { $0.segment.flags.contains(.rst) })
        }
        _ = cookie.answer(cookie.number, from: Endpoint(IPAddress(10, 0, 1, 1), 5001))
        _ = cookie.answer(cookie.number, from: Endpoint(IPAddress(10, 0, 1, 3), 5000))
        _ = cookie.answer(cookie.number, sequence: 4_002)
        #expect(cookie.peer.host.counters[.synCookieFailed] == 35)
        #expect(cookie.peer.accept(cookie.listener) == nil)
        _ = cookie.answer(cookie.number)
        let id = try #require(cookie.peer.accept(cookie.listener))
        #expect(cookie.peer.snapshot(id)?.isMultipath == true)
    }

    /// Data that overtakes the third ACK is not answered with a RST that would end the connection.
    @Test func dataThatOvertakesIsDropped() throws {
        let cookie = try Cookie()
        #expect(cookie.answer(cookie.number, sequence: 4_100, payload: [1, 2]).isEmpty)
        _ = cookie.answer(cookie.number)
        #expect(cookie.peer.accept(cookie.listener) != nil)
    }

    @Test func itIsGoodForTwoMinutesAtMost() throws {
        for (wait, isGood) in [(Int64(50), true), (129, false)] {
            let cookie = try Cookie()
            cookie.peer.now = cookie.peer.now + .seconds(wait)
            _ = cookie.answer(cookie.number)
            #expect((cookie.peer.accept(cookie.listener) != nil) == isGood, "after \(wait) s")
        }
    }

    @Test func aKeyThatIsNotOursFallsBack() throws {
        let cookie = try Cookie()
        _ = cookie.answer(cookie.number, echo: cookie.key ^ 1)
        let id = try #require(cookie.peer.accept(cookie.listener))
        #expect(cookie.peer.snapshot(id)?.fallback == FallbackReason.keyMismatch.rawValue)
    }

    //= RFC 8684 §3.1 a server without state checks its token for uniqueness; where it is taken, TCP
    @Test func aKeyWhoseTokenIsTakenFallsBack() throws {
        let cookie = try Cookie()
        cookie.peer.host.tokens[KeyMaterial.token(of: cookie.key)] = 0
        _ = cookie.answer(cookie.number, echo: cookie.key)
        let id = try #require(cookie.peer.accept(cookie.listener))
        #expect(cookie.peer.snapshot(id)?.isMultipath == false)
    }

    /// Version 0 keeps the SYN's key nowhere: the third ACK has both.
    @Test func versionZeroNeedsBothKeysInTheThirdAck() throws {
        var cookie = try Cookie(version: 0)
        _ = cookie.answer(cookie.number, version: 0)
        var id = try #require(cookie.peer.accept(cookie.listener))
        #expect(cookie.peer.snapshot(id)?.version == 0)
        cookie = try Cookie(version: 0)
        cookie.peer.send(
            .ack, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 4_001, acknowledgment: cookie.number &+ 1)
        id = try #require(cookie.peer.accept(cookie.listener))
        #expect(cookie.peer.snapshot(id)?.isMultipath == false)
    }

    @Test func aFullAcceptQueueTakesNoMore() throws {
        let cookie = try Cookie()
        _ = cookie.answer(cookie.number)
        #expect(cookie.peer.host.occupancy.connections == 65)
        // The queue of one is full: what the next SYN gets is nothing.
        cookie.peer.send(.syn, from: Endpoint(IPAddress(10, 0, 1, 9), 7), to: ScriptedPeer.server, sequence: 5)
        #expect(cookie.peer.replies().isEmpty && cookie.peer.host.counters[.synDroppedBacklog] == 1)
    }

    @Test func theyCanBeTurnedOff() throws {
        let peer = ScriptedPeer { $0.synCookies = false }
        _ = try peer.host.listen(on: Endpoint(.anyIPv4, 80), backlog: 1, now: peer.now)
        for number in 0..<100 {
            peer.send(
                .syn, from: Endpoint(IPAddress(11, 0, 0, UInt8(number)), 99), to: ScriptedPeer.server, sequence: 1)
        }
        #expect(peer.replies().count == 64 && peer.host.counters[.synDroppedBacklog] == 36)
    }
}
