import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What middleboxes and peers were seen to do, row by row of the field notes' first table; other rows are proven by
/// FallbackTests, VersionZeroTests, SynCookieTests, JoinDefenceTests and NetworkSimulationTests.
@Suite struct FieldNotesMiddleboxTests {
    private static let whole = PairedHosts.pattern(0, 200_000)

    private static func pair(paths: Int, seed: UInt64 = 1, checksum: Bool = false) -> PairedHosts {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        settings.requestChecksum = checksum
        let pair = PairedHosts(seed: seed, paths: paths, client: settings, server: settings)
        pair.keepsPackets = true
        return pair
    }

    /// "Option stripped from SYN or SYN/ACK": plain TCP, no later options, the reason counted.
    @Test(arguments: [true, false])
    func optionStrippedFromTheHandshake(fromSyn: Bool) throws {
        let pair = Self.pair(paths: 2)
        pair.tamper = { packet in
            guard let segment = packet.segment, segment.flags.contains(.syn), packet.fromClient == fromSyn else {
                return packet.bytes
            }
            return RawEdit.strippingOptions(packet.bytes)
        }
        let exchange = try Exchange.run(pair)
        #expect(exchange.up == Self.whole && exchange.down == Self.whole)
        #expect(exchange.clientSnapshot?.fallback == FallbackReason.synAckWithoutCapable.rawValue)
        #expect(pair.client.counters[.MPCapableFallbackSYNACK] == 1)
        let later = pair.sent.compactMap(\.segment).filter { !$0.flags.contains(.syn) }
        #expect(later.allSatisfy { $0.options.multipath.isEmpty } && !later.isEmpty)
        #expect(
            exchange.serverSnapshot?.fallback
                == (fromSyn ? FallbackReason.peerSentNoCapable : .thirdAckWithoutCapable).rawValue)
    }

    /// "False blackhole after server restart": visible, reset by hand and by success, and it expires.
    @Test func aFalseBlackholeIsForgotten() throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .automatic
        let pair = PairedHosts(client: settings, server: settings)
        func blackhole() throws {
            pair.tamper = {
                $0.segment?.flags == .syn && $0.segment?.options.multipath.isEmpty == false ? nil : $0.bytes
            }
            _ = try Exchange.run(pair, bytes: 1000)
            pair.tamper = nil
            #expect(pair.client.rememberedPeers.map(\.kind) == [.capableVanishes])
        }
        try blackhole()
        pair.client.forgetPeers()
        let second = try Exchange.run(pair, bytes: 1000)
        #expect(second.clientSnapshot?.fallback == nil)
        #expect(pair.client.rememberedPeers.isEmpty, "a success leaves nothing behind")
        try blackhole()
        pair.run(for: .seconds(601 as Int64))
        let third = try Exchange.run(pair, bytes: 1000)
        #expect(third.clientSnapshot?.fallback == nil)
        #expect(pair.client.rememberedPeers.isEmpty)
    }

    /// "Stripped after 3WHS, joined subflow": RST with MP_TCPRST reason 6, and what it carried goes elsewhere.
    @Test(arguments: UInt64(1)...4)
    func strippedOnAJoinedSubflow(seed: UInt64) throws {
        let pair = Self.pair(paths: 2, seed: seed)
        var seen = 0
        pair.tamper = { packet in
            guard packet.interface.rawValue == 1, packet.fromClient, let segment = packet.segment,
                segment.payloadLength > 0
            else { return packet.bytes }
            seen += 1
            return seen > 5 ? RawEdit.strippingOptions(packet.bytes) : packet.bytes
        }
        let whole = PairedHosts.pattern(0, 600_000)
        let exchange = try Exchange.run(pair, bytes: whole.count)
        #expect(seen > 5)
        #expect(exchange.up == whole && exchange.down == whole)
        #expect(exchange.serverSnapshot?.isMultipath == true, "one path is left, and it speaks Multipath TCP")
        let reasons = pair.sent.compactMap { packet -> UInt8? in
            guard !packet.fromClient, let segment = packet.segment, segment.flags.contains(.rst),
                case .reset(let reset)? = segment.options.multipath.other
            else { return nil }
            return reset.reason
        }
        #expect(reasons.contains(MPTCPReset.middleboxInterference))
    }

    /// "No mapping for a long run": nothing unmapped is kept, in any amount.
    @Test func unmappedDataIsNotKept() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        for number in 0..<2_000 {
            let bytes = [UInt8](repeating: 0xee, count: 100)
            peer.data(bytes, at: UInt32(10 + number * 100), options: peer.signal(dataAck: 1))
        }
        #expect(peer.host.counters[.unmappedData] > 0)
        _ = peer.replies()
        peer.data([1, 2, 3, 4, 5, 6, 7, 8, 9], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 9))
        peer.data([10], at: 9, options: peer.signal(dataAck: 1, dataOffset: 10, subflow: 10, length: 1))
        #expect(
            peer.read(id) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "the next byte was not taken from what had no mapping")
        #expect(peer.snapshot(id)?.isMultipath == true)
    }

    /// "MPTCP replaced by EOL": as if stripped.
    @Test func optionsReplacedByEndOfList() throws {
        let pair = Self.pair(paths: 1)
        pair.tamper = { packet in
            guard let segment = packet.segment, !segment.flags.contains(.syn) else { return packet.bytes }
            return RawEdit.changingOption(packet.bytes) { $0 = [UInt8](repeating: 0, count: $0.count) }
        }
        let exchange = try Exchange.run(pair)
        #expect(exchange.up == Self.whole && exchange.down == Self.whole)
        #expect(exchange.serverSnapshot?.fallback == FallbackReason.thirdAckWithoutCapable.rawValue)
    }

    /// "Splitting/coalescing, TSO/GRO": one mapping over several segments, repeated on each or said once.
    @Test(arguments: [true, false])
    func oneMappingCoversSeveralSegments(isRepeated: Bool) throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        let mapping = peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 6)
        peer.data([1, 2], options: mapping)
        peer.data([5, 6], at: 4, options: isRepeated ? mapping : peer.signal(dataAck: 1))
        peer.data([3, 4], at: 2, options: isRepeated ? mapping : OptionBlock())
        #expect(peer.read(id) == [1, 2, 3, 4, 5, 6])
        #expect(peer.host.counters[.mappingConflict] == 0 && peer.host.counters[.unmappedData] == 0)
    }

    /// "Proactive-ACK proxy": data is freed by DATA_ACK alone (RFC 8684 §3.3.2).
    @Test func aSubflowAcknowledgmentFreesNothing() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        _ = peer.host.write(id, [1, 2, 3].rawBytes, now: peer.now)
        #expect(peer.replies().contains { $0.payload == [1, 2, 3] })
        peer.acknowledgment &+= 3
        peer.ack(options: peer.signal(dataAck: 1))
        #expect(peer.snapshot(id)?.bytesAcknowledged == 0)
        var again = false
        for _ in 0..<20 where !again {
            peer.wait(.seconds(1 as Int64))
            again = peer.replies().contains { $0.payload == [1, 2, 3] }
        }
        #expect(again, "what the proxy lost comes again at the data level")
    }

    /// "Options echoed by a host or proxy": our own options, thrown back at us, mean nothing.
    @Test func reflectedOptionsAreRefused() throws {
        // The whole SYN/ACK handshake of a version 0 peer with our own key.
        let zero = PairedHosts(
            client: {
                var c = ConnectionConfiguration()
                c.multipath = .version0
                return c
            }(),
            server: {
                var c = ConnectionConfiguration()
                c.multipath = .off
                return c
            }())
        _ = try zero.server.listen(on: Endpoint(.anyIPv4, 80), now: zero.now)
        var option: [UInt8] = []
        zero.tamper = { packet in
            guard let segment = packet.segment, segment.flags.contains(.syn) else { return packet.bytes }
            if packet.fromClient {
                _ = RawEdit.changingOption(packet.bytes) { option = $0 }
                return packet.bytes
            }
            return appendingOption(packet.bytes, option)
        }
        let id = try zero.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: zero.now)
        zero.run(for: .seconds(1 as Int64))
        #expect(option.count == 12)
        #expect(zero.snapshot(client: true, id)?.fallback == FallbackReason.reflectedKey.rawValue)
        // In the third ACK of version 1.
        let peer = ScriptedPeer()
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        var options = OptionBlock()
        options.append(.capable(MPCapable()))
        peer.send(.syn, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, options: options)
        let answer = try #require(peer.replies().first)
        guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: capable.senderKey, receiverKey: capable.senderKey)))
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        peer.ack(options: options)
        let accepted = try #require(peer.accept(listener))
        #expect(peer.snapshot(accepted)?.fallback == FallbackReason.reflectedKey.rawValue)
    }

    /// Every option of an established connection comes back as it went out, in a segment that is acceptable otherwise.
    @Test func aReflectingPathDoesNoHarm() throws {
        let pair = Self.pair(paths: 2)
        var last: [Bool: [UInt8]] = [:]
        pair.tamper = { packet in
            guard let segment = packet.segment, !segment.flags.contains(.syn), !segment.flags.contains(.rst) else {
                return packet.bytes
            }
            // Beside its own option each bare ACK carries the last one of the other direction.
            var option: [UInt8] = []
            _ = RawEdit.changingOption(packet.bytes) { option = $0 }
            let reflected = last[!packet.fromClient]
            if !option.isEmpty { last[packet.fromClient] = option }
            guard segment.payloadLength == 0, let reflected, segment.options.multipath.other == nil else {
                return packet.bytes
            }
            return appendingOption(packet.bytes, reflected)
        }
        let exchange = try Exchange.run(pair)
        #expect(exchange.up == Self.whole && exchange.down == Self.whole)
        #expect(exchange.clientSnapshot?.closeReason == .finished && exchange.serverSnapshot?.closeReason == .finished)
    }

    /// The nonce of a join thrown back is refused, whatever the HMAC.
    @Test func aReflectedNonceIsRefused() throws {
        let pair = Self.pair(paths: 2)
        var nonce: ArraySlice<UInt8> = []
        pair.tamper = { packet in
            guard let segment = packet.segment, segment.flags.contains(.syn),
                case .join? = segment.options.multipath.other
            else { return packet.bytes }
            return RawEdit.changingOption(packet.bytes) { option in
                if packet.fromClient { nonce = option[8..<12] } else { option.replaceSubrange(12..<16, with: nonce) }
            }
        }
        let exchange = try Exchange.run(pair)
        #expect(exchange.up == Self.whole)
        #expect(pair.client.counters[.MPJoinSynAckHMacFailure] >= 1 && pair.server.counters[.MPJoinAckRx] == 0)
    }

    //= RFC 8684 §3.1 MP_CAPABLE with both keys is repeated until a DATA_ACK shows that they arrived
    @Test func keysAreRepeatedUntilADataAck() throws {
        let pair = Self.pair(paths: 1)
        _ = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        var lost = 0
        pair.tamper = { packet in
            guard packet.fromClient, packet.segment?.flags.contains(.syn) == false, lost < 3 else {
                return packet.bytes
            }
            lost += 1
            return nil
        }
        pair.run(for: .milliseconds(12))
        _ = pair.write(client: true, id, Self.whole)
        pair.run(for: .seconds(5 as Int64))
        let answered = pair.sent.firstIndex { !$0.fromClient && $0.segment?.options.multipath.signal?.dataAck != nil }
        let end = try #require(answered)
        let before = pair.sent[..<end].filter { $0.fromClient && $0.segment?.flags.contains(.syn) == false }
        #expect(before.count >= 4)
        let firstBytes = before.compactMap(\.segment).filter {
            $0.payloadLength == 0 || $0.sequence == before.compactMap(\.segment).first?.sequence
        }
        for segment in firstBytes {
            guard case .capable(let capable)? = segment.options.multipath.other else {
                Issue.record("no MP_CAPABLE")
                continue
            }
            #expect(capable.senderKey != nil && capable.receiverKey != nil)
        }
        #expect(pair.snapshot(client: true, id)?.isMultipath == true)
    }

    /// "4th ACK missing on join": no data before it, the third ACK comes again, no fallback.
    @Test func noDataBeforeTheFourthAck() throws {
        let pair = Self.pair(paths: 2)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        let through = pair.now + .seconds(2 as Int64)
        var dropped = 0
        var early = 0
        var later = 0
        pair.tamper = { packet in
            guard packet.interface.rawValue == 1, let segment = packet.segment, !segment.flags.contains(.syn) else {
                return packet.bytes
            }
            if packet.fromClient {
                if segment.payloadLength > 0 { if pair.now < through { early += 1 } else { later += 1 } }
                return packet.bytes
            }
            guard pair.now < through else { return packet.bytes }
            dropped += 1
            return nil
        }
        var sent = 0
        var received: [UInt8] = []
        let end = pair.now + .seconds(8 as Int64)
        var server: ConnectionID?
        while pair.now < end {
            sent += pair.write(client: true, id, PairedHosts.pattern(sent, min(2_000, 4_000_000 - sent)))
            pair.run(for: .milliseconds(5))
            if server == nil { server = pair.server.accept(listener) }
            if let server { received += pair.read(client: false, server).bytes }
        }
        #expect(received.count > 100_000 && received == PairedHosts.pattern(0, received.count))
        #expect(dropped >= 3)
        #expect(early == 0, "data before the fourth ACK")
        #expect(later > 0, "data after it")
        #expect(pair.client.counters[.thirdAckRetransmitted] >= 2)
        #expect(pair.snapshot(client: true, id)?.isMultipath == true)
    }

    /// "MP_CAPABLE + data length": 22 bytes and 24, with checksums and without.
    @Test(arguments: [false, true], [false, true])
    func capableWithDataOf22And24Bytes(negotiated: Bool, carried: Bool) throws {
        var settings = ConnectionConfiguration()
        settings.requestChecksum = negotiated
        let peer = ScriptedPeer(settings: settings)
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        var options = OptionBlock()
        options.append(.capable(MPCapable()))
        peer.send(.syn, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, options: options)
        let answer = try #require(peer.replies().first)
        guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
        #expect(capable.checksumRequired == negotiated)
        peer.hostKey = try #require(capable.senderKey)
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        let payload: [UInt8] = [7, 8, 9, 10]
        let checksum = InternetChecksum.dataSequenceChecksum(
            dataSequence: KeyMaterial.initialDataSequence(of: peer.key) &+ 1, subflowSequence: 1, length: 4,
            payloadSum: InternetChecksum.sum(payload.rawBytes))
        options = OptionBlock()
        options.append(
            .capable(
                MPCapable(
                    senderKey: peer.key, receiverKey: peer.hostKey, dataLength: 4, checksum: carried ? checksum : nil)))
        peer.data(payload, options: options)
        let id = try #require(peer.accept(listener))
        #expect(peer.read(id) == payload)
        #expect(peer.snapshot(id)?.isMultipath == true)
    }

    /// "NAT idle timeout": no subflow is silent for 14 minutes.
    @Test func idleSubflowsAreKeptAlive() throws {
        let pair = Self.pair(paths: 2)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        _ = pair.write(client: true, id, [1])
        pair.run(for: .seconds(5 as Int64))
        let accepted = pair.server.accept(listener)
        #expect(accepted != nil)
        pair.sent = []
        pair.run(for: .seconds(3600 as Int64))
        for interface in Int32(0)...1 {
            var last = pair.now - .seconds(3600 as Int64)
            var longest = TimeSpan.zero
            for packet in pair.sent where packet.interface.rawValue == interface {
                longest = max(longest, packet.time - last)
                last = packet.time
            }
            #expect(longest > .zero && longest < .seconds(14 * 60 as Int64))
        }
    }

    /// "iOS/macOS peer": nothing depends on REMOVE_ADDR or MP_FASTCLOSE being obeyed: RST goes out on every subflow.
    @Test func abortResetsEverySubflow() throws {
        let pair = Self.pair(paths: 2)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        _ = pair.write(client: true, id, [1])
        pair.run(for: .seconds(2 as Int64))
        let found = pair.server.accept(listener)
        let accepted = try #require(found)
        pair.tamper = { $0.segment?.flags.contains(.rst) == true ? RawEdit.strippingOptions($0.bytes) : $0.bytes }
        pair.sent = []
        pair.client.abort(id, now: pair.now)
        pair.run(for: .seconds(10 as Int64))
        let resets = pair.sent.filter { $0.fromClient && $0.segment?.flags.contains(.rst) == true }
        #expect(Set(resets.prefix(4).map(\.interface)).count == 2)
        #expect(pair.snapshot(client: false, accepted)?.closeReason == .reset)
    }
}
