public import HostStack
public import MPTCPConnection
public import TransportValues

/// A client and a server joined by one path or more, each path a subnet of its own, and what they send one another:
/// a whole test in one value.
///
/// Path *n* (from 1) is 10.0.*n*.0/24 or fd00:0:0:*n*::/64; the client is .1 and the server .2 on each.
public struct TwoPathScenario: Sendable {
    /// What the applications do.
    public enum Exchange: Sendable, Hashable {
        case upload, download
        /// Both directions at once, ``bytes`` each.
        case both
        /// The client uploads and ends its direction; then the server sends as much back.
        case halfClose
        /// Requests of 200 bytes, replies of 10,000, until ``bytes`` of replies have come.
        case requestResponse
    }

    public var seed: UInt64
    public var paths: [PathSpec]
    /// Payload bytes each connection moves in each direction that has data.
    public var bytes: Int64
    public var exchange: Exchange
    public var isIPv6: Bool
    public var connections = 1
    public var client: ConnectionConfiguration
    public var server: ConnectionConfiguration
    /// How the receiving application reads.
    public var reading = StreamPlan.Reading.eager
    /// What the client connects to, where it is not the server's own first address: a translator's outside, say.
    public var serverAddress: IPAddress?
    /// Each connection has bytes of its own, which both ends know by the client's port; false where a box changes ports.
    public var tellsStreamsByPort = true
    /// Whether the hosts hand over super-packets and unfinished checksums, to be done for them in software.
    public var offload = false
    /// Virtual time after which a scenario that is not done has failed.
    public var timeLimit = TimeSpan.milliseconds(300_000)
    /// Events that are not in ``paths``.
    public var invariant: (@Sendable (Network, SimulatedHost) -> String?)?

    public static let port: UInt16 = 5001

    /// - Parameters:
    ///   - checksum: the client asks for DSS checksums.
    ///   - multipath: what both ends offer; set ``client`` and ``server`` for more.
    public init(
        seed: UInt64, paths: [PathSpec], bytes: Int64, exchange: Exchange = .upload, ipv6: Bool = false,
        checksum: Bool = false, multipath: MultipathMode = .version1
    ) {
        self.seed = seed
        self.paths = paths
        self.bytes = bytes
        self.exchange = exchange
        isIPv6 = ipv6
        client = ConnectionConfiguration()
        server = ConnectionConfiguration()
        client.requestChecksum = checksum
        client.multipath = multipath
        server.multipath = multipath
    }

    public static func address(path: Int, isServer: Bool, isIPv6: Bool) -> IPAddress {
        let host: UInt8 = isServer ? 2 : 1
        if isIPv6 { return IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(path + 1), low: UInt64(host)) }
        return IPAddress(10, 0, UInt8(path + 1), host)
    }

    /// The network before anything has happened, for callers that add to it.
    public func makeNetwork() -> Network {
        let network = Network(seed: seed)
        let clientHost = network.addHost("client", configuration: hostConfiguration(client))
        let serverHost = network.addHost("server", configuration: hostConfiguration(server))
        for (index, path) in paths.enumerated() {
            let link = network.connect(
                port(clientHost, path: index, isServer: false), port(serverHost, path: index, isServer: true),
                forward: path.forward, backward: path.backward, boxes: path.boxes)
            for outage in path.outages {
                network.schedule(at: outage.lowerBound) { $0.setLink(link, up: false) }
                network.schedule(at: outage.upperBound) { $0.setLink(link, up: true) }
            }
            if let time = path.removedAt {
                network.schedule(at: time) { $0.removeInterface(of: link, end: .a) }
            }
        }
        network.invariant = invariant
        network.tellsStreamsByPort = tellsStreamsByPort
        return network
    }

    private func hostConfiguration(_ connection: ConnectionConfiguration) -> HostConfiguration {
        var configuration = HostConfiguration()
        configuration.connection = connection
        return configuration
    }

    private func port(_ host: SimulatedHost, path: Int, isServer: Bool) -> LinkPort {
        let address = Self.address(path: path, isServer: isServer, isIPv6: isIPv6)
        return LinkPort(
            host, name: "eth\(path)", addresses: [(address, isIPv6 ? 64 : 24)], maximumPacket: offload ? 65_535 : 0,
            checksumOffload: offload)
    }

    private var plans: (client: StreamPlan, server: StreamPlan) {
        switch exchange {
        case .upload:
            return (StreamPlan(sends: bytes), StreamPlan(expects: bytes, reading: reading))
        case .download:
            return (StreamPlan(expects: bytes, reading: reading), StreamPlan(sends: bytes))
        case .both:
            let plan = StreamPlan(sends: bytes, expects: bytes, reading: reading)
            return (plan, plan)
        case .halfClose:
            return (
                StreamPlan(sends: bytes, expects: bytes, reading: reading),
                StreamPlan(sends: bytes, expects: bytes, pace: .afterPeerFinished, reading: reading)
            )
        case .requestResponse:
            let rounds = max(1, bytes / 10_000)
            return (
                StreamPlan(
                    sends: rounds * 200, expects: rounds * 10_000, pace: .requests(size: 200, replySize: 10_000)),
                StreamPlan(
                    sends: rounds * 10_000, expects: rounds * 200, pace: .replies(requestSize: 200, size: 10_000))
            )
        }
    }

    /// Puts the applications onto a network of this scenario, without running it.
    public func start(on network: Network) throws(HostError) {
        let plans = plans
        let server = Endpoint(Self.address(path: 0, isServer: true, isIPv6: isIPv6), Self.port)
        try network.serve(network.hosts[1], on: server, plan: plans.server, backlog: max(128, connections))
        for _ in 0..<connections {
            try network.open(
                network.hosts[0], to: Endpoint(serverAddress ?? server.address, server.port), from: Self.address(path: 0, isServer: false, isIPv6: isIPv6),
                plan: plans.client)
        }
    }

    /// Runs the scenario to its end.
    /// - Parameter tap: told of every packet, see ``Network/tap``.
    public func run(tap: ((RawSpan, Network.Sighting) -> Void)? = nil) -> ScenarioOutcome {
        let network = makeNetwork()
        network.tap = tap
        var openError: HostError?
        do throws(HostError) { try start(on: network) } catch { openError = error }
        let end = network.runUntilStreamsClosed(limit: .zero + timeLimit)
        var outcome = ScenarioOutcome(network, paths: paths.count, end: end)
        if let openError { outcome.problems.insert("could not start: \(openError)", at: 0) }
        let streams = outcome.streams.count
        if streams != 2 * connections { outcome.problems.append("\(streams) connection ends of \(2 * connections)") }
        if !outcome.problems.isEmpty { outcome.problems.append("reproduce: \(reproduction)") }
        return outcome
    }

    /// What makes this run again.
    public var reproduction: String {
        "seed \(seed), \(paths.count) path(s), \(bytes) bytes, \(exchange), \(connections) connection(s), "
            + "\(isIPv6 ? "IPv6" : "IPv4"), checksum \(client.requestChecksum), offload \(offload), "
            + "client \(client.multipath), server \(server.multipath), paths \(paths)"
    }
}
