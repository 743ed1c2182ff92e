import HostStack
import MPTCPConnection
public import TransportValues

/// Some minutes of random connections between three hosts, over six links with random faults and middleboxes, with the
/// stacks' invariants checked all the while; everything follows from the seed.
public struct SoakEpisode: Sendable {
    /// What may happen to the links, and so what the connections may come to.
    public enum Weather: String, CaseIterable, Sendable {
        /// Loss, reordering, duplication, corruption, outages of seconds, boxes that Multipath TCP or its fallback must
        /// survive: every connection that nobody aborts must arrive.
        case fair
        /// Also long outages, addresses that go and come, resets, translators that forget, options stripped in
        /// mid-connection, boxes that are replaced: connections may end with an error, at both ends, and never lie.
        case rough
        /// Also payloads rewritten, with DSS checksums on every connection: no wrong byte while they are.
        case damaging
    }

    public var seed: UInt64
    public var weather: Weather
    /// How long connections are opened; they are given time to end afterwards.
    public var duration: TimeSpan
    public var connectionsPerMinute: Double

    public init(
        seed: UInt64, weather: Weather? = nil, duration: TimeSpan = .seconds(600), connectionsPerMinute: Double = 75
    ) {
        self.seed = seed
        self.weather = weather ?? [.fair, .rough, .fair, .damaging][Int(seed % 4)]
        self.duration = duration
        self.connectionsPerMinute = connectionsPerMinute
    }

    /// Longer than any time-out: what has not ended by then hangs. User time-out 120 s, pathless 60 s, SYNs 127 s.
    static let patience = TimeSpan.seconds(400)
    /// TIME-WAIT, the minute of released connections, and what their RSTs set off.
    static let aftermath = TimeSpan.seconds(300)

    /// - Parameter tap: told of every packet, see ``Network/tap``.
    public func run(tap: ((RawSpan, Network.Sighting) -> Void)? = nil) -> SoakOutcome {
        let world = SoakWorld(self)
        world.network.tap = tap
        world.scheduleFaults()
        let traffic = SoakTraffic(world)
        traffic.schedule()
        world.network.run(until: .zero + duration)
        world.calm()
        world.network.run(until: .zero + duration + Self.patience) { traffic.openFlows == 0 }
        var outcome = SoakOutcome(episode: self)
        if world.network.violation == nil { traffic.reportHanging(&outcome) }
        let hosts = world.network.hosts
        world.network.run(until: world.network.now + Self.aftermath) {
            hosts.allSatisfy { $0.stack.nextDeadline == .distantFuture } && world.isIdle
        }
        traffic.judgeAll(&outcome)
        if let violation = world.network.violation {
            outcome.violations.append("at \(world.network.now.nanoseconds) ns: \(violation)")
        } else {
            for host in hosts {
                if let leftover = host.stack.leftover {
                    outcome.violations.append("\(host.name) ends with \(leftover)")
                }
            }
        }
        world.measure(&outcome)
        // The application and what was still to happen hold the world that holds them.
        world.network.application = nil
        world.network.actions.removeAll()
        return outcome
    }
}

/// What an episode came to.
public struct SoakOutcome: Sendable {
    public var episode: SoakEpisode
    /// Sentences; empty when everything held.
    public var violations: [String] = []
    public var connections = 0
    /// Both ends told that everything arrived, over Multipath TCP at the client or not.
    public var multipath = 0
    public var plain = 0
    /// Ended by one of the applications.
    public var aborted = 0
    /// Ended with an error that the weather allows, by the client's reason.
    public var failed: [String: Int] = [:]
    /// Opened on an address that was away, so not at all.
    public var unopened = 0
    public var bytes: Int64 = 0
    public var packets: UInt64 = 0
    public var invariantChecks = 0
    /// The most bytes that one host's connections held.
    public var peakBytes = 0
    public var digest = RunningDigest()
    /// What stands on each link at the end.
    public var links: [String] = []

    init(episode: SoakEpisode) { self.episode = episode }
}
