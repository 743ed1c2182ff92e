import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3.1 and RFC 6824 §3.1 ask of the first handshake, by script.
@Suite struct HandshakeConformanceTests {
    //= RFC 8684 §3.1 the version in the answer is at most the one that was offered
    @Test(arguments: [UInt8(1), 2, 15]) func aLaterVersionIsAnsweredWithOurHighest(version: UInt8) throws {
        let (answer, _, _) = try ScriptedPeer().open(OptionBlock(.capable(MPCapable(version: version))))
        #expect(answer.multipath.other.capable?.version == 1)
    }

    //= RFC 8684 §3.1 the highest version first; B is 0, H is 1 and D to G are 0; A where it is wanted; no key
    @Test(arguments: [false, true]) func theFirstSYNIsAsTheSpecificationHasIt(checksum: Bool) throws {
        var settings = ConnectionConfiguration()
        settings.requestChecksum = checksum
        let (_, syn, _) = try ScriptedPeer().called(settings)
        #expect(syn.multipath.other.capable == MPCapable(checksumRequired: checksum))
        #expect(syn.flags == [.syn])
    }

    //= RFC 6824 §3.1 the same with the key; A stands unless it was decided otherwise
    @Test(arguments: [false, true]) func theFirstSYNOfVersionZero(checksum: Bool) throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version0
        if !checksum { settings.checksumInVersion0 = false }
        let (_, syn, _) = try ScriptedPeer().called(settings)
        let capable = try #require(syn.multipath.other.capable)
        #expect(capable.senderKey != nil)
        #expect(
            capable
                == MPCapable(version: 0, checksumRequired: checksum, senderKey: capable.senderKey))
    }

    //= RFC 8684 §3.1 no algorithm, or none that both speak: the option is ignored, the answer has none
    @Test(arguments: [(UInt8(1), UInt8(0)), (1, 0x10), (1, 0x02), (0, 0), (0, 0x20)])
    func withoutACommonAlgorithmItIsTCP(version: UInt8, algorithms: UInt8) throws {
        let peer = ScriptedPeer()
        let syn = MPCapable(
            version: version, hmacSHA256: false, otherAlgorithms: algorithms, senderKey: version == 0 ? peer.key : nil)
        let (answer, lane, listener) = try peer.open(OptionBlock(.capable(syn)))
        #expect(answer.multipath.isEmpty)
        try Self.isTCP(peer, lane, listener)
    }

    //= RFC 8684 §3.1 the SYN had no MP_CAPABLE: the SYN/ACK has none
    @Test func aSYNWithoutTheOptionIsAnsweredWithout() throws {
        let peer = ScriptedPeer()
        let (answer, lane, listener) = try peer.open(OptionBlock())
        #expect(answer.multipath.isEmpty)
        try Self.isTCP(peer, lane, listener)
    }

    //= RFC 8684 §3.1 the third packet has no MP_CAPABLE: regular TCP from there on
    @Test(arguments: [MultipathVersion.one, .zero]) func aThirdACKWithoutTheOptionIsTCP(version: MultipathVersion)
        throws
    {
        let peer = ScriptedPeer()
        let syn = MPCapable(version: version.rawValue, senderKey: version == .zero ? peer.key : nil)
        let (answer, lane, listener) = try peer.open(OptionBlock(.capable(syn)))
        #expect(answer.multipath.other.capable?.senderKey != nil)
        try Self.isTCP(peer, lane, listener)
    }

    //= RFC 8684 §3.1 the handshake is compromised, here by another key: no Multipath TCP options any more
    @Test func aWrongKeyInTheThirdACKIsTCP() throws {
        let peer = ScriptedPeer()
        let (answer, lane, listener) = try peer.open(OptionBlock(.capable(MPCapable())))
        let key = try #require(answer.multipath.other.capable?.senderKey)
        peer.say(lane, options: OptionBlock(.capable(MPCapable(senderKey: peer.key, receiverKey: key ^ 1))))
        try Self.isTCP(peer, lane, listener)
    }

    /// From here on the connection is regular TCP: data passes both ways, and the host sends no option of kind 30.
    static func isTCP(_ peer: ScriptedPeer, _ lane: Lane, _ listener: ListenerID) throws {
        var lane = lane
        peer.say(lane, [.ack, .psh], payload: [1, 2, 3])
        let found = peer.accept(listener)
        let id = try #require(found)
        #expect(peer.read(id) == [1, 2, 3])
        lane.sequence &+= 3
        #expect(peer.write(id, [4, 5]) == 2)
        let sent = peer.replies()
        #expect(sent.contains { $0.payload == [4, 5] })
        lane.acknowledgment &+= 2
        peer.say(lane, [.ack, .fin])
        let rest = sent + peer.replies()
        #expect(rest.allSatisfy { $0.multipath.isEmpty })
        #expect(peer.snapshot(id)?.isMultipath == false)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 2)
    }

    //= RFC 8684 §3.1 the SYN/ACK has no MP_CAPABLE, or an unusable one: regular TCP
    @Test(arguments: [
        nil, MPCapable(hmacSHA256: false, senderKey: 5), MPCapable(extensibility: true, senderKey: 5),
        MPCapable(version: 0, senderKey: 5),
    ])
    func aSYNACKWithoutAUsableOptionIsTCP(capable: MPCapable?) throws {
        let peer = ScriptedPeer()
        var (id, _, lane) = try peer.called()
        peer.say(lane, [.syn, .ack], options: capable.map { OptionBlock(.capable($0)) } ?? OptionBlock())
        lane.sequence &+= 1
        var sent = peer.replies()
        #expect(peer.write(id, [4, 5]) == 2)
        sent += peer.replies()
        #expect(sent.contains { $0.payload == [4, 5] })
        #expect(sent.allSatisfy { $0.multipath.isEmpty })
        lane.acknowledgment &+= 2
        peer.say(lane, [.ack, .psh], payload: [6])
        #expect(peer.read(id) == [6])
        #expect(peer.snapshot(id)?.bytesAcknowledged == 2)
        #expect(peer.snapshot(id)?.fallback != nil)
    }

    //= RFC 8684 §3.1 checksums are used in both directions when either host asks; the answer and the ACK say so
    @Test(arguments: [false, true], [false, true]) func checksumsIfEitherAsks(peerAsks: Bool, hostAsks: Bool) throws {
        var settings = ConnectionConfiguration()
        settings.requestChecksum = hostAsks
        let peer = ScriptedPeer()
        let wanted = peerAsks || hostAsks
        let (answer, _, _) = try peer.open(
            OptionBlock(.capable(MPCapable(checksumRequired: peerAsks))), settings: settings)
        #expect(answer.multipath.other.capable?.checksumRequired == wanted)

        let other = ScriptedPeer()
        var (id, syn, lane) = try other.called(settings)
        #expect(syn.multipath.other.capable?.checksumRequired == hostAsks)
        let third = try other.answer(&lane, MPCapable(checksumRequired: peerAsks, senderKey: other.key))
        #expect(third.first?.multipath.other.capable?.checksumRequired == wanted)
        #expect(other.write(id, [1, 2]) == 2)
        let data = try #require(other.replies().first { !$0.payload.isEmpty })
        #expect((data.multipath.other.capable?.checksum != nil) == wanted)
        other.say(lane, options: other.signal(dataAck: 3))
        #expect(other.snapshot(id)?.checksum == wanted)
    }

    //= RFC 8684 §3.1 a key is hard to guess and unique, its token is nobody else's
    @Test func keysAndTokensAreUnique() throws {
        let peer = ScriptedPeer()
        _ = try peer.host.listen(on: Endpoint(.anyIPv4, 80), backlog: 1000, now: peer.now)
        var keys: Set<UInt64> = []
        var tokens: Set<UInt32> = []
        var sequences: Set<UInt32> = []
        for port in UInt16(1)...500 {
            peer.send(
                [.syn], from: Endpoint(ScriptedPeer.peer.address, port), to: ScriptedPeer.server, sequence: 9,
                options: OptionBlock(.capable(MPCapable())))
            let answer = try #require(peer.replies().first)
            let key = try #require(answer.multipath.other.capable?.senderKey)
            keys.insert(key)
            tokens.insert(KeyMaterial.token(of: key))
            sequences.insert(answer.segment.sequence.rawValue)
        }
        #expect(keys.count == 500 && tokens.count == 500)
        //= RFC 8684 §3 initial sequence numbers after RFC 6528: a hash of the four-tuple apart
        #expect(sequences.count == 500)
        // About half of all bits are set, in every quarter of the keys.
        for shift in stride(from: 0, to: 64, by: 16) {
            let ones = keys.reduce(0) { $0 + (($1 >> UInt64(shift)) & 0xffff).nonzeroBitCount }
            #expect((3700...4300).contains(ones), "\(ones) of 8000")
        }
    }

    //= RFC 8684 §3.1 nothing to send yet: MP_CAPABLE with both keys stands on the third ACK, without a length; with the
    // first data it stands once more, with one, and until a DATA_ACK says that the keys are there
    @Test func theThirdACKCarriesBothKeys() throws {
        let peer = ScriptedPeer()
        var (id, _, lane) = try peer.called()
        let third = try peer.answer(&lane)
        #expect(third.count == 1)
        #expect(third[0].flags == [.ack])
        #expect(third[0].multipath.other.capable == MPCapable(senderKey: peer.hostKey, receiverKey: peer.key))
        #expect(peer.write(id, [1, 2, 3]) == 3)
        let data = peer.replies()
        #expect(data.map(\.payload) == [[1, 2, 3]])
        let expected = MPCapable(senderKey: peer.hostKey, receiverKey: peer.key, dataLength: 3)
        #expect(data[0].multipath.other.capable == expected)
        peer.wait(.seconds(5))
        let again = peer.replies()
        #expect(again.contains { $0.payload == [1, 2, 3] && $0.multipath.other.capable == expected })
        lane.acknowledgment &+= 3
        peer.say(lane, options: peer.signal(dataAck: 4))
        #expect(peer.write(id, [4]) == 1)
        let next = try #require(peer.replies().first { $0.payload == [4] })
        #expect(next.multipath.other == nil)
        #expect(peer.offset(next.signal?.mapping) == 4)
    }

    //= RFC 8684 §3.1 no subflow is opened before a DSS has come over the first
    @Test func noJoinBeforeADataAck() throws {
        let peer = ScriptedPeer()
        var (id, _, lane) = try peer.called()
        var sent = try peer.answer(&lane)
        #expect(peer.write(id, [1, 2, 3]) == 3)
        sent += peer.replies()
        lane.acknowledgment &+= 0
        #expect(ScriptedPeer.joins(sent).isEmpty)
        lane.acknowledgment &+= 3
        peer.say(lane, options: peer.signal(dataAck: 4))
        let joins = ScriptedPeer.joins(peer.replies())
        #expect(joins.count == 1)
        //= RFC 8684 §3.9.1 to the port of the first subflow
        #expect(joins.first?.segment.destinationPort == 80)
    }

    //= RFC 8684 §3.1 C: no further subflow to that address and port, under whatever ID; to another, there is
    @Test(arguments: [false, true]) func theCFlagKeepsJoinsAway(isSet: Bool) throws {
        let peer = ScriptedPeer()
        let (_, lane) = try peer.answered(noMoreHere: isSet)
        #expect(ScriptedPeer.joins(peer.replies()).isEmpty == isSet)
        guard isSet else { return }
        peer.say(lane, options: peer.advertisement(5, lane.here.address, port: 80))
        #expect(ScriptedPeer.joins(peer.replies()).isEmpty)
        peer.say(lane, options: peer.advertisement(6, IPAddress(10, 0, 2, 1)))
        let joins = ScriptedPeer.joins(peer.replies())
        #expect(!joins.isEmpty)
        #expect(joins.allSatisfy { $0.ip.destination == IPAddress(10, 0, 2, 1) })
    }

    //= RFC 6897 §5.3.2 switched off: no option of kind 30 ever
    @Test func switchedOffIsOff() throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .off
        let peer = ScriptedPeer()
        let (_, syn, _) = try peer.called(settings)
        #expect(syn.multipath.isEmpty)
        let (answer, lane, listener) = try ScriptedPeer().open(OptionBlock(.capable(MPCapable())), settings: settings)
        #expect(answer.multipath.isEmpty)
        _ = (lane, listener)
    }

    //= RFC 6897 §4.2.2 the addresses of a connection are those of its first subflow, also when that is gone
    @Test func theConnectionsAddressesAreTheFirstSubflows() throws {
        let peer = ScriptedPeer()
        let (id, _) = try peer.opened()
        _ = try peer.joined()
        let before = peer.endpoint(id)
        #expect(before == ScriptedPeer.server)
        peer.host.removeAddress(ScriptedPeer.server.address, now: peer.now)
        _ = peer.replies()
        #expect(peer.endpoint(id) == before)
        #expect(peer.snapshot(id)?.remote == ScriptedPeer.peer)
        #expect(peer.snapshot(id)?.closeReason == nil)
    }
}
