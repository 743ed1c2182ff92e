import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3.3.3, §3.5 and §3.6 (and RFC 6824 there) ask of the end, by script.
@Suite struct TeardownConformanceTests {
    //= RFC 8684 §3.3.3 a DATA_FIN without data: subflow sequence number 0, length 1, its own data sequence number
    @Test(arguments: [MultipathVersion.one, .zero], [false, true])
    func aDataFinAloneHasItsOwnForm(version: MultipathVersion, checksum: Bool) throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened(version: version, checksum: checksum)
        #expect(peer.write(id, [1, 2, 3]) == 3)
        _ = peer.replies()
        lane.acknowledgment &+= 3
        var signal = DataSequenceSignal()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 4)
        peer.say(lane, options: OptionBlock(signal))
        peer.host.finishWriting(id, now: peer.now)
        let fin = try #require(peer.replies().first { $0.signal?.dataFin == true })
        let mapping = try #require(fin.signal?.mapping)
        #expect(mapping.subflowSequence == 0 && mapping.length == 1)
        #expect(peer.offset(mapping, version: version) == 4)
        #expect((mapping.checksum != nil) == checksum)
        //= RFC 8684 §3.3.3 the subflow stays: no FIN before the DATA_FIN is acknowledged
        #expect(!fin.flags.contains(.fin))
    }

    //= RFC 8684 §3.3.3 not all subflows are closed while data waits for its DATA_ACK, also when the peer closes its half
    @Test func theLastSubflowStaysWhileDataWaits() throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened()
        #expect(peer.write(id, PairedHosts.pattern(0, 2_752)) == 2_752)
        var sent = peer.replies()
        // The peer sends nothing more here; it says nothing of the end of its stream.
        peer.say(lane, [.ack, .fin], options: peer.signal(dataAck: 1))
        lane.sequence &+= 1
        sent += peer.replies()
        #expect(peer.write(id, [9, 9]) == 2)
        lane.acknowledgment &+= 2_752
        peer.say(lane, options: peer.signal(dataAck: 2_753))
        sent += peer.replies()
        #expect(sent.contains { $0.payload == [9, 9] })
        #expect(!sent.contains { $0.flags.contains(.fin) || $0.isReset })
        lane.acknowledgment &+= 2
        peer.say(lane, options: peer.signal(dataAck: 2_755))
        #expect(peer.replies().contains { $0.flags.contains(.fin) })
        #expect(peer.snapshot(id)?.bytesAcknowledged == 2_754)
    }

    //= RFC 8684 §3.3.3 once both DATA_FINs are acknowledged every subflow is closed with FIN
    @Test(arguments: [MultipathVersion.one, .zero]) func everySubflowEndsWithFIN(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened(version: version)
        let join = try peer.joined(version: version)
        var signal = DataSequenceSignal()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 1)
        peer.say(join, options: OptionBlock(signal))
        signal.mapping = peer.mapping(1, subflow: 0, length: 1, version: version)
        signal.dataFin = true
        peer.say(first, options: OptionBlock(signal))
        let answer = peer.replies()
        #expect(answer.contains { peer.offset($0.signal?.dataAck, version: version) == 2 })
        #expect(!answer.contains { $0.flags.contains(.fin) })
        peer.host.finishWriting(id, now: peer.now)
        #expect(!peer.replies().contains { $0.flags.contains(.fin) })
        signal = DataSequenceSignal()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: version) &+ 2)
        peer.say(first, options: OptionBlock(signal))
        let fins = peer.replies().filter { $0.flags.contains(.fin) }
        #expect(fins.contains { $0.goes(to: first) } && fins.contains { $0.goes(to: join) })
        #expect(peer.snapshot(id)?.closeReason != .reset)
    }

    //= RFC 8684 §3.5 MP_FASTCLOSE with the peer's key, on a RST of every subflow
    @Test func abortSaysSoOnEverySubflow() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        let join = try peer.joined()
        peer.host.abort(id, now: peer.now)
        let sent = peer.replies()
        for lane in [first, join] {
            let resets = sent.filter { $0.goes(to: lane) }
            #expect(resets.count == 1)
            #expect(resets.allSatisfy { $0.isReset && $0.multipath.other.fastClose?.receiverKey == peer.key })
        }
    }

    //= RFC 6824 §3.5 on an ACK of one subflow; the others are reset
    @Test func abortOfVersionZero() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened(version: .zero)
        let join = try peer.joined(version: .zero)
        peer.host.abort(id, now: peer.now)
        let sent = peer.replies()
        let closes = sent.filter { $0.multipath.other.fastClose != nil }
        #expect(closes.count == 1)
        #expect(closes.allSatisfy { $0.flags == [.ack] && $0.multipath.other.fastClose?.receiverKey == peer.key })
        #expect(sent.contains { $0.goes(to: first) && $0.isReset } && sent.contains { $0.goes(to: join) && $0.isReset })
    }

    //= RFC 8684 §3.5 the receiver of MP_FASTCLOSE with its key answers with RST on every subflow
    @Test(arguments: [MultipathVersion.one, .zero]) func fastCloseIsAnsweredWithResets(version: MultipathVersion) throws
    {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened(version: version)
        let join = try peer.joined(version: version)
        peer.say(join, options: OptionBlock(.fastClose(MPFastClose(receiverKey: peer.hostKey))))
        let sent = peer.replies()
        #expect(sent.contains { $0.goes(to: first) && $0.isReset } && sent.contains { $0.goes(to: join) && $0.isReset })
        #expect(peer.snapshot(id)?.closeReason == .fastClosed)
    }

    //= RFC 8684 §3.3.6 a subflow that is given up for its performance is reset with that reason, which is transient
    @Test func aBadPathIsResetWithItsReason() throws {
        var settings = ConnectionConfiguration()
        settings.pathUse = .single
        let peer = ScriptedPeer()
        let (id, lane) = try peer.answered(settings)
        _ = peer.replies()
        #expect(peer.write(id, [1, 2, 3]) == 3)
        var resets: [ScriptedPeer.Reply] = []
        for _ in 0..<20 {
            peer.wait(.seconds(5))
            resets += peer.replies().filter { $0.isReset && $0.goes(to: lane) }
        }
        #expect(resets.map(\.reset) == [MPTCPReset(transient: true, reason: MPTCPReset.unacceptablePerformance)])
    }
}
