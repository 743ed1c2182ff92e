import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// How paths are used together, and what becomes of a connection that has none.
@Suite struct PathUseTests {
    private static let port = UInt16(80)

    /// A client and a server, joined over two paths as far as `use` wants.
    private struct World {
        let pair: PairedHosts
        let client: ConnectionID
        let server: ConnectionID
        var received: [UInt8] = []
        var sent = 0

        init(
            _ use: PathUse, mode: MultipathMode = .version1, change: (inout ConnectionConfiguration) -> Void = { _ in }
        )
            throws
        {
            var settings = ConnectionConfiguration()
            settings.multipath = mode
            settings.pathUse = use
            settings.acceptUnprovenAddresses = true
            change(&settings)
            pair = PairedHosts(paths: 2, client: settings, server: settings)
            let listener = try pair.server.listen(on: Endpoint(.anyIPv4, port), now: pair.now)
            client = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), port), now: pair.now)
            _ = pair.write(client: true, client, PairedHosts.pattern(0, 1000))
            sent = 1000
            pair.run(for: .seconds(1 as Int64))
            let accepted = pair.server.accept(listener)
            server = try #require(accepted)
            collect()
        }

        mutating func collect() { received += pair.read(client: false, server).bytes }

        /// Writes that many more bytes and gives them time.
        mutating func send(_ count: Int, during span: TimeSpan = .seconds(2 as Int64)) {
            let end = pair.now + span
            let target = sent + count
            while pair.now < end {
                if sent < target {
                    sent += pair.write(client: true, client, PairedHosts.pattern(sent, min(20_000, target - sent)))
                }
                collect()
                if !pair.step(until: end) { break }
            }
            collect()
        }

        var isIntact: Bool { received == PairedHosts.pattern(0, sent) }
        var subflows: [SubflowSnapshot] { pair.snapshot(client: true, client)?.subflows ?? [] }
        func live(on interface: Int32) -> [SubflowSnapshot] {
            subflows.filter { $0.interface.rawValue == interface && $0.state == "established" }
        }
        func bytes(on interface: Int32) -> UInt64 {
            subflows.filter { $0.interface.rawValue == interface }.reduce(0) { $0 + $1.bytesSent }
        }
    }

    @Test func handoverKeepsTheOtherAsBackup() throws {
        var world = try World(.handover)
        world.send(300_000)
        #expect(world.isIntact)
        #expect(world.live(on: 1).count == 1 && world.live(on: 1).allSatisfy(\.backup))
        #expect(world.bytes(on: 1) == 0)
        //= RFC 8684 §3.3.8 the peer honours it for its own sending
        #expect(world.pair.server.counters[.MPJoinSynBackupRx] == 1)
        world.pair.dead = [0]
        world.send(300_000, during: .seconds(5 as Int64))
        #expect(world.isIntact)
        #expect(world.bytes(on: 1) >= 300_000)
    }

    @Test func singleJoinsOnlyAfterTheFirstHasFailed() throws {
        var world = try World(.single)
        world.send(100_000)
        #expect(world.isIntact)
        #expect(world.subflows.count == 1)
        world.pair.dead = [0]
        world.send(100_000, during: .seconds(20 as Int64))
        #expect(world.isIntact)
        #expect(world.live(on: 1).count == 1 && world.live(on: 0).isEmpty)
    }

    @Test func interactiveAddsAPathWhenTheFirstIsLossy() throws {
        var world = try World(.interactive)
        world.send(100_000)
        #expect(world.isIntact)
        #expect(world.subflows.count == 1)
        world.pair.loss = 0.1
        world.send(300_000, during: .seconds(20 as Int64))
        world.pair.loss = 0
        world.send(1000)
        #expect(world.isIntact)
        #expect(world.subflows.count >= 2)
    }

    @Test func theUseCanChangeWhileConnected() throws {
        var world = try World(.aggregate)
        world.send(300_000)
        #expect(world.live(on: 0).count == 1 && world.live(on: 1).count == 1)
        world.pair.client.setPathUse(world.client, .handover, now: world.pair.now)
        world.pair.run(for: .milliseconds(200))
        #expect(world.pair.client.counters[.MPPrioTx] == 1 && world.pair.server.counters[.MPPrioRx] == 1)
        #expect(world.subflows.filter(\.backup).count == 1)
        world.pair.client.setPathUse(world.client, .single, now: world.pair.now)
        world.send(100_000)
        #expect(world.isIntact)
        #expect(world.live(on: 0).count + world.live(on: 1).count == 1)
        world.pair.client.setPathUse(world.client, .aggregate, now: world.pair.now)
        world.send(300_000, during: .seconds(10 as Int64))
        #expect(world.isIntact)
        #expect(world.live(on: 0).count + world.live(on: 1).count == 2)
    }

    /// The only interface goes and comes back with another address; the connection goes on.
    @Test(arguments: [MultipathMode.version1, .version0])
    func aConnectionWithoutPathsWaits(mode: MultipathMode) throws {
        var world = try World(.aggregate, mode: mode)
        world.send(50_000)
        for path in UInt8(1)...2 { world.pair.client.removeAddress(IPAddress(10, 0, path, 1), now: world.pair.now) }
        world.pair.run(for: .seconds(20 as Int64))
        #expect(world.pair.snapshot(client: true, world.client)?.closeReason == nil)
        world.sent += world.pair.write(client: true, world.client, PairedHosts.pattern(world.sent, 5000))
        world.pair.client.addAddress(IPAddress(10, 0, 1, 77), prefixLength: 24, to: InterfaceID(0))
        world.pair.client.announceAddresses(now: world.pair.now)
        world.send(50_000, during: .seconds(10 as Int64))
        #expect(world.isIntact)
        #expect(world.live(on: 0).map(\.local.address) == [IPAddress(10, 0, 1, 77)])
    }

    @Test(arguments: [0, 7, 60])
    func itEndsWhenItsTimeIsOver(seconds: Int64) throws {
        var world = try World(.aggregate) { $0.pathlessTimeout = .seconds(seconds) }
        world.send(50_000)
        let began = world.pair.now
        for path in UInt8(1)...2 { world.pair.client.removeAddress(IPAddress(10, 0, path, 1), now: world.pair.now) }
        let (pair, client) = (world.pair, world.client)
        pair.run(for: .seconds(100 as Int64)) { pair.snapshot(client: true, client)?.closeReason != nil }
        #expect(pair.snapshot(client: true, client)?.closeReason == .noPath)
        let waited = pair.now - began
        #expect(waited >= .seconds(seconds) && waited <= .seconds(seconds + 1))
    }

    /// The peer's host has forgotten the connection (killed, rebooted): its RST, and the RST to the join that follows.
    @Test func aPeerThatForgotIsAnErrorWithinSeconds() throws {
        var world = try World(.aggregate)
        world.send(50_000)
        let pair = world.pair
        pair.server.abort(world.server, now: pair.now)
        // Neither MP_FASTCLOSE nor reason reaches us: only bare RSTs.
        pair.tamper = { packet in
            packet.segment?.flags.contains(.rst) == true ? RawEdit.strippingOptions(packet.bytes) : packet.bytes
        }
        let began = pair.now
        let client = world.client
        pair.run(for: .seconds(100 as Int64)) { pair.snapshot(client: true, client)?.closeReason != nil }
        #expect(pair.snapshot(client: true, client)?.closeReason == .reset)
        #expect(pair.now - began <= .seconds(6 as Int64))
    }
}
