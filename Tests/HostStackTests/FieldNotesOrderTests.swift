import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// "Connect, close and reset in every order" (field notes: close races): random calls on both ends, at random times, over
/// paths that lose; in the end nothing is left of any of it.
@Suite struct FieldNotesOrderTests {
    private struct World {
        let pair: PairedHosts
        var random: RandomSource
        var clients: [ConnectionID] = []
        var servers: [ConnectionID] = []
        var listener: ListenerID?

        init(seed: UInt64) {
            var settings = ConnectionConfiguration()
            settings.multipath = [.automatic, .version1, .version0, .off][Int(seed % 4)]
            settings.pathUse = PathUse.allCases[Int(seed / 4 % 4)]
            settings.timeWait = .seconds(2 as Int64)
            settings.requestChecksum = seed % 3 == 0
            settings.acceptUnprovenAddresses = true
            var server = settings
            server.multipath = seed % 5 == 0 ? .version1 : .automatic
            pair = PairedHosts(seed: seed, paths: 2, client: settings, server: server)
            random = RandomSource(seed: seed ^ 0xabcd)
            pair.loss = [0, 0.02, 0.2][Int(seed % 3)]
        }

        mutating func pick(_ ids: [ConnectionID]) -> ConnectionID? {
            ids.isEmpty ? nil : ids[Int(random.next() % UInt64(ids.count))]
        }

        mutating func step() {
            let isClient = random.chance(0.5)
            let id = pick(isClient ? clients : servers)
            switch random.next() % 14 {
            case 0, 1:
                if let fresh = try? pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now) {
                    clients.append(fresh)
                }
            case 2:
                if listener == nil {
                    listener = try? pair.server.listen(on: Endpoint(.anyIPv4, 80), backlog: 4, now: pair.now)
                }
            case 3:
                if let listener, random.chance(0.3) {
                    pair.server.closeListener(listener, now: pair.now)
                    self.listener = nil
                }
            case 4, 5:
                if let listener, let fresh = pair.server.accept(listener) { servers.append(fresh) }
            case 6, 7:
                if let id { _ = pair.write(client: isClient, id, PairedHosts.pattern(0, Int(random.next() % 30_000))) }
            case 8: if let id { _ = pair.read(client: isClient, id) }
            case 9:
                if let id {
                    if isClient {
                        pair.client.finishWriting(id, now: pair.now)
                    } else {
                        pair.server.finishWriting(id, now: pair.now)
                    }
                }
            case 10:
                if let id {
                    if isClient { pair.client.abort(id, now: pair.now) } else { pair.server.abort(id, now: pair.now) }
                }
            case 11:
                if let id {
                    if isClient {
                        pair.client.release(id, now: pair.now)
                        clients.removeAll { $0 == id }
                    } else {
                        pair.server.release(id, now: pair.now)
                        servers.removeAll { $0 == id }
                    }
                }
            case 12: changePath()
            default:
                if let id, isClient {
                    pair.client.setPathUse(id, PathUse.allCases[Int(random.next() % 4)], now: pair.now)
                }
            }
            if random.chance(0.6) { pair.run(for: .milliseconds(Int64(random.next() % 120))) }
            if random.chance(0.03) { pair.run(for: .seconds(Int64(random.next() % 40))) }
        }

        private mutating func changePath() {
            let path = UInt8(1 + random.next() % 2)
            switch random.next() % 3 {
            case 0: pair.dead = pair.dead.isEmpty ? [Int32(path) - 1] : []
            case 1: pair.client.removeAddress(IPAddress(10, 0, path, 1), now: pair.now)
            default:
                pair.client.addAddress(IPAddress(10, 0, path, 1), prefixLength: 24, to: InterfaceID(Int32(path) - 1))
                pair.client.announceAddresses(now: pair.now)
            }
        }

        mutating func end() {
            if let listener { pair.server.closeListener(listener, now: pair.now) }
            for id in clients { pair.client.release(id, now: pair.now) }
            for id in servers { pair.server.release(id, now: pair.now) }
            pair.run(for: .seconds(900 as Int64))
        }
    }

    @Test(arguments: UInt64(0)..<120)
    func nothingIsLeft(seed: UInt64) {
        var world = World(seed: seed)
        for _ in 0..<80 { world.step() }
        world.end()
        let pair = world.pair
        for isClient in [true, false] {
            let left = isClient ? pair.client.occupancy : pair.server.occupancy
            let deadline = isClient ? pair.client.nextDeadline : pair.server.nextDeadline
            let established = isClient ? pair.client.counters[.MPCurrEstab] : pair.server.counters[.MPCurrEstab]
            #expect(left.connections == 0 && left.flows == 0 && left.tokens == 0, "seed \(seed) \(isClient) \(left)")
            #expect(left.halfOpen == 0 && left.halfOpenJoins == 0, "seed \(seed) \(isClient) \(left)")
            #expect(established == 0, "seed \(seed) \(isClient) \(established)")
            #expect(deadline == .distantFuture, "seed \(seed) \(isClient) a timer is left")
        }
    }
}
