public import MPTCPConnection
public import TransportValues

/// A transfer over two paths of which something happens in mid-transfer, and how long its receiver hears nothing.
public struct PathLossTrial: Sendable, CustomStringConvertible {
    public enum Event: String, CaseIterable, Sendable {
        /// What full queues cost by themselves.
        case nothing = "nothing happens"
        case lostForGood = "one path lost for good"
        case comesBack = "one path away for 3 s"
        case addressChanges = "an address changes"
        case allLost = "all paths away for 20 s"

        /// How long nothing could arrive, whatever the stacks do.
        public var unavoidable: TimeSpan { self == .allLost ? .seconds(20 as Int64) : .zero }
    }

    public var event: Event
    public var mode: MultipathMode
    /// The client sends; else the server.
    public var isUpload: Bool
    public var seed: UInt64
    public var bytes: Int64 = 16_000_000
    public var rate = BitRate.megabits(20)
    public var roundTrip = TimeSpan.milliseconds(20)

    public init(event: Event, mode: MultipathMode, isUpload: Bool, seed: UInt64) {
        self.event = event
        self.mode = mode
        self.isUpload = isUpload
        self.seed = seed
    }

    public var description: String {
        "\(event.rawValue), \(mode), \(isUpload ? "upload" : "download"), seed \(seed)"
    }

    /// When it happens: the transfer takes 3 s at least.
    private var moment: MonotonicInstant { .zero + .milliseconds(1_000 + Int64(seed * 137 % 900)) }
    private var victim: Int { Int(seed % 2) }

    public var scenario: TwoPathScenario {
        var paths = Array(repeating: PathSpec(rate: rate, roundTrip: roundTrip), count: 2)
        let forever = MonotonicInstant(nanoseconds: 1 << 62)
        switch event {
        case .lostForGood: paths[victim].outages = [moment..<forever]
        case .comesBack: paths[victim].outages = [moment..<moment + .seconds(3 as Int64)]
        case .allLost: for path in 0..<2 { paths[path].outages = [moment..<moment + .seconds(20 as Int64)] }
        case .addressChanges, .nothing: break
        }
        var scenario = TwoPathScenario(
            seed: seed, paths: paths, bytes: bytes, exchange: isUpload ? .upload : .download, ipv6: seed % 3 == 2,
            multipath: mode)
        // Version 0 proves no announcement, and each path here is a subnet of its own.
        scenario.client.acceptUnprovenAddresses = true
        return scenario
    }

    /// The longest time between two arrivals at the receiving application, and how it all ended.
    public func run() -> (silence: TimeSpan, outcome: ScenarioOutcome) {
        let scenario = scenario
        let network = scenario.makeNetwork()
        if event == .addressChanges {
            // By turns the client's and the server's; the second path's at the server, whose first one is connected to.
            let atServer = seed / 2 % 2 == 1
            let path = victim
            let old = TwoPathScenario.address(path: path, isServer: atServer, isIPv6: scenario.isIPv6)
            let new = scenario.isIPv6 ? IPAddress(high: old.high, low: 99) : IPAddress(10, 0, UInt8(path + 1), 99)
            network.schedule(at: moment) {
                $0.changeAddress(
                    from: old, to: new, prefixLength: scenario.isIPv6 ? 64 : 24, of: path, end: atServer ? .b : .a)
            }
        }
        var problem: String?
        do { try scenario.start(on: network) } catch { problem = "could not start: \(error)" }
        let end = network.runUntilStreamsClosed(limit: .zero + scenario.timeLimit)
        var outcome = ScenarioOutcome(network, paths: 2, end: end)
        if let problem { outcome.problems.append(problem) }
        let receiver = outcome.streams.first { $0.isClient != isUpload }
        return (receiver?.longestSilence ?? .zero, outcome)
    }
}
