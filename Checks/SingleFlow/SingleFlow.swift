// One flow on one link, and two flows on one link, by congestion controller, in the simulator.
//
//     SingleFlow [--seconds N] [--seeds N] [--only NAME,NAME]
//
// Goodput in per cent of what the link can carry as payload with the headers of full segments counted, over the whole
// run from the SYN on; beside it retransmitted segments in per cent of those that were sent.

import MPTCPConnection
import NetworkSimulation
import TransportPolicies
import TransportValues

/// What one run came to.
struct Sample {
    /// 0…1 of the link's capacity for payload.
    var share = 0.0
    /// 0…1 of all segments.
    var retransmitted = 0.0
    /// Of each flow, 0…1, by the order of opening.
    var shares: [Double] = []
    /// The longest the queue ever was, in multiples of what the link carries in a round trip.
    var peakQueue = 0.0
}

struct Trial {
    var algorithms: [CongestionAlgorithm]
    var milliseconds: Int64
    /// Of the bandwidth-delay product.
    var queue: Double
    var loss = 0.0
    var reordering = 0.0
    var seconds: Int64
    var seed: UInt64
    /// The first flow is Multipath TCP with two subflows, both over the one link.
    var isMultipath = false
    /// Between the beginnings of two flows.
    var stagger = TimeSpan.zero

    static let rate: Int64 = 100_000_000
    static let mtu = 1_500
    /// Beside IPv4 and TCP headers 12 bytes of timestamps.
    static let payload = 1_448

    func run() -> Sample {
        let network = Network(seed: seed)
        let product = Double(Self.rate) / 8 * Double(milliseconds) / 1_000
        let forward = LinkConfiguration(
            rate: BitRate(bitsPerSecond: Self.rate), delay: .microseconds(milliseconds * 500),
            queueBytes: max(2 * Self.mtu, Int(queue * product)), loss: loss, reordering: reordering,
            reorderingDelay: .microseconds(milliseconds * 250 + 1_000), mtu: Self.mtu)
        var backward = forward
        backward.loss = 0
        backward.reordering = 0
        let (client, server) = (network.addHost("client"), network.addHost("server"))
        let (near, far) = (IPAddress(10, 0, 0, 1), IPAddress(10, 0, 0, 2))
        let second = IPAddress(10, 0, 0, 3)
        let link = network.connect(
            LinkPort(client, name: "a", addresses: isMultipath ? [(near, 24), (second, 24)] : [(near, 24)]),
            LinkPort(server, name: "b", addresses: [(far, 24)]),
            forward: forward, backward: backward)
        var settings = ConnectionConfiguration()
        settings.multipath = .off
        settings.sendBuffer = 32 << 20
        settings.receiveBuffer = 32 << 20
        let endless = Int64(1) << 40
        if isMultipath { settings.multipath = .version1 }
        try! network.serve(server, on: Endpoint(far, 80), plan: StreamPlan(expects: endless), configuration: settings)
        for (index, algorithm) in algorithms.enumerated() {
            var own = settings
            own.congestion = algorithm
            if index > 0 { own.multipath = .off }
            network.schedule(at: .zero + stagger * Int64(index)) { network in
                _ = try? network.open(
                    client, to: Endpoint(far, 80), plan: StreamPlan(sends: endless), configuration: own)
            }
        }
        let start = MonotonicInstant.zero + stagger * Int64(algorithms.count - 1)
        // With several flows what counts is the second half of their time together.
        let middle = start + (algorithms.count > 1 ? .seconds(seconds) / 2 : .zero)
        _ = network.run(until: middle)
        let before = received(network)
        _ = network.run(until: start + .seconds(seconds))
        let after = received(network)
        let span = (network.now - middle).seconds
        let capacity = Double(Self.rate) / 8 * Double(Self.payload) / Double(Self.mtu) * span
        var sample = Sample()
        sample.shares = zip(after, before + Array(repeating: 0, count: after.count)).map { Double($0 - $1) / capacity }
        sample.share = sample.shares.reduce(0, +)
        let flows = network.streams.indices.filter { network.streams[$0].isClient }
        let snapshots = flows.compactMap { network.snapshot(of: $0)?.subflows.first }
        let sent = snapshots.reduce(0.0) { $0 + Double($1.bytesSent) / Double(Self.payload) }
        sample.retransmitted = snapshots.reduce(0.0) { $0 + Double($1.segmentsRetransmitted) } / max(1, sent)
        sample.peakQueue = Double(network.counters(of: link, from: .a).peakQueueBytes) / product
        return sample
    }

    private func received(_ network: Network) -> [Int64] {
        network.streams.filter { !$0.isClient }.map(\.received)
    }
}

@main
struct SingleFlow {
    static func main() {
        var seconds: Int64 = 15
        var seeds: UInt64 = 1
        var names = CongestionAlgorithm.allCases
        var arguments = CommandLine.arguments.dropFirst()
        while let option = arguments.popFirst(), let value = arguments.popFirst() {
            switch option {
            case "--seconds": seconds = Int64(value) ?? seconds
            case "--seeds": seeds = UInt64(value) ?? seeds
            case "--only": names = value.split(separator: ",").compactMap { CongestionAlgorithm(rawValue: String($0)) }
            default: return print("SingleFlow [--seconds N] [--seeds N] [--only NAME,NAME]")
            }
        }
        let heads = names.map { pad($0.rawValue, 16) }.joined()
        print("One flow, 100 Mbit/s, \(seconds) s: goodput in % of capacity (retransmitted %)")
        print(pad("round trip, queue, impairment", 34) + heads)
        for milliseconds in [10, 50, 200] as [Int64] {
            for queue in [0.25, 1, 4] {
                for (label, loss, reordering) in [
                    ("", 0, 0), ("0.1 % loss", 0.001, 0), ("1 % loss", 0.01, 0), ("2 % reordered", 0, 0.02),
                ] as [(String, Double, Double)] {
                    let cells = names.map { name in
                        cell(seeds) { seed in
                            Trial(
                                algorithms: [name], milliseconds: milliseconds, queue: queue, loss: loss,
                                reordering: reordering, seconds: seconds, seed: seed
                            ).run()
                        }
                    }
                    print(pad("\(milliseconds) ms, \(queue) BDP \(label)", 34) + cells.joined())
                }
            }
        }
        fairness(names, seconds: 2 * seconds, seeds: seeds)
        coupling(names, seconds: 2 * seconds, seeds: seeds)
    }

    /// Two subflows of one connection against one TCP on the same link (RFC 6356 §2, goal 2: do no harm).
    private static func coupling(_ names: [CongestionAlgorithm], seconds: Int64, seeds: UInt64) {
        print(
            "\nTwo subflows of one connection and one TCP, 100 Mbit/s, 1 BDP: shares in % over the last \(seconds / 2) s"
        )
        for milliseconds in [10, 50] as [Int64] {
            for name in names {
                let single: CongestionAlgorithm = name.isCoupled ? .newreno : name
                var shares = [0.0, 0.0]
                for seed in 1...max(1, seeds) {
                    var trial = Trial(
                        algorithms: [name, single], milliseconds: milliseconds, queue: 1, seconds: seconds, seed: seed,
                        stagger: .seconds(1))
                    trial.isMultipath = true
                    let sample = trial.run()
                    for flow in 0..<min(2, sample.shares.count) { shares[flow] += sample.shares[flow] / Double(seeds) }
                }
                print(
                    pad("\(milliseconds) ms, 2 × \(name.rawValue) + \(single.rawValue)", 34)
                        + pad(tenths(shares[0] * 100), 8) + pad(tenths(shares[1] * 100), 8)
                        + "ratio \(tenths(shares[1] > 0 ? shares[0] / shares[1] : 0))")
            }
        }
    }

    private static func cell(_ seeds: UInt64, _ run: (UInt64) -> Sample) -> String {
        let samples = (1...max(1, seeds)).map(run)
        let share = samples.reduce(0.0) { $0 + $1.share } / Double(samples.count)
        let again = samples.reduce(0.0) { $0 + $1.retransmitted } / Double(samples.count)
        return pad("\(tenths(share * 100)) (\(tenths(again * 100)))", 16)
    }

    private static func fairness(_ names: [CongestionAlgorithm], seconds: Int64, seeds: UInt64) {
        print(
            "\nTwo flows, 100 Mbit/s, 1 BDP, the second 3 s late: shares in % over the last \(seconds / 2) s, Jain's index"
        )
        let reference = CongestionAlgorithm.cubic
        for milliseconds in [10, 50] as [Int64] {
            for name in names {
                for pair in name == reference ? [[name, name]] : [[name, name], [name, reference]] {
                    let samples = (1...max(1, seeds)).map { seed in
                        Trial(
                            algorithms: pair, milliseconds: milliseconds, queue: 1, seconds: seconds, seed: seed,
                            stagger: .seconds(3)
                        ).run()
                    }
                    let shares = (0..<2).map { flow in
                        samples.reduce(0.0) { $0 + ($1.shares.count > flow ? $1.shares[flow] : 0) }
                            / Double(samples.count)
                    }
                    let squares = shares.reduce(0.0) { $0 + $1 * $1 }
                    let sum = shares.reduce(0, +)
                    let label = "\(milliseconds) ms, \(pair[0].rawValue) + \(pair[1].rawValue)"
                    print(
                        pad(label, 34) + pad(tenths(shares[0] * 100), 8) + pad(tenths(shares[1] * 100), 8)
                            + "Jain \(tenths(squares > 0 ? sum * sum / (2 * squares) * 100 : 0)) %")
                }
            }
        }
    }

    private static func tenths(_ value: Double) -> String {
        let scaled = Int(value * 10 + 0.5)
        return "\(scaled / 10).\(scaled % 10)"
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
