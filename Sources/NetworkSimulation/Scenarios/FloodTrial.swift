public import HostStack
import MPTCPConnection
public import TransportValues

/// Live connections that share a link with a flood, in virtual time: what they get with it and without.
public struct FloodTrial: Sendable {
    public struct Result: Sendable {
        public var outcome: ScenarioOutcome
        /// Until every stream had closed, virtual.
        public var duration: TimeSpan
        public var hostilePackets: Int
        /// The most entries that the server's tables had.
        public var peak: HostOccupancy
        public var serverCounters: [(name: String, value: UInt64)]
    }

    public var seed: UInt64
    /// nil: without a flood.
    public var kind: HostileTraffic.Kind?
    public var connections = 4
    /// Each connection's, client to server.
    public var bytes: Int64 = 5_000_000
    /// Of the first path's bits.
    public var share = 0.25
    public var rate = 50_000_000

    public init(seed: UInt64, kind: HostileTraffic.Kind?) {
        self.seed = seed
        self.kind = kind
    }

    public func run() -> Result {
        let path = PathSpec(rate: .megabits(Int64(rate) / 1_000_000), roundTrip: .milliseconds(20))
        var scenario = TwoPathScenario(seed: seed, paths: [path, path], bytes: bytes)
        scenario.connections = connections
        let network = scenario.makeNetwork()
        let flood = Flood(self, network)
        var problem: String?
        do throws(HostError) { try scenario.start(on: network) } catch { problem = "can't start: \(error)" }
        if kind != nil { network.schedule(at: .zero + .milliseconds(200)) { flood.tick($0) } }
        let end = network.runUntilStreamsClosed(limit: .zero + .seconds(300 as Int64))
        var outcome = ScenarioOutcome(network, paths: 2, end: end)
        if let problem { outcome.problems.append(problem) }
        return Result(
            outcome: outcome, duration: outcome.time, hostilePackets: flood.sent, peak: flood.peak,
            serverCounters: network.hosts[1].stack.counters.all.filter { $0.value > 0 })
    }

    /// Puts a millisecond's worth of packets onto the first path, again and again.
    private final class Flood {
        let trial: FloodTrial
        var traffic: HostileTraffic?
        var buffer = [UInt8](repeating: 0, count: HostileTraffic.longest)
        var sent = 0
        var owedBits = 0.0
        var peak: HostOccupancy

        init(_ trial: FloodTrial, _ network: Network) {
            self.trial = trial
            peak = network.hosts[1].stack.occupancy
        }

        func tick(_ network: Network) {
            guard let kind = trial.kind else { return }
            var generator =
                traffic
                ?? HostileTraffic(
                    seed: trial.seed, target: Endpoint(IPAddress(10, 0, 1, 2), TwoPathScenario.port),
                    live: Self.tuples(network.hosts[1].stack))
            owedBits += Double(trial.rate) * trial.share / 1000
            while owedBits > 0 {
                var span = buffer.mutableSpan
                var raw = unsafe span.mutableBytes
                let length = generator.write(kind, into: &raw, at: 0)
                network.inject(raw.bytes.extracting(0..<length), on: 0, from: .a)
                owedBits -= Double(length * 8)
                sent += 1
            }
            traffic = generator
            peak = peak.maximum(network.hosts[1].stack.occupancy)
            network.schedule(at: network.now + .milliseconds(1)) { [self] in tick($0) }
        }

        private static func tuples(_ host: borrowing Host) -> [FourTuple] {
            var tuples: [FourTuple] = []
            for id in host.connections {
                for subflow in host.snapshot(id)?.subflows ?? [] {
                    tuples.append(FourTuple(local: subflow.local, remote: subflow.remote))
                }
            }
            return tuples
        }
    }
}

extension HostOccupancy {
    /// Field by field.
    public func maximum(_ other: HostOccupancy) -> HostOccupancy {
        HostOccupancy(
            connections: max(connections, other.connections), slots: max(slots, other.slots),
            flows: max(flows, other.flows), tokens: max(tokens, other.tokens), halfOpen: max(halfOpen, other.halfOpen),
            halfOpenJoins: max(halfOpenJoins, other.halfOpenJoins), joinTargets: max(joinTargets, other.joinTargets),
            replies: max(replies, other.replies), events: max(events, other.events))
    }
}
