import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3.7 and RFC 6824 §3.6 ask of the way back to TCP, by script.
@Suite struct FallbackConformanceTests {
    private static func isInfinite(_ reply: ScriptedPeer.Reply) -> Bool { reply.signal?.mapping?.length == 0 }

    /// A DSS of the peer's for data whose checksum is wrong or right.
    private static func sendChecked(
        _ peer: ScriptedPeer, _ lane: Lane, _ offset: Int64, at position: UInt32 = 1, _ bytes: [UInt8], isDamaged: Bool,
        version: MultipathVersion = .one
    ) {
        let sum = peer.checksum(offset, subflow: position, payload: bytes, version: version)
        let mapping = peer.mapping(
            offset, subflow: position, length: bytes.count, checksum: isDamaged ? sum ^ 0x55 : sum, version: version)
        peer.say(
            lane, [.ack, .psh], at: position - 1, options: OptionBlock(DataSequenceSignal(mapping: mapping)),
            payload: bytes)
    }

    //= RFC 8684 §3.7 an ACK for data without a DATA_ACK, before any has come: the first subflow becomes regular TCP, with
    // one last infinite mapping
    @Test(arguments: [MultipathVersion.one, .zero]) func anACKWithoutADataAckIsTCP(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened(version: version)
        #expect(peer.write(id, [1, 2, 3]) == 3)
        _ = peer.replies()
        lane.acknowledgment &+= 3
        peer.say(lane)
        #expect(peer.snapshot(id)?.isMultipath == false)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 3)
        #expect(peer.write(id, [4]) == 1)
        let last = try #require(peer.replies().first { $0.payload == [4] })
        #expect(Self.isInfinite(last))
        lane.acknowledgment &+= 1
        peer.say(lane)
        #expect(peer.write(id, [5]) == 1)
        let after = try #require(peer.replies().first { $0.payload == [5] })
        #expect(after.multipath.isEmpty)
        peer.say(lane, [.ack, .psh], payload: [8, 9])
        #expect(peer.read(id) == [8, 9])
    }

    //= RFC 8684 §3.7 the same on a joined subflow: RST, with "middlebox interference"
    @Test func anACKWithoutADataAckResetsAJoin() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        var join = try peer.joined()
        // The first is the peer's backup: data goes to the other.
        peer.say(first, options: OptionBlock(.priority(MPPriority(backup: true))))
        #expect(peer.write(id, [1, 2, 3]) == 3)
        let data = try #require(peer.replies().first { !$0.payload.isEmpty })
        #expect(data.goes(to: join))
        join.acknowledgment &+= 3
        peer.say(join)
        let sent = peer.replies()
        let reset = try #require(sent.first { $0.goes(to: join) && $0.isReset })
        #expect(reset.reset?.reason == MPTCPReset.middleboxInterference)
        // It was acknowledged where it went; the data level notices that nobody has it.
        var again = false
        for _ in 0..<4 {
            peer.wait(.seconds(2))
            again = peer.replies().contains { $0.goes(to: first) && $0.payload == [1, 2, 3] } || again
        }
        #expect(again)
        #expect(peer.snapshot(id)?.isMultipath == true)
    }

    //= RFC 8684 §3.7 options that get lost later: a joined subflow is closed with RST, "middlebox interference"
    @Test func dataWithoutAMappingResetsAJoin() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        var join = try peer.joined()
        peer.say(
            join, [.ack, .psh], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 2), payload: [1, 2])
        join.sequence &+= 2
        peer.say(join, [.ack, .psh], payload: [3, 4])
        let reset = try #require(peer.replies().first { $0.goes(to: join) && $0.isReset })
        #expect(reset.reset?.reason == MPTCPReset.middleboxInterference)
        #expect(peer.read(id) == [1, 2])
        peer.say(
            first, [.ack, .psh], options: peer.signal(dataAck: 1, dataOffset: 3, subflow: 1, length: 2),
            payload: [3, 4])
        #expect(peer.read(id) == [3, 4])
    }

    //= RFC 8684 §3.7 a checksum fails on one of two subflows: RST with MP_FAIL, nothing of it is kept or acknowledged, and
    // it comes again on the other
    @Test(arguments: [MultipathVersion.one, .zero]) func damageOnOneOfTwoClosesIt(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened(version: version, checksum: true)
        let join = try peer.joined(version: version)
        Self.sendChecked(peer, join, 1, [1, 2, 3], isDamaged: true, version: version)
        let sent = peer.replies()
        let reset = try #require(sent.first { $0.goes(to: join) && $0.isReset })
        let expected = KeyMaterial.initialDataSequence(of: peer.key, version: version) &+ 1
        #expect(reset.fail == MPFail(dataSequence: expected))
        #expect(peer.read(id) == [])
        #expect(!sent.contains { (peer.offset($0.signal?.dataAck, version: version) ?? 1) != 1 })
        Self.sendChecked(peer, first, 1, [1, 2, 3], isDamaged: false, version: version)
        #expect(peer.read(id) == [1, 2, 3])
    }

    //= RFC 8684 §3.7 a checksum fails on the only subflow: MP_FAIL on an ACK, nothing is delivered or acknowledged at the
    // data level, until the infinite mapping says that the stream goes on
    @Test(arguments: [MultipathVersion.one, .zero]) func damageOnTheOnlyOneAsksForTCP(version: MultipathVersion) throws
    {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened(version: version, checksum: true)
        Self.sendChecked(peer, lane, 1, [1, 2, 3], isDamaged: false, version: version)
        #expect(peer.read(id) == [1, 2, 3])
        _ = peer.replies()
        Self.sendChecked(peer, lane, 4, at: 4, [4, 5, 6], isDamaged: true, version: version)
        let sent = peer.replies()
        let failure = try #require(sent.first { $0.fail != nil })
        #expect(failure.fail?.dataSequence == KeyMaterial.initialDataSequence(of: peer.key, version: version) &+ 4)
        #expect(failure.flags == [.ack])
        #expect(!sent.contains { (peer.offset($0.signal?.dataAck, version: version) ?? 4) > 4 })
        #expect(peer.read(id) == [])
        // The infinite mapping goes back to the start of what failed.
        lane.sequence &+= 6
        var signal = DataSequenceSignal()
        signal.mapping = peer.mapping(4, subflow: 4, length: 0, checksum: 0, version: version)
        peer.say(lane, [.ack, .psh], options: OptionBlock(signal), payload: [7])
        #expect(peer.read(id) == [4, 5, 6, 7])
        lane.sequence &+= 1
        //= RFC 8684 §3.7 no DATA_ACK any more
        peer.say(lane, [.ack, .psh], payload: [8])
        peer.wait(.milliseconds(500))
        let after = peer.replies()
        #expect(peer.read(id) == [8])
        #expect(after.allSatisfy { $0.signal?.dataAck == nil })
        #expect(peer.snapshot(id)?.subflows.count == 1)
    }

    //= RFC 8684 §3.7 MP_FAIL on the only subflow: an infinite mapping, and MP_FAIL in return, then regular TCP
    //= RFC 6824 §3.6 the other direction stays as it is
    @Test(arguments: [MultipathVersion.one, .zero]) func aFailureIsAnswered(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened(version: version, checksum: true)
        #expect(peer.write(id, [1, 2, 3]) == 3)
        _ = peer.replies()
        lane.acknowledgment &+= 3
        var signal = DataSequenceSignal()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 1)
        var options = OptionBlock(signal)
        let failed = KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 1
        options.append(.fail(MPFail(dataSequence: failed)))
        peer.say(lane, options: options)
        let sent = peer.replies()
        let infinite = try #require(sent.first(where: Self.isInfinite)?.signal?.mapping)
        #expect(peer.offset(infinite, version: version) == 1 && infinite.subflowSequence == 1)
        #expect(infinite.checksum == 0)
        #expect(sent.contains { $0.fail != nil } == (version == .one))
        //= RFC 8684 §3.7 only the subflow's acknowledgments free the send buffer from now on
        peer.say(lane)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 3)
        #expect(peer.write(id, [4, 5]) == 2)
        _ = peer.replies()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 6)
        peer.say(lane, options: OptionBlock(signal))
        #expect(peer.snapshot(id)?.bytesAcknowledged == 3)
        lane.acknowledgment &+= 2
        peer.say(lane)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 5)
    }

    //= RFC 8684 §3.7 MP_FAIL while what is under way is not contiguous: RST with MP_FAIL
    @Test func aFailureWithAGapResets() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened(checksum: true)
        let join = try peer.joined()
        peer.say(join, options: peer.signal(dataAck: 1))
        // Part of the stream goes over each, until both windows are full.
        #expect(peer.write(id, PairedHosts.pattern(0, 60_000)) == 60_000)
        let sent = peer.replies().filter { !$0.payload.isEmpty }
        #expect(sent.contains { $0.goes(to: first) } && sent.contains { $0.goes(to: join) })
        peer.say(join, [.rst])
        var options = peer.signal(dataAck: 1)
        let failed = KeyMaterial.initialDataSequence(of: peer.hostKey) &+ 1
        options.append(.fail(MPFail(dataSequence: failed)))
        peer.say(first, options: options)
        let reset = try #require(peer.replies().first { $0.goes(to: first) && $0.isReset })
        #expect(reset.fail?.dataSequence == failed)
    }

    //= RFC 8684 §3.7 once it is TCP it stays TCP: options are not heeded, joins are refused
    @Test func itStaysTCP() throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened()
        #expect(peer.write(id, [1, 2, 3]) == 3)
        _ = peer.replies()
        lane.acknowledgment &+= 3
        peer.say(lane)
        _ = peer.replies()
        #expect(peer.snapshot(id)?.isMultipath == false)
        // A mapping that says otherwise, a MP_CAPABLE, an address and a join.
        peer.say(
            lane, [.ack, .psh], options: peer.signal(dataAck: 4, dataOffset: 500, subflow: 1, length: 2),
            payload: [7, 8])
        #expect(peer.read(id) == [7, 8])
        lane.sequence &+= 2
        peer.say(lane, options: OptionBlock(.capable(MPCapable(senderKey: peer.key, receiverKey: peer.hostKey))))
        peer.say(lane, options: peer.advertisement(5, IPAddress(10, 0, 2, 1)))
        let token = KeyMaterial.token(of: peer.hostKey)
        peer.send(
            [.syn], from: Endpoint(IPAddress(10, 0, 2, 1), 6000), to: Endpoint(IPAddress(10, 0, 2, 2), 80), sequence: 1,
            options: OptionBlock(.join(.syn(backup: false, addressID: AddressID(2), token: token, nonce: 7))))
        let sent = peer.replies()
        #expect(sent.contains { $0.ip.destination == IPAddress(10, 0, 2, 1) && $0.isReset })
        #expect(peer.snapshot(id)?.isMultipath == false)
        #expect(peer.snapshot(id)?.subflows.count == 1)
        peer.say(lane, [.ack, .psh], payload: [9])
        #expect(peer.read(id) == [9])
    }
}
