// "Never slower than the best path", in the simulator: path A of 100 Mbit/s and 10 ms round trip beside a path B of every
// kind, in two transfers of 4 and 64 MB (issue 4, "done when" 3). Goodput in Mbit/s from the SYN to the last byte read.
//
//     Grid [--bytes 4e6,64e6] [--scheduler NAME] [--congestion NAME] [--rates 1,5] [--delays 10,50] [--losses 0,1]
//          [--queues 1] [--seed N] [--all] [--capture FILE.pcap]
//
// --capture writes the packets that both hosts received in the last cell with both paths.
//
// A cell fails when both paths together carry less than 98 % of the better one alone, or, in the long transfer and where
// the worse path could add more than 5 %, less than 95 % of both alone together. Only failures are listed; --all: every
// cell. Exit status 1 when a cell fails.

import Glibc
import MPTCPConnection
import NetworkSimulation
import TransportPolicies
import TransportValues
import WireFormats

/// Path B of one cell.
struct Cell: Sendable {
    var rate: Double
    var roundTrip: Int64
    var lossPercent: Double
    var queue: Double

    var path: PathSpec { Self.path(rate: rate, roundTrip: roundTrip, loss: lossPercent / 100, queue: queue) }

    /// The queue holds `queue` times what the path holds, at least three packets.
    static func path(rate: Double, roundTrip: Int64, loss: Double, queue: Double) -> PathSpec {
        let product = rate * 125 * Double(roundTrip)
        return PathSpec(
            rate: BitRate(bitsPerSecond: Int64(rate * 1e6)), roundTrip: .milliseconds(roundTrip), loss: loss,
            queueBytes: max(4_500, Int(queue * product)))
    }

    var text: String { "B \(Int(rate)) Mbit/s \(roundTrip) ms loss \(lossPercent) % queue \(queue) BDP" }
}

struct Settings: Sendable {
    var sizes: [Int64] = [4_000_000, 64_000_000]
    var rates: [Double] = [1, 5, 10, 50, 100]
    var delays: [Double] = [10, 50, 200, 600]
    var losses: [Double] = [0, 0.1, 1]
    var queues: [Double] = [0.25, 1, 4]
    var scheduler: SchedulerAlgorithm?
    var congestion: CongestionAlgorithm?
    var seed: UInt64 = 1
    var showsAll = false
    var capture: String?

    init(_ arguments: [String]) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            if name == "--all" {
                showsAll = true
                continue
            }
            guard let text = rest.popFirst() else { Self.usage("\(name) needs a value") }
            let numbers = text.split(separator: ",").compactMap { Double($0) }
            switch name {
            case "--bytes": sizes = numbers.map { Int64($0) }
            case "--rates": rates = numbers
            case "--delays": delays = numbers
            case "--losses": losses = numbers
            case "--queues": queues = numbers
            case "--seed": seed = UInt64(text) ?? 1
            case "--capture": capture = text
            case "--scheduler":
                scheduler = SchedulerAlgorithm(rawValue: text)
                if scheduler == nil { Self.usage("no scheduler '\(text)'") }
            case "--congestion":
                congestion = CongestionAlgorithm(rawValue: text)
                if congestion == nil { Self.usage("no congestion control '\(text)'") }
            default: Self.usage("no option '\(name)'")
            }
        }
    }

    static func usage(_ problem: String) -> Never {
        print("Grid: \(problem); the options stand at the top of Checks/Grid/Grid.swift")
        exit(2)
    }

    var cells: [Cell] {
        rates.flatMap { rate in
            delays.flatMap { delay in
                losses.flatMap { loss in
                    queues.map { Cell(rate: rate, roundTrip: Int64(delay), lossPercent: loss, queue: $0) }
                }
            }
        }
    }

    private func run(_ scenario: TwoPathScenario) -> ScenarioOutcome {
        guard let capture, scenario.paths.count == 2, let file = unsafe fopen(capture, "w") else { return scenario.run() }
        var bytes: [UInt8] = []
        PcapWriter.header(.rawIP, into: &bytes)
        let outcome = scenario.run { packet, sighting in
            PcapWriter.record(packet, time: sighting.time.nanoseconds, into: &bytes)
        }
        _ = unsafe fwrite(bytes, 1, bytes.count, file)
        unsafe fclose(file)
        return outcome
    }

    /// Mbit/s; nil when the transfer failed.
    func goodput(_ paths: [PathSpec], bytes: Int64) -> Double? {
        var scenario = TwoPathScenario(seed: seed, paths: paths, bytes: bytes)
        scenario.timeLimit = .seconds(36_000)
        if let scheduler { scenario.client.scheduler = scheduler }
        if let congestion { scenario.client.congestion = congestion }
        let outcome = run(scenario)
        guard outcome.isIntact,
            let read = outcome.streams.filter({ !$0.isClient }).compactMap(\.lastByte).max()
        else {
            print("FAILED", outcome.problems)
            return nil
        }
        return Double(bytes) * 8e-6 / (read - .zero).seconds
    }
}

/// What one cell and size came to.
struct Verdict: Sendable {
    var cell: Cell
    var bytes: Int64
    var a: Double
    var b: Double
    var both: Double

    var best: Double { max(a, b) }
    var sum: Double { a + b }
    /// The worse path could add more than 5 %.
    var counts: Bool { min(a, b) > 0.05 * sum }
    var isNotSlower: Bool { both >= 0.98 * best }
    var addsUp: Bool { bytes < 32_000_000 || !counts || both >= 0.95 * sum }

    var text: String {
        let ratio = both / best
        return
            "\(Double(bytes) / 1e6) MB  A \(round1(a))  B \(round1(b))  both \(round1(both))  "
            + "\(round2(ratio)) × best, \(round2(both / sum)) × sum  \(cell.text)"
    }
}

func round1(_ value: Double) -> Double { (value * 10).rounded() / 10 }
func round2(_ value: Double) -> Double { (value * 100).rounded() / 100 }

@main
struct Grid {
    static func main() async {
        let settings = Settings(Array(CommandLine.arguments.dropFirst()))
        var verdicts: [Verdict] = []
        for bytes in settings.sizes {
            let a = Cell.path(rate: 100, roundTrip: 10, loss: 0, queue: 1)
            guard let alone = settings.goodput([a], bytes: bytes) else { exit(1) }
            let found = await withTaskGroup(of: Verdict?.self) { group in
                for cell in settings.cells {
                    group.addTask {
                        guard let b = settings.goodput([cell.path], bytes: bytes),
                            let both = settings.goodput([a, cell.path], bytes: bytes)
                        else { return nil }
                        return Verdict(cell: cell, bytes: bytes, a: alone, b: b, both: both)
                    }
                }
                var all: [Verdict] = []
                for await verdict in group {
                    guard let verdict else { exit(1) }
                    all.append(verdict)
                }
                return all
            }
            verdicts += found.sorted { $0.both / $0.best < $1.both / $1.best }
        }
        for verdict in verdicts where settings.showsAll || !verdict.isNotSlower || !verdict.addsUp {
            print((verdict.isNotSlower ? "" : "SLOWER ") + (verdict.addsUp ? "" : "LESS ") + verdict.text)
        }
        let slower = verdicts.filter { !$0.isNotSlower }.count
        let less = verdicts.filter { !$0.addsUp }.count
        print("\(verdicts.count) cells; slower than the better path: \(slower); less than 95 % of both: \(less)")
        if slower + less > 0 { exit(1) }
    }
}
