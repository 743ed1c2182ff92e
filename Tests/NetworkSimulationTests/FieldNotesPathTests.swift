import HostStack
import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues
import WireFormats

/// Rows of the field notes that need links: option space, segment sizes, and the flood in short.
@Suite struct FieldNotesPathTests {
    /// "40-byte option limit", CVE-2024-57882: ADD_ADDR of an IPv6 address with port does not fit beside timestamps:
    /// it goes out without them, in no more than 40 bytes, and is echoed and joined.
    @Test(arguments: [MultipathMode.version1, .version0])
    func addAddressBesidesFullOptions(mode: MultipathMode) {
        let path = PathSpec(rate: .megabits(20), roundTrip: .milliseconds(20))
        var scenario = TwoPathScenario(
            seed: 3, paths: [path, path], bytes: 2_000_000, ipv6: true, checksum: true, multipath: mode)
        scenario.server.joinPort = 7000
        scenario.server.forbidsJoinsToInitialAddress = true
        scenario.client.acceptUnprovenAddresses = true
        var largest = 0
        var faults = 0
        var announcements = 0
        let outcome = scenario.run { packet, sighting in
            guard sighting.isSent, let ip = try? IPHeader(packet),
                let segment = try? TCPSegment(packet, ip: ip, checksum: .unverified)
            else { return }
            largest = max(largest, segment.payloadOffset - ip.payloadOffset - 20)
            if !segment.options.ignored.isEmpty { faults += 1 }
            if case .addAddress(let address)? = segment.options.multipath.other, !address.isEcho {
                announcements += 1
                #expect(address.port == 7000 && address.address.isIPv6)
                if mode == .version1 { #expect(segment.options.timestamps == nil) }
            }
        }
        #expect(outcome.problems == [])
        #expect(largest <= 40 && faults == 0)
        #expect(announcements >= 2 && outcome.serverCounter("MPTcpExtAddAddrTxDrop") == 0)
        if mode == .version1 { #expect(outcome.serverCounter("MPTcpExtEchoAdd") == 2) }
        let used = outcome.streams.filter(\.isClient).flatMap { $0.snapshot?.subflows ?? [] }
        #expect(used.contains { $0.remote.port == 7000 && $0.bytesSent > 0 })
    }

    /// "Different MSS per subflow": segments are cut when they are sent.
    @Test(arguments: [(1500, 600), (600, 1500), (1500, 9000), (576, 1280)], [false, true])
    func pathsOfDifferentSegmentSizes(sizes: (Int, Int), checksum: Bool) {
        let paths = [
            PathSpec(rate: .megabits(20), roundTrip: .milliseconds(20), loss: 0.01, mtu: sizes.0),
            PathSpec(rate: .megabits(20), roundTrip: .milliseconds(50), loss: 0.01, mtu: sizes.1),
        ]
        let outcome = TwoPathScenario(seed: 5, paths: paths, bytes: 4_000_000, exchange: .both, checksum: checksum)
            .run()
        #expect(outcome.problems == [])
        #expect(outcome.shares.allSatisfy { $0 > 0.05 }, "\(outcome.shares)")
    }

    // MARK: Flood, in short (the whole: make flood)

    /// A quarter of a link is hostile: the live connections keep half of what they have without.
    @Test(arguments: HostileTraffic.Kind.allCases)
    func liveConnectionsKeepHalf(kind: HostileTraffic.Kind) {
        let alone = FloodTrial(seed: 7, kind: nil).run()
        let under = FloodTrial(seed: 7, kind: kind).run()
        #expect(alone.outcome.problems == [] && under.outcome.problems == [])
        #expect(under.hostilePackets > 20_000)
        #expect(under.duration <= alone.duration * 2, "\(alone.duration.seconds) s, then \(under.duration.seconds) s")
        #expect(under.peak.connections <= 4 + 4 * 128 && under.peak.halfOpenJoins <= 1024 && under.peak.replies <= 256)
        // The same seed gives the same packets.
        let again = FloodTrial(seed: 7, kind: kind).run()
        #expect(again.outcome.digest == under.outcome.digest)
    }

    /// In memory: every byte of the live connections is right, and the tables stay bounded. (Processor time is judged by
    /// `make flood`; here the clock only counts its calls.)
    @Test func fiftyThousandOfEachInMemory() throws {
        var time: Int64 = 0
        let workload = try FloodWorkload(seed: 3, connections: 3) {
            time += 20_000
            return time
        }
        #expect(workload.isReady)
        let live = workload.live(bytes: 5_000_000)
        #expect(live.problems == [] && live.bytes >= 5_000_000)
        for kind in HostileTraffic.Kind.allCases {
            let measure = workload.flood(kind, packets: 50_000, bitsPerSecond: 1e9)
            #expect(measure.problems == [])
            #expect(measure.hostilePackets >= 50_000 && measure.bytes > 0)
        }
        let peak = workload.peak
        #expect(peak.connections <= 3 + 4 * 128 && peak.flows <= 3 + 4 * 128 + 24 && peak.tokens <= peak.connections)
        let counters = workload.server.counters
        #expect(counters[.synCookieSent] > 10_000 && counters[.MPJoinNoTokenFound] > 40_000)
        #expect(counters[.resetSent] + counters[.resetRateLimited] > 40_000)
    }
}
