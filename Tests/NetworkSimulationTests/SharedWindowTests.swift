import NetworkSimulation
import Testing
import TransportValues

/// Two fast paths without delay of their own, whose queues alone make the round trip: the receiver's window must follow
/// what the queues hold, and no path may be starved by the other's.
@Suite struct SharedWindowTests {
    /// Deep enough that one path's queue holds more than the first receive window.
    private static let queued = PathSpec(
        forward: LinkConfiguration(rate: .megabits(200), delay: .milliseconds(0), queueBytes: 1_250_000),
        backward: LinkConfiguration(rate: .megabits(200), delay: .milliseconds(0), queueBytes: 1_250_000))

    /// Without a receiver's own measure of the round trip the window stayed at 738 KB, the first path's queue took all
    /// of it, and the second path sent 1,324 bytes each 40 ms (delayed acknowledgements of silly segments).
    @Test(arguments: [false, true])
    func deepQueuesStarveNoPath(offload: Bool) {
        for seed in UInt64(1)...8 {
            var scenario = TwoPathScenario(seed: seed, paths: [Self.queued, Self.queued], bytes: 40_000_000)
            scenario.offload = offload
            let outcome = scenario.run()
            #expect(outcome.problems == [])
            #expect(outcome.shares.allSatisfy { $0 >= 0.3 }, "seed \(seed): \(outcome.shares)")
            // Both together need 0.8 s.
            #expect(outcome.seconds < 1.1, "seed \(seed)")
        }
    }
}
