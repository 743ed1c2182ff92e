// The table of middleboxes in real time against the kernel: every box × who connects to whom × upload, download × one
// path, two; exit status 1 when ours hung, handed up a wrong byte, or failed where the bytes had to arrive. Needs root.
//
//     KernelBoxes [NAME-PART] [--inside server] [--ends ours→kernel] [--paths 1] [--jobs N] [--capture FOLDER]

import Foundation
import LabSupport
import NetworkSimulation
import Synchronization

struct Options {
    var part = ""
    var inside = LinkEnd.a
    var ends = BoxEnds.allCases
    var paths = [1, 2]
    var jobs = 3
    var capture: String?

    init(_ arguments: [String]) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch word {
            case "--inside": inside = rest.popFirst() == "server" ? .b : .a
            case "--ends": ends = rest.popFirst().flatMap(BoxEnds.init(rawValue:)).map { [$0] } ?? ends
            case "--paths": paths = rest.popFirst().flatMap { Int($0) }.map { [$0] } ?? paths
            case "--jobs": jobs = rest.popFirst().flatMap { Int($0) } ?? jobs
            case "--capture": capture = rest.popFirst()
            default: part = word
            }
        }
    }

    var rows: [MiddleboxCase] { MiddleboxCase.all.filter { part.isEmpty || $0.name.contains(part) } }

    func trials(_ row: MiddleboxCase) -> [BoxTrial] {
        ends.flatMap { ends in
            paths.flatMap { paths in
                BoxTrial.Direction.allCases.map { direction in
                    var trial = BoxTrial(row: row, ends: ends, direction: direction, paths: paths)
                    trial.inside = inside
                    return trial
                }
            }
        }
    }
}

/// What a trial came to, after a second look at a failure: the machine may have been busy.
struct Verdict {
    var trial: BoxTrial
    var result: BoxResult?
    var error: String?
    var repeated = false

    var isBad: Bool { trial.ends != .kernelToKernel && !(result.map(trial.accepts) ?? false) }

    var text: String { (result?.mark ?? "?") + (isBad ? "!" : "") }

    static func of(_ trial: BoxTrial, _ capture: String?) -> Verdict {
        var verdict = Verdict(trial: trial)
        for attempt in 0..<2 {
            do {
                verdict.result = try trial.run(capture: capture)
                verdict.error = nil
            } catch {
                verdict.error = "\(error)"
            }
            verdict.repeated = attempt > 0
            if !verdict.isBad { break }
        }
        return verdict
    }
}

@main
struct KernelBoxes {
    static func main() {
        let options = Options(Array(CommandLine.arguments.dropFirst()))
        if let reason = LabEnvironment.unavailable {
            print("KernelBoxes \(reason)")
            exit(3)
        }
        let rows = options.rows
        print(
            "\(rows.count) rows, \(options.inside == .a ? "client" : "server") inside, 1 MB each, upload/download; of two"
        )
        print(
            "paths the first has the box. MP: intact over Multipath TCP, TCP: intact as plain TCP, unc: intact but not")
        print(
            "confirmed to the sender, err: ended with an error and no wrong byte, WRONG: wrong or missing bytes without"
        )
        print(
            "an error, twice: the same since the kernel sends bytes twice, HANG: not over after 60 s, khang: only the kernel's end of it. !: ours fails. Ours runs with"
        )
        print("--keepalive 5 --user-timeout 20 --keep-pathless 10. Behind each pair the receivers' longest silence, s.")
        let heads = options.ends.flatMap { ends in options.paths.map { pad("\(ends.rawValue) \($0)p", 23) } }
        print(pad("", 32) + heads.joined())
        var failures: [Verdict] = []
        var remarks: [Verdict] = []
        for row in rows {
            let verdicts = perform(options.trials(row), options)
            var line = pad(row.name, 32)
            for pair in stride(from: 0, to: verdicts.count, by: 2) {
                let silence = max(verdicts[pair].result?.silence ?? 0, verdicts[pair + 1].result?.silence ?? 0)
                line += pad("\(verdicts[pair].text)/\(verdicts[pair + 1].text) \(decimal(silence))", 23)
            }
            print(line)
            failures += verdicts.filter(\.isBad)
            remarks += verdicts.filter {
                !$0.isBad && $0.trial.ends != .kernelToKernel && $0.result?.mark != "MP" && $0.result?.mark != "TCP"
            }
        }
        for verdict in remarks { print("remark: \(verdict.result?.details ?? "")") }
        for verdict in failures {
            print("FAILED: \(verdict.result?.details ?? "\(verdict.trial): \(verdict.error ?? "")")")
        }
        print(failures.isEmpty ? "ours failed nowhere" : "ours failed in \(failures.count) cells")
        exit(failures.isEmpty ? 0 : 1)
    }

    /// Some at a time: a trial mostly waits.
    private static func perform(_ trials: [BoxTrial], _ options: Options) -> [Verdict] {
        let verdicts = Mutex([Verdict?](repeating: nil, count: trials.count))
        let next = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: max(1, min(options.jobs, trials.count))) { _ in
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < trials.count else { return }
                let trial = trials[index]
                let file = options.capture.map { folder in
                    "\(folder)/\(trial.row.name)-\(trial.ends.rawValue)-\(trial.direction.rawValue)-\(trial.paths).pcapng"
                        .replacingOccurrences(of: " ", with: "_")
                }
                let verdict = Verdict.of(trial, trial.ends == .kernelToKernel ? nil : file)
                verdicts.withLock { $0[index] = verdict }
            }
        }
        return verdicts.withLock { $0.compactMap(\.self) }
    }

    /// The table grows while it is made, into a file as well.
    private static func print(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private static func decimal(_ value: Double) -> String { String(format: "%.2f", value) }
}
