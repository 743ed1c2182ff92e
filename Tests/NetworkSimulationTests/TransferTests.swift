import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues

let wideband = PathSpec(rate: .megabits(50), roundTrip: .milliseconds(20))

/// The real stack at both ends, on links without faults.
@Suite struct TransferTests {
    private static let exchanges: [TwoPathScenario.Exchange] = [
        .upload, .download, .both, .halfClose, .requestResponse,
    ]

    @Test(arguments: exchanges, [1, 2])
    func everyExchangeIsIntact(exchange: TwoPathScenario.Exchange, paths: Int) {
        for isIPv6 in [false, true] {
            for checksum in [false, true] {
                let outcome = TwoPathScenario(
                    seed: 1, paths: Array(repeating: wideband, count: paths), bytes: 300_000, exchange: exchange,
                    ipv6: isIPv6, checksum: checksum
                ).run()
                #expect(outcome.problems == [])
                for stream in outcome.streams {
                    #expect(stream.snapshot?.isMultipath == true)
                    #expect(stream.snapshot?.checksum == checksum)
                    #expect(stream.snapshot?.fallback == nil)
                }
                #expect(outcome.clientCounter("MPTcpExtMPJoinSynAckRx") == UInt64(paths - 1))
            }
        }
    }

    @Test func twoEqualPathsShareTheLoad() {
        let outcome = TwoPathScenario(seed: 2, paths: [wideband, wideband], bytes: 6_000_000).run()
        #expect(outcome.problems == [])
        #expect(outcome.shares.allSatisfy { $0 >= 0.2 }, "\(outcome.shares)")
        // One path alone would need 0.96 s for the bytes.
        #expect(outcome.seconds < 0.9)
    }

    @Test(arguments: [(MultipathMode.off, MultipathMode.version1), (.version1, .off), (.off, .off)])
    func plainTCPBothWays(client: MultipathMode, server: MultipathMode) {
        for exchange in Self.exchanges {
            var scenario = TwoPathScenario(seed: 3, paths: [wideband, wideband], bytes: 200_000, exchange: exchange)
            scenario.client.multipath = client
            scenario.server.multipath = server
            let outcome = scenario.run()
            #expect(outcome.problems == [])
            for stream in outcome.streams {
                #expect(stream.snapshot?.isMultipath == false)
                #expect(stream.snapshot?.subflows.count == 1)
            }
            #expect(outcome.bytesPerPath[1] == 0)
            // Half a second of round trips at most, and 32 ms of transmission a direction.
            #expect(outcome.seconds < 1.5, "\(exchange)")
        }
    }

    @Test func sixtyFourConnectionsAtOnce() {
        var scenario = TwoPathScenario(seed: 4, paths: [wideband, wideband], bytes: 30_000, exchange: .both)
        scenario.connections = 64
        let outcome = scenario.run()
        #expect(outcome.problems == [])
        #expect(outcome.streams.count == 128)
        #expect(outcome.streams.allSatisfy { $0.received == 30_000 })
    }

    @Test func oneSeedGivesTheSamePackets() {
        var lossy = wideband
        lossy.forward.loss = 0.02
        func run(_ seed: UInt64) -> ScenarioOutcome {
            TwoPathScenario(seed: seed, paths: [lossy, lossy], bytes: 400_000).run()
        }
        let first = run(5)
        let second = run(5)
        #expect(first.problems == [])
        #expect(first.digest == second.digest)
        #expect(first.packetsDelivered == second.packetsDelivered)
        #expect(first.time == second.time)
        #expect(run(6).digest != first.digest)
    }

    @Test(arguments: [false, true])
    func superPacketsAreSegmentedForTheStack(isIPv6: Bool) {
        var scenario = TwoPathScenario(
            seed: 7, paths: [wideband, wideband], bytes: 2_000_000, ipv6: isIPv6, checksum: true)
        scenario.offload = true
        var longest = 0
        let outcome = scenario.run { packet, sighting in
            if sighting.isSent { longest = max(longest, packet.byteCount) }
        }
        #expect(outcome.problems == [])
        #expect(longest <= 1500)
        #expect(longest > 1400)
    }

    @Test(arguments: [576, 1280, 9000])
    func otherMTUs(mtu: Int) {
        let path = PathSpec(rate: .megabits(50), roundTrip: .milliseconds(10), mtu: mtu)
        let outcome = TwoPathScenario(seed: 8, paths: [path, wideband], bytes: 500_000, exchange: .both).run()
        #expect(outcome.problems == [])
    }

    @Test func aSlowReaderClosesTheWindowAndLosesNothing() {
        var scenario = TwoPathScenario(seed: 9, paths: [wideband, wideband], bytes: 1_000_000)
        scenario.server.receiveBuffer = 64 << 10
        scenario.server.initialReceiveWindow = 64 << 10
        scenario.reading = .paced(bytes: 20_000, interval: .milliseconds(50))
        let outcome = scenario.run()
        #expect(outcome.problems == [])
        // 50 readings of 20,000 bytes, 50 ms apart.
        #expect(outcome.seconds > 2.4)
    }

    @Test func bytesThatAreNotAcknowledgedAreNotFreed() {
        // A send buffer much smaller than what the paths hold.
        var scenario = TwoPathScenario(seed: 10, paths: [wideband, wideband], bytes: 500_000)
        scenario.client.sendBuffer = 16 << 10
        #expect(scenario.run().problems == [])
    }

    @Test func anAbortReachesThePeer() throws {
        let scenario = TwoPathScenario(seed: 11, paths: [wideband, wideband], bytes: 5_000_000)
        let network = scenario.makeNetwork()
        let server = Endpoint(TwoPathScenario.address(path: 0, isServer: true, isIPv6: false), 80)
        try network.serve(
            network.hosts[1], on: server, plan: StreamPlan(expects: 5_000_000, abortsAfterReceiving: 1_000_000))
        try network.open(network.hosts[0], to: server, plan: StreamPlan(sends: 5_000_000))
        let end = network.runUntilStreamsClosed(limit: MonotonicInstant(nanoseconds: 60_000_000_000))
        #expect(end == .conditionMet)
        let reasons = network.streams.map(\.closeReason)
        #expect(reasons == [.fastClosed, .aborted])
    }

    @Test func nobodyListensThere() throws {
        let network = TwoPathScenario(seed: 12, paths: [wideband], bytes: 1).makeNetwork()
        let server = Endpoint(TwoPathScenario.address(path: 0, isServer: true, isIPv6: false), 80)
        try network.open(network.hosts[0], to: server, plan: StreamPlan(sends: 1))
        #expect(network.runUntilStreamsClosed(limit: MonotonicInstant(nanoseconds: 1_000_000_000)) == .conditionMet)
        #expect(network.streams[0].closeReason == .refused)
        #expect(network.streams[0].problem != nil)
    }
}
