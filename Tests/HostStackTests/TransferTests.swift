import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// Whole connections between two hosts.
@Suite struct TransferTests {
    struct Result {
        var clientGot: Int
        var serverGot: Int
        var clientSnapshot: ConnectionSnapshot
        var serverSnapshot: ConnectionSnapshot
    }

    /// Payloads that stay in the ring for a device that gathers: retransmissions and the ring's wrap included.
    @Test(arguments: UInt64(1)...6)
    func payloadsThatAreLentArriveWhole(seed: UInt64) throws {
        let pair = PairedHosts(seed: seed, maximumPacket: 65_535, lendsFrom: 4_000)
        pair.loss = seed % 2 == 0 ? 0.02 : 0
        let result = try Self.transfer(pair, bytes: 3_000_000)
        #expect(result.clientGot == 3_000_000 && result.serverGot == 3_000_000)
        #expect(pair.lentBytes > 1_500_000, "\(pair.lentBytes) bytes were lent")
    }

    /// A range that the ring no longer holds lends nothing and traps nowhere.
    @Test func nothingIsLentBeyondTheRing() throws {
        let pair = PairedHosts()
        _ = try Self.transfer(pair, bytes: 100_000)
        for offset in [Int64.min, -1, 0, 1, 1 << 40, .max] {
            for owner in [Int32.min, -1, 0, 7, .max] {
                let lent = LentPayload(owner: owner, length: 1 << 20, offset: offset)
                let count = pair.client.withLentPayload(lent) { first, second in first.byteCount + second.byteCount }
                #expect(count == 0)
            }
        }
    }

    /// Moves `bytes` both ways and closes; every byte is compared.
    static func transfer(_ pair: PairedHosts, bytes: Int, seconds: Int64 = 60) throws -> Result {
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        var accepted: ConnectionID?
        var clientSent = 0
        var serverSent = 0
        var clientGot = 0
        var serverGot = 0
        var intact = true
        var clientEnded = false
        var serverEnded = false
        pair.run(for: .seconds(seconds)) {
            if accepted == nil { accepted = pair.server.accept(listener) }
            if clientSent < bytes {
                clientSent += pair.write(
                    client: true, id, PairedHosts.pattern(clientSent, min(20_000, bytes - clientSent)))
                if clientSent == bytes { pair.client.finishWriting(id, now: pair.now) }
            }
            let atClient = pair.read(client: true, id)
            if atClient.bytes != PairedHosts.pattern(clientGot, atClient.bytes.count) { intact = false }
            clientGot += atClient.bytes.count
            clientEnded = clientEnded || atClient.ended
            if let accepted {
                if serverSent < bytes {
                    serverSent += pair.write(
                        client: false, accepted, PairedHosts.pattern(serverSent, min(20_000, bytes - serverSent)))
                    if serverSent == bytes { pair.server.finishWriting(accepted, now: pair.now) }
                }
                let atServer = pair.read(client: false, accepted)
                if atServer.bytes != PairedHosts.pattern(serverGot, atServer.bytes.count) { intact = false }
                serverGot += atServer.bytes.count
                serverEnded = serverEnded || atServer.ended
            }
            pair.flush()
            return clientEnded && serverEnded && pair.client.isDrained(id)
                && accepted.map { pair.server.isDrained($0) } == true
        }
        #expect(intact, "every byte in its place")
        let server = try #require(accepted)
        return Result(
            clientGot: clientGot, serverGot: serverGot, clientSnapshot: try #require(pair.snapshot(client: true, id)),
            serverSnapshot: try #require(pair.snapshot(client: false, server)))
    }

    @Test(arguments: [1, 2]) func movesDataBothWays(paths: Int) throws {
        let pair = PairedHosts(paths: paths)
        let result = try Self.transfer(pair, bytes: 300_000)
        #expect(result.clientGot == 300_000)
        #expect(result.serverGot == 300_000)
        #expect(result.clientSnapshot.closeReason == .finished)
        #expect(result.serverSnapshot.closeReason == .finished)
        #expect(result.clientSnapshot.isMultipath)
        #expect(result.clientSnapshot.subflows.count == paths)
        #expect(result.clientSnapshot.subflows.allSatisfy { $0.bytesSent > 10_000 })
        #expect(pair.client.counters[.MPTCPRetrans] == 0)
    }

    @Test func withChecksums() throws {
        var settings = ConnectionConfiguration()
        settings.requestChecksum = true
        let pair = PairedHosts(client: settings)
        let result = try Self.transfer(pair, bytes: 300_000)
        #expect(result.clientGot == 300_000 && result.serverGot == 300_000)
        #expect(result.serverSnapshot.checksum)
        #expect(pair.server.counters[.DataCsumErr] == 0)
    }

    @Test(arguments: [(true, false), (false, true), (false, false)])
    func plainTCP(clientSpeaks: Bool, serverSpeaks: Bool) throws {
        var client = ConnectionConfiguration()
        client.multipath = clientSpeaks ? .version1 : .off
        var server = ConnectionConfiguration()
        server.multipath = serverSpeaks ? .version1 : .off
        let pair = PairedHosts(client: client, server: server)
        let result = try Self.transfer(pair, bytes: 200_000)
        #expect(result.clientGot == 200_000 && result.serverGot == 200_000)
        #expect(result.clientSnapshot.closeReason == .finished)
        #expect(!result.clientSnapshot.isMultipath)
        #expect((result.clientSnapshot.fallback != nil) == clientSpeaks)
    }

    @Test(arguments: 0..<40) func lossyLinks(seed: UInt64) throws {
        var settings = ConnectionConfiguration()
        settings.requestChecksum = seed % 2 == 1
        let pair = PairedHosts(seed: seed, client: settings)
        pair.loss = 0.02
        let result = try Self.transfer(pair, bytes: 200_000, seconds: 300)
        #expect(result.clientGot == 200_000 && result.serverGot == 200_000, "seed \(seed)")
        #expect(result.clientSnapshot.closeReason == .finished, "seed \(seed)")
        #expect(result.serverSnapshot.closeReason == .finished, "seed \(seed)")
    }

    @Test func superPackets() throws {
        let pair = PairedHosts(maximumPacket: 65_535)
        let result = try Self.transfer(pair, bytes: 2_000_000)
        #expect(result.clientGot == 2_000_000 && result.serverGot == 2_000_000)
        #expect(result.clientSnapshot.closeReason == .finished)
    }

    @Test func aDeadPathDoesNotStopTheOther() throws {
        let pair = PairedHosts()
        var steps = 0
        pair.tamper = { packet in
            steps += 1
            if steps == 200 { pair.dead = [1] }
            return packet.bytes
        }
        let result = try Self.transfer(pair, bytes: 1_000_000, seconds: 400)
        #expect(result.clientGot == 1_000_000 && result.serverGot == 1_000_000)
        #expect(pair.client.counters[.reinjected] + pair.server.counters[.reinjected] > 0)
    }

    @Test func manyConnections() throws {
        let pair = PairedHosts()
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        var ids: [ConnectionID] = []
        for _ in 0..<64 { ids.append(try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)) }
        var accepted: [ConnectionID] = []
        pair.run(for: .seconds(5)) {
            while let id = pair.server.accept(listener) { accepted.append(id) }
            return accepted.count == 64
        }
        #expect(accepted.count == 64)
        for (number, id) in ids.enumerated() {
            #expect(pair.write(client: true, id, PairedHosts.pattern(number, 5_000)) == 5_000)
            pair.client.finishWriting(id, now: pair.now)
        }
        pair.run(for: .seconds(5))
        var seen: Set<[UInt8]> = []
        for id in accepted {
            let got = pair.read(client: false, id)
            #expect(got.bytes.count == 5_000 && got.ended)
            seen.insert(Array(got.bytes[..<8]))
            pair.server.finishWriting(id, now: pair.now)
        }
        #expect(seen.count > 50)
        pair.run(for: .seconds(130))
        for id in ids { pair.client.release(id, now: pair.now) }
        for id in accepted { pair.server.release(id, now: pair.now) }
        pair.run(for: .seconds(130))
        #expect(pair.client.liveConnections == 0 && pair.server.liveConnections == 0, "nothing is kept")
        #expect(pair.client.nextDeadline == .distantFuture && pair.server.nextDeadline == .distantFuture)
    }
}
