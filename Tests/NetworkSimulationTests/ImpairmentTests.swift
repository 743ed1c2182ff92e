import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues

/// The real stack on links that lose, reorder, duplicate and corrupt packets, or go away.
@Suite struct ImpairmentTests {
    private func path(
        loss: Double = 0, reordering: Double = 0, duplication: Double = 0, corruption: Double = 0
    ) -> PathSpec {
        PathSpec(
            rate: .megabits(50), roundTrip: .milliseconds(20), loss: loss, reordering: reordering,
            duplication: duplication, corruption: corruption)
    }

    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero + .milliseconds(milliseconds) }

    /// Issue 2, "done when" 4: links with 20 ms round trip and 1 % loss both ways, 200 seeds.
    @Test(arguments: 0..<8)
    func onePercentLossOver200Seeds(group: UInt64) {
        var lost: UInt64 = 0
        for seed in group * 25..<(group + 1) * 25 {
            let exchange: TwoPathScenario.Exchange = seed % 2 == 0 ? .upload : .both
            let outcome = TwoPathScenario(
                seed: seed, paths: [path(loss: 0.01), path(loss: 0.01)], bytes: 256_000, exchange: exchange,
                ipv6: seed % 4 == 3, checksum: seed % 3 == 0
            ).run()
            #expect(outcome.problems == [])
            lost += outcome.links.reduce(0) { $0 + $1.forward[.lost] + $1.backward[.lost] }
        }
        #expect(lost > 25)
    }

    /// Mappings of 64 KB, verified as a whole, of which single segments get lost: whole mappings too, and then those
    /// behind them must be held meanwhile.
    @Test(arguments: 0..<20)
    func superPacketsWithChecksumsAndLoss(seed: UInt64) {
        var scenario = TwoPathScenario(
            seed: seed, paths: [path(loss: 0.02), path(loss: 0.02)], bytes: 1_000_000, exchange: .both, checksum: true)
        scenario.offload = true
        #expect(scenario.run().problems == [])
    }

    @Test(arguments: 0..<10)
    func heavyLoss(seed: UInt64) {
        let outcome = TwoPathScenario(seed: seed, paths: [path(loss: 0.1), path(loss: 0.1)], bytes: 200_000).run()
        #expect(outcome.problems == [])
    }

    @Test(arguments: 0..<10)
    func reordering(seed: UInt64) {
        let outcome = TwoPathScenario(
            seed: seed, paths: [path(reordering: 0.05), path(reordering: 0.05)], bytes: 500_000, exchange: .both
        ).run()
        #expect(outcome.problems == [])
        #expect(outcome.links[0].forward.reordered > 0)
    }

    @Test(arguments: 0..<10)
    func duplication(seed: UInt64) {
        let outcome = TwoPathScenario(
            seed: seed, paths: [path(duplication: 0.05), path(duplication: 0.05)], bytes: 500_000, exchange: .both
        ).run()
        #expect(outcome.problems == [])
        #expect(outcome.links[0].forward.duplicated > 0)
    }

    @Test(arguments: 0..<10)
    func corruption(seed: UInt64) {
        let outcome = TwoPathScenario(
            seed: seed, paths: [path(corruption: 0.02), path(corruption: 0.02)], bytes: 500_000, exchange: .both,
            ipv6: seed % 2 == 1
        ).run()
        #expect(outcome.problems == [])
        #expect(outcome.links.contains { $0.forward.corrupted > 0 })
    }

    @Test(arguments: 0..<20)
    func everythingAtOnce(seed: UInt64) {
        let rough = path(loss: 0.02, reordering: 0.02, duplication: 0.02, corruption: 0.01)
        let slow = PathSpec(
            rate: .megabits(5), roundTrip: .milliseconds(90), loss: 0.03, reordering: 0.01, queueBytes: 20_000)
        let exchanges: [TwoPathScenario.Exchange] = [.upload, .download, .both, .halfClose, .requestResponse]
        let outcome = TwoPathScenario(
            seed: seed, paths: [rough, slow, rough], bytes: 300_000, exchange: exchanges[Int(seed) % 5],
            ipv6: seed % 2 == 0, checksum: seed % 3 == 0
        ).run()
        #expect(outcome.problems == [])
    }

    @Test(arguments: [0, 1])
    func aPathTakenAwayAndBroughtBack(victim: Int) {
        var paths = [path(), path()]
        paths[victim].outages = [at(200)..<at(1500)]
        var revived: [MonotonicInstant] = []
        let outcome = TwoPathScenario(seed: 1, paths: paths, bytes: 50_000_000).run { packet, sighting in
            if sighting.link == victim, !sighting.isSent, packet.byteCount > 1000, sighting.time > at(1500) {
                revived.append(sighting.time)
            }
        }
        #expect(outcome.problems == [])
        #expect(outcome.links[victim].forward[.linkDown] > 0)
        // It carries data again: within four seconds, the longest that backed-off timers may wait here, and not little.
        #expect(revived.first ?? .distantFuture < at(5500), "\(outcome.seconds) s, \(outcome.bytesPerPath)")
        #expect(revived.count > 500)
        // The other path goes on: 1.3 s without it would be a longer silence.
        let silence = outcome.streams.first { !$0.isClient }!.longestSilence
        #expect(silence < .milliseconds(900), "\(silence.milliseconds) ms")
    }

    @Test(arguments: [0, 1])
    func aPathAwayForGood(victim: Int) {
        var paths = [path(), path()]
        paths[victim].outages = [at(200)..<at(10_000_000)]
        var scenario = TwoPathScenario(seed: 2, paths: paths, bytes: 4_000_000, exchange: .both)
        scenario.timeLimit = .milliseconds(60_000)
        #expect(scenario.run().problems == [])
    }

    @Test func bothPathsAwayForAWhile() {
        var paths = [path(), path()]
        paths[0].outages = [at(100)..<at(1200)]
        paths[1].outages = [at(100)..<at(900)]
        #expect(TwoPathScenario(seed: 3, paths: paths, bytes: 3_000_000, exchange: .both).run().problems == [])
    }

    @Test(arguments: [0, 1])
    func anInterfaceIsRemoved(victim: Int) {
        var paths = [path(), path()]
        paths[victim].removedAt = at(200)
        for exchange in [TwoPathScenario.Exchange.upload, .download] {
            let outcome = TwoPathScenario(seed: 4, paths: paths, bytes: 4_000_000, exchange: exchange).run()
            #expect(outcome.problems == [])
        }
    }

    @Test func aPathThatComesAndGoes() {
        var paths = [path(loss: 0.005), path(loss: 0.005)]
        paths[0].outages = (0..<10).map { at(100 + 500 * $0)..<at(300 + 500 * $0) }
        #expect(TwoPathScenario(seed: 5, paths: paths, bytes: 10_000_000).run().problems == [])
    }
}
