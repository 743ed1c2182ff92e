import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// Every way back to TCP in mid-connection (RFC 8684 §3.7): whole transfers through a path that meddles.
@Suite struct FallbackTests {
    private static let whole = PairedHosts.pattern(0, 200_000)

    private static func pair(
        _ mode: MultipathMode, paths: Int, checksum: Bool = true, refuses: Bool = false, seed: UInt64 = 1
    ) -> PairedHosts {
        var settings = ConnectionConfiguration()
        settings.multipath = mode
        settings.requestChecksum = checksum
        settings.refusesDamage = refuses
        settings.acceptUnprovenAddresses = true
        let pair = PairedHosts(seed: seed, paths: paths, client: settings, server: settings)
        pair.keepsPackets = true
        return pair
    }

    /// Inverts the first payload byte of the client's segments on interface 0, from the `first`th data segment on.
    private static func damage(_ pair: PairedHosts, first: Int = 3, count: Int = .max) {
        var seen = 0
        pair.tamper = { packet in
            guard packet.fromClient, packet.interface.rawValue == 0, let segment = packet.segment,
                segment.payloadLength > 20
            else { return packet.bytes }
            seen += 1
            guard seen >= first, seen - first < count else { return packet.bytes }
            return RawEdit.changingPayload(packet.bytes) { $0[$0.startIndex] ^= 0xff }
        }
    }

    /// One path: MP_FAIL, infinite mapping, and the stream goes on as TCP with what the path makes of it.
    @Test(arguments: [MultipathMode.version1, .version0], [UInt64(1), 2, 3, 4, 5, 6])
    func damageOnTheOnlyPathFallsBack(mode: MultipathMode, seed: UInt64) throws {
        let pair = Self.pair(mode, paths: 1, seed: seed)
        pair.loss = seed > 3 ? 0.02 : 0
        Self.damage(pair)
        let exchange = try Exchange.run(pair)
        #expect(exchange.down == Self.whole)
        #expect(exchange.up.count == Self.whole.count)
        let differing = zip(exchange.up, Self.whole).filter { $0 != $1 }
        #expect(!differing.isEmpty && differing.allSatisfy { $0 == ~$1 })
        #expect(exchange.upEnded && exchange.downEnded)
        #expect(pair.server.counters[.DataCsumErr] == 1)
        #expect(pair.server.counters[.DSSCorruptionFallback] == 1)
        #expect(pair.server.counters[.MPFailTx] >= 1 && pair.client.counters[.MPFailRx] >= 1)
        #expect(pair.server.counters[.InfiniteMapRx] == 1)
        #expect(exchange.serverSnapshot?.fallback == FallbackReason.checksumFailed.rawValue)
        #expect(exchange.clientSnapshot?.fallback == FallbackReason.peerSentFail.rawValue)
        for snapshot in [exchange.clientSnapshot, exchange.serverSnapshot] {
            #expect(snapshot?.isMultipath == false)
            #expect(snapshot?.closeReason == .finished)
        }
    }

    @Test func damageIsRefusedWhereThatIsAskedFor() throws {
        let pair = Self.pair(.version1, paths: 1, refuses: true)
        Self.damage(pair)
        let exchange = try Exchange.run(pair, seconds: 20)
        #expect(exchange.up == Array(Self.whole.prefix(exchange.up.count)))
        #expect(exchange.up.count < Self.whole.count)
        #expect(!exchange.upEnded)
        #expect(pair.server.counters[.DSSCorruptionReset] >= 1)
    }

    /// Two paths: the damaged one is closed with MP_FAIL, and every byte comes over the other.
    @Test(arguments: [MultipathMode.version1, .version0], [UInt64(1), 2, 3])
    func damageOnOneOfTwoPathsIsRepaired(mode: MultipathMode, seed: UInt64) throws {
        let pair = Self.pair(mode, paths: 2, seed: seed)
        // Late enough for the join to be there.
        Self.damage(pair, first: 150)
        let whole = PairedHosts.pattern(0, 1_000_000)
        let exchange = try Exchange.run(pair, bytes: whole.count)
        #expect(exchange.up == whole && exchange.down == whole)
        #expect(pair.server.counters[.DSSCorruptionReset] >= 1)
        #expect(pair.client.counters[.MPFailRx] >= 1)
        #expect(exchange.clientSnapshot?.isMultipath == true)
    }

    /// Options vanish from everything after the handshake, in one direction or both.
    @Test(arguments: [[true], [false], [true, false]], [MultipathMode.version1, .version0])
    func strippedOptionsFallBack(directions: [Bool], mode: MultipathMode) throws {
        for checksum in [false, true] {
            let pair = Self.pair(mode, paths: 1, checksum: checksum)
            pair.tamper = { packet in
                guard directions.contains(packet.fromClient), let segment = packet.segment,
                    !segment.flags.contains(.syn)
                else { return packet.bytes }
                return RawEdit.strippingOptions(packet.bytes)
            }
            let exchange = try Exchange.run(pair)
            #expect(exchange.up == Self.whole && exchange.down == Self.whole)
            #expect(exchange.clientSnapshot?.isMultipath == false)
            #expect(exchange.clientSnapshot?.closeReason == .finished)
            #expect(exchange.serverSnapshot?.closeReason == .finished)
        }
    }

    /// Options vanish in mid-connection on the only path (RFC 8684 §3.7: a re-routed path).
    @Test(arguments: [5, 20, 60], [MultipathMode.version1, .version0])
    func optionsStrippedLaterNeitherHangNorLie(after: Int, mode: MultipathMode) throws {
        for direction in [true, false] {
            let pair = Self.pair(mode, paths: 1, checksum: false)
            var seen = 0
            pair.tamper = { packet in
                guard packet.fromClient == direction, let segment = packet.segment, !segment.flags.contains(.syn) else {
                    return packet.bytes
                }
                seen += 1
                return seen > after ? RawEdit.strippingOptions(packet.bytes) : packet.bytes
            }
            let exchange = try Exchange.run(pair, seconds: 200)
            let isWhole = exchange.up == Self.whole && exchange.down == Self.whole
            let isRefused =
                exchange.clientSnapshot?.closeReason?.isClean == false
                && exchange.up == Array(Self.whole.prefix(exchange.up.count))
                && exchange.down == Array(Self.whole.prefix(exchange.down.count))
            #expect(isWhole || isRefused, "\(direction) \(exchange.up.count) \(exchange.down.count)")
            if isWhole { #expect(exchange.clientSnapshot?.fallback != nil || exchange.serverSnapshot?.fallback != nil) }
        }
    }
}
