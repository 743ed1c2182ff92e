import HostStack
import MPTCPConnection
public import TransportValues

/// What a scenario came to.
public struct ScenarioOutcome: Sendable {
    /// Sentences about everything that went wrong; empty when every byte arrived and all connections closed cleanly.
    public var problems: [String] = []
    public var end: Network.RunEnd
    /// Both ends of every connection.
    public var streams: [StreamResult]
    /// Virtual time at which the last connection end closed, or the run ended.
    public var time: TimeSpan
    /// Payload bytes that the server's stacks received and sent over each path, all connections together.
    public var uploadedBytes: [UInt64]
    public var downloadedBytes: [UInt64]
    /// Segments that the client and the server retransmitted on each path.
    public var retransmissions: [UInt64]
    public var clientCounters: [(name: String, value: UInt64)]
    public var serverCounters: [(name: String, value: UInt64)]
    /// A path's two directions: from the client, from the server.
    public var links: [(forward: LinkCounters, backward: LinkCounters)]
    /// What the boxes of each path have dropped, changed or made, in their order.
    public var interventions: [[UInt64]]
    public var packetsDelivered: UInt64
    /// Over every packet that arrived, with its time and place.
    public var digest: RunningDigest

    public var isIntact: Bool { problems.isEmpty }
    public var seconds: Double { time.seconds }

    /// Payload bytes that arrived over each path, in both directions.
    public var bytesPerPath: [UInt64] { zip(uploadedBytes, downloadedBytes).map { $0 + $1 } }

    /// Each path's share of the payload, 0…1.
    public var shares: [Double] {
        let total = Double(max(1, bytesPerPath.reduce(0, +)))
        return bytesPerPath.map { Double($0) / total }
    }

    public func clientCounter(_ name: String) -> UInt64 { clientCounters.first { $0.name == name }?.value ?? 0 }
    public func serverCounter(_ name: String) -> UInt64 { serverCounters.first { $0.name == name }?.value ?? 0 }

    /// What a network of ``TwoPathScenario/makeNetwork()`` has come to so far.
    public init(_ network: Network, paths: Int, end: Network.RunEnd) {
        self.end = end
        streams = network.streams
        time = (streams.compactMap(\.closed).max() ?? network.now) - .zero
        uploadedBytes = Array(repeating: 0, count: paths)
        downloadedBytes = Array(repeating: 0, count: paths)
        retransmissions = Array(repeating: 0, count: paths)
        clientCounters = network.hosts[0].stack.counters.all
        serverCounters = network.hosts[1].stack.counters.all
        links = (0..<paths).map { (network.counters(of: $0, from: .a), network.counters(of: $0, from: .b)) }
        interventions = (0..<paths).map { network.interventions(on: $0) }
        packetsDelivered = network.packetsDelivered
        digest = network.digest
        for index in streams.indices { addSubflows(of: index, network) }

        if let violation = network.violation { problems.append(violation) }
        if end == .timeReached { problems.append("not done at the time limit") }
        if end == .idle { problems.append("nothing is left that could happen: no packet on its way, no timer set") }
        problems += streams.compactMap(\.problem)
        problems += linkProblems()
    }

    private mutating func addSubflows(of stream: Int, _ network: Network) {
        guard let snapshot = network.snapshot(of: stream) else { return }
        for subflow in snapshot.subflows {
            guard let path = Self.path(of: subflow.remote.address), path < uploadedBytes.count else { continue }
            retransmissions[path] += subflow.segmentsRetransmitted
            if streams[stream].isClient {
                downloadedBytes[path] += subflow.bytesReceived
            } else {
                uploadedBytes[path] += subflow.bytesReceived
            }
        }
    }

    private static func path(of address: IPAddress) -> Int? {
        address.isIPv6 ? Int(address.high & 0xffff) - 1 : Int(address.ipv4 >> 8 & 0xff) - 1
    }

    /// What the links themselves must have kept.
    private func linkProblems() -> [String] {
        var sentences: [String] = []
        for (index, link) in links.enumerated() {
            for (name, counters) in [("forward", link.forward), ("backward", link.backward)] {
                if counters.deliveredPackets + counters.droppedPackets > counters.offeredPackets + counters.duplicated {
                    sentences.append("path \(index + 1) \(name) delivered more than it was offered")
                }
                if counters[.badSize] > 0 {
                    sentences.append("path \(index + 1) \(name): \(counters[.badSize]) packets longer than the MTU")
                }
            }
        }
        return sentences
    }
}
