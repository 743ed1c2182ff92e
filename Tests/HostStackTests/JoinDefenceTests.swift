import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What joins may cost (RFC 6181 §2 and §3, RFC 7430 §2 and §3), and where they may go.
@Suite struct JoinDefenceTests {
    private static let second = Endpoint(IPAddress(10, 0, 2, 2), 80)

    private static func joinSyn(_ peer: ScriptedPeer, port: UInt16, to: Endpoint = second, nonce: UInt32 = 7) {
        var options = OptionBlock()
        options.append(
            .join(.syn(backup: false, addressID: AddressID(2), token: KeyMaterial.token(of: peer.hostKey), nonce: nonce)))
        peer.send(.syn, from: Endpoint(IPAddress(10, 0, 2, 1), port), to: to, sequence: 1, options: options)
    }

    /// Completes a join from that port; nil where its SYN got no SYN/ACK.
    private static func completeJoin(_ peer: ScriptedPeer, port: UInt16, to: Endpoint = second) -> Bool {
        joinSyn(peer, port: port, to: to)
        guard let answer = peer.replies().first(where: { $0.segment.flags == [.syn, .ack] }),
            case .join(.synAck(_, _, _, let nonce))? = answer.segment.options.multipath.other
        else { return false }
        let mine = KeyMaterial.joinHMAC(
            localKey: peer.key, remoteKey: peer.hostKey, localNonce: 7, remoteNonce: nonce, version: .one)
        var options = OptionBlock()
        options.append(.join(.ack(hmac: mine)))
        peer.send(
            .ack, from: Endpoint(IPAddress(10, 0, 2, 1), port), to: to, sequence: 2,
            acknowledgment: answer.segment.sequence.rawValue &+ 1, options: options)
        return true
    }

    @Test func halfOpenJoinsAreBoundedPerToken() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        for port in UInt16(1)...100 { Self.joinSyn(peer, port: 6000 + port) }
        #expect(peer.replies().filter { $0.segment.flags == [.syn, .ack] }.count == 4)
        #expect(peer.host.counters[.joinDroppedLimit] == 96)
        #expect(peer.host.counters[.joinsHalfOpen] == 4 && peer.host.occupancy.halfOpenJoins == 4)
        // SYN/ACKs to whoever it is end after four each, and the places are free again.
        var answers = 0
        for _ in 0..<200 {
            peer.wait(.seconds(1 as Int64))
            answers += peer.replies().filter { $0.segment.flags == [.syn, .ack] }.count
        }
        #expect(answers <= 4 * 3)
        #expect(peer.host.counters[.joinsHalfOpen] == 0)
        #expect(Self.completeJoin(peer, port: 7000))
        #expect(peer.host.counters[.MPJoinAckRx] == 1 && peer.host.counters[.joinsHalfOpen] == 0)
        #expect(peer.snapshot(id)?.closeReason == nil)
    }

    /// One that is completed makes room for the next at once.
    @Test func completedJoinsDoNotCount() throws {
        let peer = ScriptedPeer()
        _ = try peer.establish()
        for port in UInt16(1)...7 { #expect(Self.completeJoin(peer, port: 6000 + port)) }
        #expect(peer.host.counters[.MPJoinAckRx] == 7 && peer.host.counters[.joinDroppedLimit] == 0)
    }

    @Test func halfOpenJoinsAreBoundedInAll() throws {
        let peer = ScriptedPeer { $0.maximumHalfOpenJoins = 3 }
        let id = try peer.establish()
        for port in UInt16(1)...10 { Self.joinSyn(peer, port: 6000 + port) }
        #expect(peer.host.counters[.joinsHalfOpen] == 3 && peer.host.counters[.joinDroppedLimit] == 7)
        peer.host.abort(id, now: peer.now)
        peer.host.release(id, now: peer.now)
        _ = peer.replies()
        #expect(peer.host.counters[.joinsHalfOpen] == 0, "the gauge ends where it began")
    }

    //= RFC 8684 §3.2 an unknown token is answered with RST; no state, and no more RSTs than the budget
    @Test func randomTokensKeepNothing() throws {
        let peer = ScriptedPeer()
        _ = try peer.establish()
        let before = peer.host.occupancy
        var random = RandomSource(seed: 5)
        for number in 0..<10_000 {
            var options = OptionBlock()
            options.append(
                .join(.syn(backup: false, addressID: AddressID(1), token: random.nextWord(), nonce: random.nextWord())))
            peer.send(
                .syn, from: Endpoint(IPAddress(ipv4: 0x0b00_0000 + UInt32(number)), 9), to: Self.second, sequence: 1,
                options: options)
        }
        #expect(peer.replies().count == 200)
        #expect(peer.host.counters[.MPJoinNoTokenFound] == 10_000)
        #expect(peer.host.occupancy == before)
    }

    // MARK: Ports for joins alone, and the C flag

    private static func portSettings() -> ConnectionConfiguration {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        settings.joinPort = 8080
        settings.forbidsJoinsToInitialAddress = true
        return settings
    }

    /// A server behind a load balancer: joins go to the announced addresses and port only.
    @Test func joinsGoToAnnouncedPortsWhereTheFirstAddressIsForbidden() throws {
        let pair = PairedHosts(paths: 2, server: Self.portSettings())
        pair.keepsPackets = true
        // The first address could be joined over the other path: only the C flag keeps the client from it.
        pair.client.addRoute(IPAddress(10, 0, 1, 0), prefixLength: 24, through: InterfaceID(1))
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        _ = pair.write(client: true, id, [1, 2, 3])
        pair.run(for: .seconds(3 as Int64))
        let accepted = pair.server.accept(listener)
        let server = try #require(accepted)
        #expect(pair.client.counters[.PortAdd] == 2 && pair.client.counters[.AddAddr] == 2)
        #expect(pair.server.counters[.EchoAdd] == 2)
        let subflows = pair.snapshot(client: true, id)?.subflows ?? []
        let joined = subflows.filter { $0.state == "established" && $0.remote.port == 8080 }
        #expect(Set(joined.map(\.remote.address)) == [IPAddress(10, 0, 1, 2), IPAddress(10, 0, 2, 2)])
        #expect(subflows.filter { $0.remote.port == 80 }.count == 1, "the first only")
        //= RFC 8684 §3.1 C: no subflow to the first address and port
        for packet in pair.sent where packet.fromClient {
            guard let segment = packet.segment, case .join(.syn)? = segment.options.multipath.other else { continue }
            #expect(segment.destinationPort == 8080)
        }
        #expect(pair.snapshot(client: false, server)?.subflows.count == subflows.count)
    }

    @Test(arguments: [true, false])
    func newConnectionsAreRefusedAtAPortForJoins(capable: Bool) throws {
        let peer = ScriptedPeer(settings: Self.portSettings())
        let id = try peer.establish()
        let port = Endpoint(IPAddress(10, 0, 2, 2), 8080)
        var options = OptionBlock()
        if capable { options.append(.capable(MPCapable())) }
        peer.send(.syn, from: Endpoint(IPAddress(10, 0, 2, 1), 6000), to: port, sequence: 1, options: options)
        let reply = try #require(peer.replies().first { $0.segment.destinationPort == 6000 })
        #expect(reply.segment.flags.contains(.rst))
        #expect(
            reply.segment.options.multipath.other
                == .reset(MPTCPReset(transient: false, reason: MPTCPReset.administrativelyProhibited)))
        #expect(peer.host.counters[.MPCapableEndpAttempt] == 1)
        #expect(Self.completeJoin(peer, port: 6001, to: port))
        #expect(peer.snapshot(id)?.subflows.count == 2)
    }

    @Test func aPortForJoinsIsNotListenedOnToo() throws {
        let peer = ScriptedPeer(settings: Self.portSettings())
        let first = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        #expect(throws: HostError.self) { _ = try peer.host.listen(on: Endpoint(.anyIPv4, 8080), now: peer.now) }
        peer.host.closeListener(first, now: peer.now)
        _ = try peer.host.listen(on: Endpoint(.anyIPv4, 8080), configuration: ConnectionConfiguration(), now: peer.now)
        #expect(throws: HostError.self) { _ = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now) }
    }
}
