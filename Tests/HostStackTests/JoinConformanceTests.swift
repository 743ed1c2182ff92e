import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3.2 (and RFC 6824 §3.2) ask of further subflows, by script.
@Suite struct JoinConformanceTests {
    /// The host's SYN with MP_JOIN, on a connection that it has opened.
    private static func invited(
        _ settings: ConnectionConfiguration = ConnectionConfiguration()
    ) throws -> (ScriptedPeer, ConnectionID, Lane, syn: ScriptedPeer.Reply) {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.answered(settings)
        let syn = try #require(ScriptedPeer.joins(peer.replies()).first)
        return (peer, id, lane, syn)
    }

    //= RFC 8684 §3.2 local policy forbids another subflow: RST
    @Test(arguments: [MultipathVersion.one, .zero]) func aSubflowTooManyIsReset(version: MultipathVersion) throws {
        var settings = ConnectionConfiguration()
        settings.maximumSubflows = 1
        let peer = ScriptedPeer()
        _ = try peer.opened(version: version, settings: settings)
        let token = KeyMaterial.token(of: peer.hostKey, version: version)
        peer.send(
            [.syn], from: Endpoint(IPAddress(10, 0, 2, 1), 6000), to: Endpoint(IPAddress(10, 0, 2, 2), 80), sequence: 1,
            options: OptionBlock(.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 7))))
        let answer = try #require(peer.replies().first)
        #expect(answer.isReset)
        #expect(peer.host.counters[.MPJoinRejected] == 1)
    }

    //= RFC 8684 §3.2 the HMAC in the SYN/ACK is wrong, or MP_JOIN is missing there: RST, with MP_TCPRST
    @Test(arguments: [false, true]) func aSYNACKThatProvesNothingIsReset(bare: Bool) throws {
        let (peer, id, _, syn) = try Self.invited()
        let lane = try peer.accept(join: syn, wrong: 1, bare: bare)
        let answer = try #require(peer.replies().first { $0.goes(to: lane) })
        #expect(answer.isReset)
        #expect(answer.reset?.reason == MPTCPReset.multipathSpecificError)
        #expect(peer.snapshot(id)?.closeReason == nil)
        #expect(peer.host.counters[bare ? .MPJoinRejected : .MPJoinSynAckHMacFailure] == 1)
    }

    //= RFC 8684 §3.2 the third ACK has no MP_JOIN: RST, with MP_TCPRST
    @Test func aThirdACKWithoutTheOptionIsReset() throws {
        let peer = ScriptedPeer()
        let (id, _) = try peer.opened()
        var lane = Lane(
            here: Endpoint(IPAddress(10, 0, 2, 1), 6000), there: Endpoint(IPAddress(10, 0, 2, 2), 80), sequence: 1,
            acknowledgment: 0)
        let token = KeyMaterial.token(of: peer.hostKey)
        peer.say(
            lane, [.syn],
            options: OptionBlock(.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 7))))
        let answer = try #require(peer.replies().first { $0.flags == [.syn, .ack] })
        lane.sequence = 2
        lane.acknowledgment = answer.segment.sequence.rawValue &+ 1
        peer.say(lane)
        let reset = try #require(peer.replies().first { $0.goes(to: lane) })
        #expect(reset.isReset)
        #expect(reset.reset?.reason == MPTCPReset.multipathSpecificError)
        #expect(peer.snapshot(id)?.closeReason == nil)
    }

    //= RFC 8684 §3.2 the third ACK with the HMAC is sent again until it is acknowledged, and no data goes before that
    @Test func theThirdACKIsRepeatedUntilItIsAcknowledged() throws {
        let (peer, id, first, syn) = try Self.invited()
        let lane = try peer.accept(join: syn)
        guard case .syn(_, _, _, let nonce)? = syn.multipath.other.join else { throw Unexpected("no MP_JOIN") }
        let expected = KeyMaterial.joinHMAC(
            localKey: peer.hostKey, remoteKey: peer.key, localNonce: nonce, remoteNonce: 11, version: .one)
        let third = try #require(peer.replies().first { $0.goes(to: lane) })
        #expect(third.multipath.other.join == .ack(hmac: expected))
        #expect(peer.write(id, PairedHosts.pattern(0, 60_000)) == 60_000)
        var sent = peer.replies()
        var repetitions = 0
        for _ in 0..<10 {
            peer.wait(.seconds(2))
            let more = peer.replies()
            repetitions += more.filter { $0.goes(to: lane) && $0.multipath.other.join == .ack(hmac: expected) }.count
            sent += more
        }
        #expect(repetitions >= 1)
        #expect(sent.allSatisfy { !$0.goes(to: lane) || $0.payload.isEmpty })
        #expect(sent.contains { $0.goes(to: first) && !$0.payload.isEmpty })
        peer.say(lane, options: peer.signal(dataAck: 1))
        peer.wait(.seconds(2))
        #expect(peer.replies().contains { $0.goes(to: lane) && !$0.payload.isEmpty })
    }

    //= RFC 8684 §3.2 the token says which connection a SYN joins, whatever its addresses and ports
    @Test func joinsAreFoundByTheirToken() throws {
        let peer = ScriptedPeer()
        let (one, _) = try peer.opened()
        peer.key &+= 1
        let other = ScriptedPeer.peer
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 81), now: peer.now)
        peer.send(
            [.syn], from: other, to: Endpoint(ScriptedPeer.server.address, 81), sequence: 5,
            options: OptionBlock(.capable(MPCapable())))
        let answer = try #require(peer.replies().first)
        peer.hostKey = try #require(answer.multipath.other.capable?.senderKey)
        peer.send(
            [.ack], from: other, to: Endpoint(ScriptedPeer.server.address, 81), sequence: 6,
            acknowledgment: answer.segment.sequence.rawValue &+ 1,
            options: OptionBlock(.capable(MPCapable(senderKey: peer.key, receiverKey: peer.hostKey))))
        let found = peer.accept(listener)
        let two = try #require(found)
        _ = try peer.joined(toPort: 81)
        #expect(peer.snapshot(one)?.subflows.count == 1)
        #expect(peer.snapshot(two)?.subflows.count == 2)
    }

    //= RFC 8684 §3.2 the IDs that joins bring are kept with their subflows; those of own addresses are told in joins
    @Test func addressIDsAreKept() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        let seven = try peer.joined(addressID: 7, port: 6000)
        let eight = try peer.joined(addressID: 8, port: 6001)
        peer.say(lane, options: OptionBlock(.removeAddress(RemoveAddress(AddressID(8)))))
        let sent = peer.replies()
        #expect(sent.contains { $0.goes(to: eight) && $0.isReset })
        #expect(!sent.contains { $0.goes(to: seven) && $0.isReset })
        #expect(peer.snapshot(id)?.closeReason == nil)

        let (other, _, first, syn) = try Self.invited()
        guard case .syn(_, let addressID, _, _)? = syn.multipath.other.join else { throw Unexpected("no MP_JOIN") }
        #expect(addressID.rawValue != 0)
        other.host.removeAddress(syn.ip.source, now: other.now)
        let removal = other.replies().compactMap { $0.multipath.other.removeAddress }
        #expect(removal == [RemoveAddress(addressID)])
        _ = first
    }

    //= RFC 8684 §3.2 a SYN/ACK with MP_JOIN, nonce and truncated HMAC answers a valid token
    @Test(arguments: [MultipathVersion.one, .zero]) func aValidTokenIsAnswered(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        let (id, _) = try peer.opened(version: version)
        let lane = try peer.joined(version: version)
        #expect(peer.snapshot(id)?.subflows.count == 2)
        #expect(peer.host.counters[.MPJoinAckRx] == 1)
        _ = lane
    }

    //= RFC 8684 §3.6 a path that the peer's RST called broken for good is left alone; a transient fault is not
    @Test(arguments: [false, true]) func aPathBrokenForGoodIsLeftAlone(transient: Bool) throws {
        let (peer, id, _, syn) = try Self.invited()
        let lane = try peer.accept(join: syn)
        _ = peer.replies()
        peer.say(lane, options: peer.signal(dataAck: 1))
        #expect(peer.snapshot(id)?.subflows.filter { $0.state == "established" }.count == 2)
        peer.say(
            lane, [.rst],
            options: OptionBlock(.reset(MPTCPReset(transient: transient, reason: MPTCPReset.middleboxInterference))))
        var joins = 0
        for _ in 0..<40 {
            peer.wait(.seconds(1))
            joins += ScriptedPeer.joins(peer.replies()).count
        }
        #expect((joins > 0) == transient)
        #expect(peer.snapshot(id)?.closeReason == nil)
    }

    //= RFC 8684 §3.3.8 nothing is sent where the receiver has said B, while there is another subflow
    @Test func backupIsRespected() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        let lane = try peer.joined(backup: true)
        #expect(peer.write(id, PairedHosts.pattern(0, 60_000)) == 60_000)
        let sent = peer.replies().filter { !$0.payload.isEmpty }
        #expect(!sent.isEmpty)
        #expect(sent.allSatisfy { $0.goes(to: first) })
        // MP_PRIO takes it back.
        peer.say(lane, options: OptionBlock(.priority(MPPriority(backup: false))))
        #expect(peer.replies().contains { $0.goes(to: lane) && !$0.payload.isEmpty })
    }
}
