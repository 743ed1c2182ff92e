// The table of middleboxes: every box × version × side × paths × seeds, in the simulator; exit status 1 when a transfer
// hung, was wrong, or was refused where it had to arrive.
//
//     Middleboxes [SEEDS] [NAME-PART]      default: 50 seeds, every row
//     Middleboxes --capture FILE.pcap NAME COLUMN SEED      one transfer (columns from 0), with what both hosts sent and got

import Glibc
import MPTCPConnection
import NetworkSimulation
import TransportValues
import WireFormats

/// What the seeds of one cell came to.
struct Tally {
    var multipath = 0
    var plain = 0
    var unconfirmed = 0
    var refused = 0
    var failures: [String] = []
    var longest = 0.0

    mutating func add(_ trial: MiddleboxTrial) {
        let (outcome, result) = trial.run()
        switch outcome {
        case .multipath: multipath += 1
        case .plain: plain += 1
        case .unconfirmed where trial.accepts(outcome): unconfirmed += 1
        case .refused where trial.accepts(outcome): refused += 1
        case .unconfirmed, .refused, .hang, .wrongByte, .broken: break
        }
        longest = max(longest, result.streams.map(\.longestSilence.seconds).max() ?? 0)
        if !trial.accepts(outcome) { failures.append("\(trial): \(outcome)") }
    }

    var text: String {
        var parts: [String] = []
        if multipath > 0 { parts.append("\(multipath) MP") }
        if plain > 0 { parts.append("\(plain) TCP") }
        if unconfirmed > 0 { parts.append("\(unconfirmed) unc") }
        if refused > 0 { parts.append("\(refused) err") }
        if !failures.isEmpty { parts.append("\(failures.count) BAD") }
        return parts.joined(separator: " ")
    }
}

@main
struct Middleboxes {
    static let columns: [(mode: MultipathMode, inside: LinkEnd, paths: Int)] = [
        (.version1, .a, 1), (.version1, .b, 1), (.version1, .a, 2), (.version1, .b, 2),
        (.version0, .a, 1), (.version0, .b, 1), (.version0, .a, 2), (.version0, .b, 2),
    ]

    static func main() async throws {
        let arguments = CommandLine.arguments
        if arguments.count == 6, arguments[1] == "--capture" { return try capture(Array(arguments.dropFirst(2))) }
        let seeds = arguments.count > 1 ? UInt64(arguments[1]) ?? 50 : 50
        let rows = MiddleboxCase.all.filter { arguments.count < 3 || $0.name.contains(arguments[2]) }
        print("\(rows.count) rows × \(columns.count) × \(seeds) seeds, 1 MB each; MP: intact over Multipath TCP, TCP: intact")
        print("as plain TCP, unc: intact but not confirmed to the sender, err: ended with an error and no wrong byte,")
        print("BAD: anything else, or an error where none may be.")
        let heads = columns.map {
            pad("v\($0.mode == .version1 ? 1 : 0) \($0.inside == .a ? "client" : "server") \($0.paths)p", 15)
        }
        print(pad("", 32) + heads.joined() + "longest silence")
        var failures: [String] = []
        for row in rows {
            let tallies = await withTaskGroup(of: (Int, Tally).self) { group in
                for (index, column) in columns.enumerated() {
                    group.addTask {
                        var tally = Tally()
                        for seed in 0..<seeds {
                            tally.add(
                                MiddleboxTrial(
                                    box: row, mode: column.mode, inside: column.inside, pathCount: column.paths,
                                    seed: seed))
                        }
                        return (index, tally)
                    }
                }
                var all = Array(repeating: Tally(), count: columns.count)
                for await (index, tally) in group { all[index] = tally }
                return all
            }
            let silence = tallies.map(\.longest).max() ?? 0
            print(pad(row.name, 32) + tallies.map { pad($0.text, 15) }.joined() + "\(Double(Int(silence * 10)) / 10) s")
            failures += tallies.flatMap(\.failures)
        }
        for failure in failures.prefix(60) { print("BAD \(failure)") }
        print(failures.isEmpty ? "every transfer ended as it should" : "\(failures.count) transfers went wrong")
        if !failures.isEmpty { exit(1) }
    }

    /// One transfer; a packet's link-level time tells nothing of its host, so addresses do.
    static func capture(_ arguments: [String]) throws {
        guard let row = MiddleboxCase.all.first(where: { $0.name == arguments[1] }), let column = Int(arguments[2]),
            columns.indices.contains(column), let seed = UInt64(arguments[3])
        else {
            print("no such cell; rows: \(MiddleboxCase.all.map(\.name))")
            exit(2)
        }
        let (mode, inside, paths) = columns[column]
        let trial = MiddleboxTrial(box: row, mode: mode, inside: inside, pathCount: paths, seed: seed)
        var file: [UInt8] = []
        PcapWriter.header(.rawIP, into: &file)
        let (outcome, result) = trial.run { packet, sighting in
            PcapWriter.record(packet, time: sighting.time.nanoseconds, into: &file)
        }
        print("\(trial): \(outcome)")
        for (name, counters) in [("client", result.clientCounters), ("server", result.serverCounters)] {
            print(name, counters.filter { $0.value > 0 }.map { "\($0.name)=\($0.value)" }.joined(separator: " "))
        }
        for stream in result.streams {
            for subflow in stream.snapshot?.subflows ?? [] {
                print("\(stream.hostName) \(subflow.local) \(subflow.remote) \(subflow.closeReason ?? "")")
            }
        }
        guard let output = unsafe fopen(arguments[0], "w") else { exit(1) }
        _ = unsafe fwrite(file, 1, file.count, output)
        unsafe fclose(output)
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
