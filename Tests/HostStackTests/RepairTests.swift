import HostStack
import MPTCPConnection
import Testing
import TransportPolicies
import TransportValues

/// Data that is late on one subflow goes out on another before anybody's timer says that it is lost.
@Suite struct RepairTests {
    private struct Outcome {
        var received = 0
        var intact = true
        var longestSilence = TimeSpan.zero
        /// Bytes that had arrived by then.
        var silentAt = 0
        var end = MonotonicInstant.zero
    }

    /// Moves `bytes` to the server; `event` is told how many have arrived, before each step.
    private static func upload(
        _ pair: PairedHosts, bytes: Int, seconds: Int64 = 30, event: (Int) -> Void = { _ in }
    ) throws -> Outcome {
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        var outcome = Outcome()
        var accepted: ConnectionID?
        var sent = 0
        var last: MonotonicInstant?
        pair.run(for: .seconds(seconds)) {
            event(outcome.received)
            if accepted == nil { accepted = pair.server.accept(listener) }
            if sent < bytes {
                sent += pair.write(client: true, id, PairedHosts.pattern(sent, min(50_000, bytes - sent)))
                if sent == bytes { pair.client.finishWriting(id, now: pair.now) }
            }
            if let accepted {
                let got = pair.read(client: false, accepted).bytes
                if got != PairedHosts.pattern(outcome.received, got.count) { outcome.intact = false }
                if !got.isEmpty {
                    if pair.now - (last ?? pair.now) > outcome.longestSilence {
                        outcome.longestSilence = pair.now - (last ?? pair.now)
                        outcome.silentAt = outcome.received
                    }
                    last = pair.now
                    outcome.end = pair.now
                }
                outcome.received += got.count
            }
            pair.flush()
            return outcome.received >= bytes
        }
        return outcome
    }

    //= RFC 8684 §3.3.6 a sender may retransmit on another subflow data that is not acknowledged at the data level
    @Test(arguments: UInt64(1)...8, [Int32(0), 1])
    func aLateHeadIsRepeatedElsewhere(seed: UInt64, victim: Int32) throws {
        let pair = PairedHosts(seed: seed)
        let outcome = try Self.upload(pair, bytes: 6_000_000) { received in
            if received > 1_000_000 { pair.dead = [victim] }
        }
        #expect(outcome.intact && outcome.received == 6_000_000)
        #expect(pair.client.counters[.reinjected] > 0)
        // 10 ms of round trip; the retransmission timer alone would be 200 ms.
        #expect(outcome.longestSilence < .milliseconds(150 as Int64), "\(outcome.longestSilence.milliseconds) ms after \(outcome.silentAt) bytes")
    }

    /// Without the mechanism the same loss is felt longer: the test above measures it.
    @Test func itCanBeSwitchedOff() throws {
        var settings = ConnectionConfiguration()
        settings.repairsHeadOfLine = false
        let pair = PairedHosts(seed: 1, client: settings)
        pair.loss = 0.01
        let outcome = try Self.upload(pair, bytes: 2_000_000)
        #expect(outcome.intact && outcome.received == 2_000_000)
    }

    /// Every byte on both paths: either may go at any time, and nobody waits.
    @Test(arguments: [Int32(0), 1])
    func redundantSchedulingHidesALostPath(victim: Int32) throws {
        var settings = ConnectionConfiguration()
        settings.scheduler = .redundant
        let pair = PairedHosts(seed: 5, client: settings)
        let outcome = try Self.upload(pair, bytes: 3_000_000) { received in
            if received > 1_000_000 { pair.dead = [victim] }
        }
        #expect(outcome.intact && outcome.received == 3_000_000)
        #expect(outcome.longestSilence < .milliseconds(60 as Int64), "\(outcome.longestSilence.milliseconds) ms")
    }

    @Test(arguments: SchedulerAlgorithm.allCases)
    func everySchedulerDelivers(algorithm: SchedulerAlgorithm) throws {
        var settings = ConnectionConfiguration()
        settings.scheduler = algorithm
        let pair = PairedHosts(seed: 9, paths: 3, client: settings)
        pair.loss = 0.01
        let outcome = try Self.upload(pair, bytes: 1_000_000)
        #expect(outcome.intact && outcome.received == 1_000_000)
    }
}
