import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// Two connections' worth of configuration and one transfer each way.
struct Exchange {
    var pair: PairedHosts
    var client: ConnectionID
    var server: ConnectionID?
    var up: [UInt8] = []
    var down: [UInt8] = []
    var upEnded = false
    var downEnded = false

    /// Opens, sends `bytes` each way, ends both directions and runs until both are over or time is.
    static func run(
        _ pair: PairedHosts, bytes: Int = 200_000, seconds: Int64 = 60, port: UInt16 = 80
    ) throws -> Exchange {
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, port), now: pair.now)
        let client = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), port), now: pair.now)
        var exchange = Exchange(pair: pair, client: client)
        exchange.drive(listener, bytes: bytes, seconds: seconds)
        pair.server.closeListener(listener, now: pair.now)
        return exchange
    }

    private mutating func drive(_ listener: ListenerID, bytes: Int, seconds: Int64) {
        let data = PairedHosts.pattern(0, bytes)
        var sent = (up: 0, down: 0)
        let end = pair.now + .seconds(seconds)
        while pair.now < end {
            if server == nil { server = pair.server.accept(listener) }
            sent.up = Self.push(pair, true, client, data, from: sent.up)
            if let server {
                sent.down = Self.push(pair, false, server, data, from: sent.down)
                let got = pair.read(client: false, server)
                up += got.bytes
                upEnded = upEnded || got.ended
            }
            let got = pair.read(client: true, client)
            down += got.bytes
            downEnded = downEnded || got.ended
            if upEnded, downEnded { break }
            _ = pair.step(until: end)
        }
        // The closing handshake.
        pair.run(for: .seconds(2 as Int64))
    }

    private static func push(
        _ pair: PairedHosts, _ isClient: Bool, _ id: ConnectionID, _ data: [UInt8], from: Int
    ) -> Int {
        guard from < data.count else { return from }
        let next = from + pair.write(client: isClient, id, Array(data[from..<min(data.count, from + 50_000)]))
        if next == data.count {
            if isClient {
                pair.client.finishWriting(id, now: pair.now)
            } else {
                pair.server.finishWriting(id, now: pair.now)
            }
        }
        return next
    }

    var clientSnapshot: ConnectionSnapshot? { pair.snapshot(client: true, client) }
    var serverSnapshot: ConnectionSnapshot? { server.flatMap { pair.snapshot(client: false, $0) } }
}

/// Version 0 (RFC 6824), and the choice between the versions.
@Suite struct VersionZeroTests {
    private static func settings(_ mode: MultipathMode) -> ConnectionConfiguration {
        var settings = ConnectionConfiguration()
        settings.multipath = mode
        settings.acceptUnprovenAddresses = true
        return settings
    }

    private static func pair(_ client: MultipathMode, _ server: MultipathMode, seed: UInt64 = 1) -> PairedHosts {
        let pair = PairedHosts(seed: seed, client: settings(client), server: settings(server))
        pair.keepsPackets = true
        return pair
    }

    private static let whole = PairedHosts.pattern(0, 200_000)

    @Test(arguments: [0.0, 0.02], [UInt64(1), 2, 3, 4])
    func twoSubflowsBothWays(loss: Double, seed: UInt64) throws {
        let pair = Self.pair(.version0, .automatic, seed: seed)
        pair.loss = loss
        let exchange = try Exchange.run(pair)
        #expect(exchange.up == Self.whole && exchange.down == Self.whole)
        for snapshot in [exchange.clientSnapshot, exchange.serverSnapshot] {
            #expect(snapshot?.isMultipath == true)
            #expect(snapshot?.version == 0)
            //= RFC 6824 §3.1 checksums are expected by default
            #expect(snapshot?.checksum == true)
            #expect((snapshot?.subflows.filter { $0.bytesSent > 0 }.count ?? 0) >= 2)
        }
        #expect(pair.client.counters[.MPJoinSynAckRx] >= 1)
        #expect(pair.server.counters[.MPJoinAckRx] >= 1)
        #expect(pair.client.counters[.MPJoinSynAckHMacFailure] == 0)
        #expect(pair.server.counters[.DataCsumErr] == 0)
    }

    @Test func theHandshakeCarriesKeysInEverySegment() throws {
        let pair = Self.pair(.version0, .version0)
        _ = try Exchange.run(pair, bytes: 1000)
        let capables = pair.sent.compactMap { packet -> (MPCapable, TCPFlags)? in
            guard let segment = packet.segment, case .capable(let capable)? = segment.options.multipath.other else {
                return nil
            }
            return (capable, segment.flags)
        }
        let syn = try #require(capables.first { $0.1 == .syn }?.0)
        let synAck = try #require(capables.first { $0.1 == [.syn, .ack] }?.0)
        let third = try #require(capables.first { !$0.1.contains(.syn) }?.0)
        #expect(syn.version == 0 && syn.senderKey != nil && syn.receiverKey == nil && syn.checksumRequired)
        #expect(synAck.version == 0 && synAck.senderKey != nil && synAck.receiverKey == nil)
        #expect(third.senderKey == syn.senderKey && third.receiverKey == synAck.senderKey && third.dataLength == nil)
        // No option of version 1 ever: MP_TCPRST, ADD_ADDR with HMAC or echo, MP_CAPABLE with data.
        for packet in pair.sent {
            guard let options = packet.segment?.options.multipath else { continue }
            for option in [options.other, options.second] {
                switch option {
                case .reset: Issue.record("MP_TCPRST in version 0")
                case .addAddress(let address): #expect(address.form == .zero && address.hmac == nil && !address.isEcho)
                default: break
                }
            }
        }
    }

    /// The third ACK is lost; the first data's DSS stands for it.
    @Test func aLostThirdAckIsReplacedByData() throws {
        let pair = Self.pair(.version0, .version0)
        var dropped = false
        pair.tamper = { packet in
            guard packet.fromClient, !dropped, let segment = packet.segment, !segment.flags.contains(.syn) else {
                return packet.bytes
            }
            dropped = true
            return nil
        }
        let exchange = try Exchange.run(pair)
        #expect(dropped)
        #expect(exchange.up == Self.whole && exchange.down == Self.whole)
        #expect(exchange.serverSnapshot?.isMultipath == true)
    }

    /// A version 0 listener ignores the keyless option and answers as TCP; the next connection begins with version 0.
    @Test func automaticLearnsThatThePeerSpeaksVersionZero() throws {
        let pair = Self.pair(.automatic, .version0)
        let first = try Exchange.run(pair, port: 80)
        #expect(first.up == Self.whole && first.down == Self.whole)
        #expect(first.clientSnapshot?.isMultipath == false)
        #expect(pair.client.rememberedPeers.map(\.kind) == [.triesVersionZero])
        let second = try Exchange.run(pair, port: 81)
        #expect(second.up == Self.whole && second.down == Self.whole)
        #expect(second.clientSnapshot?.version == 0)
        #expect(pair.client.rememberedPeers.map(\.kind) == [.speaksVersionZero])
        pair.client.forgetPeers()
        #expect(pair.client.rememberedPeers.isEmpty)
    }

    @Test func aPeerWithoutMultipathIsNotTriedForEver() throws {
        let pair = Self.pair(.automatic, .off)
        for (port, kind) in [(UInt16(80), PeerRecord.Kind.triesVersionZero), (81, .plain), (82, .plain)] {
            let exchange = try Exchange.run(pair, bytes: 5000, port: port)
            #expect(exchange.up.count == 5000 && exchange.down.count == 5000)
            #expect(pair.client.rememberedPeers.map(\.kind) == [kind], "port \(port)")
        }
    }

    /// SYNs with MP_CAPABLE vanish: the fourth goes without, and the next connection does not offer it at all.
    @Test func vanishingCapablesAreRemembered() throws {
        let pair = Self.pair(.automatic, .automatic)
        pair.tamper = { packet in
            guard let segment = packet.segment, segment.flags.contains(.syn),
                case .capable? = segment.options.multipath.other
            else { return packet.bytes }
            return nil
        }
        let first = try Exchange.run(pair, bytes: 5000, port: 80)
        #expect(first.up.count == 5000)
        #expect(first.clientSnapshot?.fallback == FallbackReason.synUnanswered.rawValue)
        #expect(pair.client.rememberedPeers.map(\.kind) == [.capableVanishes])
        let began = pair.now
        let second = try Exchange.run(pair, bytes: 5000, port: 81)
        #expect(second.up.count == 5000)
        #expect(second.clientSnapshot?.fallback == FallbackReason.remembered.rawValue)
        // Without the three SYNs that nobody answers; what remains is the closing handshake.
        #expect(pair.now - began < .seconds(3 as Int64))
    }

    @Test func versionOneAndZeroDoNotMix() throws {
        for (client, server) in [(MultipathMode.version1, MultipathMode.version0), (.version0, .version1)] {
            let exchange = try Exchange.run(Self.pair(client, server))
            #expect(exchange.up == Self.whole && exchange.down == Self.whole)
            #expect(exchange.clientSnapshot?.isMultipath == false)
            #expect(exchange.serverSnapshot?.isMultipath == false)
        }
    }

    /// Addresses without proof are not joined unless that is asked for.
    @Test(arguments: [false, true])
    func announcedAddressesNeedTheSwitch(accepts: Bool) throws {
        let pair = Self.pair(.version0, .version0)
        var settings = Self.settings(.version0)
        settings.acceptUnprovenAddresses = accepts
        settings.fullMesh = true
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(
            to: Endpoint(IPAddress(10, 0, 1, 2), 80), configuration: settings, now: pair.now)
        _ = pair.write(client: true, id, [1, 2, 3])
        pair.run(for: .seconds(2 as Int64))
        let accepted = pair.server.accept(listener)
        #expect(accepted != nil)
        #expect(pair.server.counters[.AddAddrTx] >= 1)
        let remotes = Set(pair.snapshot(client: true, id)?.subflows.map(\.remote.address) ?? [])
        #expect(remotes.contains(IPAddress(10, 0, 2, 2)) == accepts)
        #expect((pair.client.counters[.addAddrUnproven] > 0) == !accepts)
    }

    /// MP_FASTCLOSE of version 0 stands on an ACK.
    @Test func abortTellsThePeer() throws {
        let pair = Self.pair(.version0, .version0)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        _ = pair.write(client: true, id, [1, 2, 3])
        pair.run(for: .seconds(1 as Int64))
        let found = pair.server.accept(listener)
        let accepted = try #require(found)
        pair.client.abort(id, now: pair.now)
        pair.run(for: .seconds(1 as Int64))
        #expect(pair.snapshot(client: false, accepted)?.closeReason == .fastClosed)
        let closes = pair.sent.filter {
            if case .fastClose? = $0.segment?.options.multipath.other { return true }
            return false
        }
        #expect(closes.count == 1)
        #expect(closes.allSatisfy { $0.segment?.flags.contains(.rst) == false })
    }

    //= RFC 6824 §3.1 B set: the SYN is silently ignored; RFC 8684 §3.1: only the option is
    @Test(arguments: [UInt8(0), 1])
    func extensibilityFlag(version: UInt8) throws {
        let pair = Self.pair(version == 0 ? .version0 : .version1, .automatic)
        pair.tamper = { packet in
            guard let segment = packet.segment, segment.flags == .syn, case .capable? = segment.options.multipath.other
            else { return packet.bytes }
            return RawEdit.changingOption(packet.bytes) { $0[3] |= 0x40 }
        }
        _ = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        _ = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        pair.run(for: .milliseconds(500))
        #expect((pair.server.counters[.synDroppedExtensibility] > 0) == (version == 0))
        let answered = pair.sent.contains { !$0.fromClient && $0.segment?.flags == [.syn, .ack] }
        #expect(answered == (version == 1))
    }
}
