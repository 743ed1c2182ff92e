import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues

/// Paths that go, come back, change, and all go at once: every byte arrives; the longest silence at the receiver is
/// printed for each.
@Suite struct PathLifeTests {
    private static func at(_ milliseconds: Int64) -> MonotonicInstant { .zero + .milliseconds(milliseconds) }

    private static let path = PathSpec(rate: .megabits(20), roundTrip: .milliseconds(30))

    private static func silence(_ outcome: ScenarioOutcome) -> TimeSpan {
        outcome.streams.filter { !$0.isClient }.map(\.longestSilence).max() ?? .zero
    }

    private func report(_ what: String, _ outcome: ScenarioOutcome) {
        print("path life: \(what): intact \(outcome.isIntact), longest silence \(Int(Self.silence(outcome).seconds * 1000)) ms")
        #expect(outcome.problems == [])
    }

    @Test(arguments: UInt64(1)...5)
    func aPathIsLostForGood(seed: UInt64) {
        var paths = [Self.path, Self.path]
        paths[Int(seed) % 2].outages = [Self.at(600)..<Self.at(10_000_000)]
        let outcome = TwoPathScenario(seed: seed, paths: paths, bytes: 5_000_000).run()
        report("lost for good", outcome)
        #expect(Self.silence(outcome) < .milliseconds(800))
    }

    @Test(arguments: UInt64(1)...5)
    func aPathComesBack(seed: UInt64) {
        var paths = [Self.path, Self.path]
        paths[Int(seed) % 2].outages = [Self.at(600)..<Self.at(1600)]
        let outcome = TwoPathScenario(seed: seed, paths: paths, bytes: 10_000_000).run()
        report("comes back", outcome)
        #expect(Self.silence(outcome) < .milliseconds(800))
        #expect(outcome.shares.allSatisfy { $0 > 0.1 }, "\(outcome.shares)")
    }

    /// The client's first address changes: subflows from the old one end, the new one joins.
    @Test(arguments: UInt64(1)...5)
    func anAddressChanges(seed: UInt64) throws {
        let scenario = TwoPathScenario(seed: seed, paths: [Self.path, Self.path], bytes: 10_000_000)
        let network = scenario.makeNetwork()
        let fresh = IPAddress(10, 0, 1, 99)
        network.schedule(at: Self.at(700)) { network in
            network.changeAddress(from: IPAddress(10, 0, 1, 1), to: fresh, prefixLength: 24, of: 0, end: .a)
        }
        try scenario.start(on: network)
        let end = network.runUntilStreamsClosed(limit: .zero + .seconds(120 as Int64))
        let outcome = ScenarioOutcome(network, paths: 2, end: end)
        report("address changes", outcome)
        let used = outcome.streams.filter(\.isClient).flatMap { $0.snapshot?.subflows ?? [] }
        #expect(used.contains { $0.local.address == fresh && $0.bytesSent > 100_000 })
        #expect(Self.silence(outcome) < .milliseconds(800))
    }

    @Test(arguments: [PathUse.aggregate, .handover, .single, .interactive], UInt64(1)...3)
    func allPathsAreLostFor20Seconds(use: PathUse, seed: UInt64) {
        var paths = [Self.path, Self.path]
        for index in 0..<2 { paths[index].outages = [Self.at(600)..<Self.at(20_600)] }
        var scenario = TwoPathScenario(seed: seed, paths: paths, bytes: 5_000_000)
        scenario.client.pathUse = use
        let outcome = scenario.run()
        report("all lost for 20 s, \(use)", outcome)
        #expect(Self.silence(outcome) >= .seconds(20 as Int64))
        // Back-off doubles: what begins again does so before another half of the outage has passed.
        #expect(Self.silence(outcome) < .seconds(33 as Int64))
    }
}
