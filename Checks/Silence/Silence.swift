// How long a receiver hears nothing when paths are lost, come back, or change their addresses in mid-transfer, in the
// simulator: two paths of 20 Mbit/s and 20 ms, 100 ms of queue; exit status 1 when a transfer was not intact or the
// silence was longer than it may be.
//
//     Silence [SEEDS]       default: 20 seeds

import Glibc
import MPTCPConnection
import NetworkSimulation
import TransportValues

struct Row: Sendable {
    var event: PathLossTrial.Event
    var mode: MultipathMode
    var isUpload: Bool

    /// Milliseconds beyond what can't be avoided; every seed, and the problems of those that were not intact.
    func measure(seeds: UInt64) -> (silences: [Double], problems: [String]) {
        var silences: [Double] = []
        var problems: [String] = []
        for seed in 0..<seeds {
            let trial = PathLossTrial(event: event, mode: mode, isUpload: isUpload, seed: seed)
            let (silence, outcome) = trial.run()
            silences.append((silence - event.unavoidable).seconds * 1000)
            if !outcome.isIntact { problems.append("\(trial): \(outcome.problems.prefix(3))") }
        }
        return (silences.sorted(), problems)
    }

    /// The most that is accepted: a quarter of a second where a sibling stays; some more where a path comes back, whose
    /// window is small and its queue still unknown; a retransmission timeout of two seconds, a round trip and the queue
    /// after all were away.
    var limit: Double {
        switch event {
        case .nothing, .lostForGood, .addressChanges: 250
        case .comesBack: 300
        case .allLost: 2_500
        }
    }
}

@main
struct Silence {
    static func main() async {
        let seeds = CommandLine.arguments.count > 1 ? UInt64(CommandLine.arguments[1]) ?? 20 : 20
        print(
            "two paths of 20 Mbit/s, 20 ms, queues of 100 ms; \(seeds) seeds; milliseconds without a byte at the receiver"
        )
        print("(after 20 s without any path: beyond those)")
        let rows = PathLossTrial.Event.allCases.flatMap { event in
            [MultipathMode.version1, .version0].flatMap { mode in
                [true, false].map { Row(event: event, mode: mode, isUpload: $0) }
            }
        }
        var failed = false
        await withTaskGroup(of: (Int, [Double], [String]).self) { group in
            for (index, row) in rows.enumerated() {
                group.addTask {
                    let (silences, problems) = row.measure(seeds: seeds)
                    return (index, silences, problems)
                }
            }
            var results: [Int: ([Double], [String])] = [:]
            for await (index, silences, problems) in group { results[index] = (silences, problems) }
            for (index, row) in rows.enumerated() {
                guard let (silences, problems) = results[index], let worst = silences.last else { continue }
                let name =
                    "\(row.event.rawValue), v\(row.mode == .version1 ? 1 : 0) \(row.isUpload ? "upload" : "download")"
                let isLong = worst > row.limit
                print(
                    name + String(repeating: " ", count: max(1, 44 - name.count))
                        + "median \(Int(silences[silences.count / 2].rounded()))  worst \(Int(worst.rounded()))"
                        + (isLong ? "  TOO LONG" : "")
                        + (problems.isEmpty ? "  intact" : "  \(problems.count) NOT INTACT"))
                for problem in problems { print("    \(problem)") }
                failed = failed || isLong || !problems.isEmpty
            }
        }
        if failed { exit(1) }
    }
}
