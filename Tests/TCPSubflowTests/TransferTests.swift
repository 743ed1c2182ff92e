import TCPSubflow
import Testing
import TransportPolicies
import TransportValues

@Suite struct TransferTests {
    private func settings(_ seed: UInt64) -> SubflowConfiguration {
        var settings = SubflowConfiguration(maximumSegmentSize: 1_460)
        settings.timestamps = seed % 3 != 0
        settings.sack = seed % 5 != 0
        settings.congestion = seed % 2 == 0 ? .cubic : .newreno
        settings.maximumBurst = seed % 4 < 2 ? 1_448 : 60_000
        settings.timeWait = .seconds(5 as Int64)
        return settings
    }

    /// Moves bytes both ways and expects each at its place.
    private func transfer(_ seed: UInt64, _ conditions: LinkConditions, bytes: Int64) -> LinkedPair {
        let pair = LinkedPair(settings(seed), conditions, up: bytes, down: bytes / 4, seed: seed)
        let finished = pair.run()
        #expect(finished && pair.faults == [], "seed \(seed): \(pair.faults)")
        #expect(pair.received == [bytes, bytes / 4], "seed \(seed)")
        return pair
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func withOnePercentLoss(_ seed: UInt64) {
        let pair = transfer(seed, LinkConditions(loss: 0.01), bytes: 200_000)
        #expect(pair.client.statistics.bytesSent >= 200_000)
    }

    @Test(arguments: 100..<130 as Range<UInt64>)
    func withHeavyLossReorderingAndDuplicates(_ seed: UInt64) {
        _ = transfer(
            seed, LinkConditions(jitter: .milliseconds(4), loss: 0.05, duplication: 0.05), bytes: 100_000)
    }

    @Test(arguments: 200..<230 as Range<UInt64>)
    func throughAShortQueue(_ seed: UInt64) {
        let pair = transfer(
            seed, LinkConditions(delay: .milliseconds(5), rate: 2_500_000, queue: 30_000), bytes: 300_000)
        #expect(pair.client.statistics.timeouts < 10)
    }

    @Test(arguments: 300..<310 as Range<UInt64>)
    func withoutImpairmentNothingIsSentTwice(_ seed: UInt64) {
        let pair = transfer(seed, LinkConditions(), bytes: 400_000)
        #expect(pair.client.statistics.segmentsRetransmitted == 0)
        #expect(pair.client.statistics.bytesSent == 400_000)
        // Ten segments at first and doubling: 400 kB within some ten round trips of 20 ms, TIME-WAIT of 5 s apart.
        #expect(pair.now < MonotonicInstant(nanoseconds: 1_600_000_000))
    }

    @Test func severalMegabytesKeepTheLinkBusy() {
        var settings = settings(1)
        settings.congestion = .cubic
        settings.sack = true
        let conditions = LinkConditions(delay: .milliseconds(10), rate: 5_000_000, queue: 100_000)
        let pair = LinkedPair(settings, conditions, up: 4_000_000, down: 0, seed: 9)
        let finished = pair.run()
        #expect(finished && pair.faults == [], "\(pair.faults)")
        // 4 MB at 5 MB/s take 0.8 s; slow start and one overshoot may take as much again.
        #expect(pair.now < MonotonicInstant(nanoseconds: 2_600_000_000), "\(pair.now)")
        #expect(pair.client.statistics.timeouts == 0)
    }
}
