// Random connections, faults and middleboxes in the simulator, with the stacks' invariants checked after every packet;
// exit status 1 when something did not hold.
//
//     Soak [HOURS] [FIRST-SEED]        default: 24 simulated hours from seed 0, in episodes of ten minutes, on two threads
//     Soak --episode SEED [FILE.pcap]    one episode again, with every packet that was sent and that arrived

import Glibc
import NetworkSimulation
import TransportValues
import WireFormats

/// Hands out episodes to the threads, prints and adds up what they came to.
actor SoakBoard {
    private var next: UInt64
    private let end: UInt64
    private(set) var outcomes: [SoakOutcome] = []
    private var residentFloor = 0

    init(first: UInt64, count: UInt64) {
        next = first
        end = first + count
    }

    func take() -> SoakEpisode? {
        guard next < end else { return nil }
        defer { next += 1 }
        return SoakEpisode(seed: next)
    }

    func report(_ outcome: SoakOutcome, seconds: Double) {
        outcomes.append(outcome)
        print(line(outcome, seconds: seconds))
        for violation in outcome.violations { print("    BROKEN \(violation)") }
        if !outcome.violations.isEmpty { print("    reproduce: .build/release/Soak --episode \(outcome.episode.seed)") }
        _ = fflush(nil)
    }
}

func line(_ outcome: SoakOutcome, seconds: Double) -> String {
    let failed = outcome.failed.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    return "seed \(outcome.episode.seed) \(outcome.episode.weather): \(outcome.connections) connections "
        + "(\(outcome.multipath) MP, \(outcome.plain) TCP, \(outcome.aborted) cut\(failed.isEmpty ? "" : ", " + failed)), "
        + "\(outcome.bytes / 1_000_000) MB, \(outcome.packets) packets, \(outcome.invariantChecks) checks, "
        + "peak \(outcome.peakBytes / 1024) KB a host, \(Int(seconds * 10) / 10).\(Int(seconds * 10) % 10) s, "
        + "resident \(residentKilobytes() / 1024) MB, digest \(String(outcome.digest.value, radix: 16))"
}

func residentKilobytes() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var buffer = [CChar](repeating: 0, count: 128)
    guard unsafe fgets(&buffer, 128, file) != nil else { return 0 }
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4 : 0
}

@main
struct Soak {
    static func main() async {
        let arguments = CommandLine.arguments
        if arguments.count > 2, arguments[1] == "--episode", let seed = UInt64(arguments[2]) {
            return again(seed, capture: arguments.count > 3 ? arguments[3] : nil)
        }
        let hours = arguments.count > 1 ? Double(arguments[1]) ?? 24 : 24
        let first = arguments.count > 2 ? UInt64(arguments[2]) ?? 0 : 0
        let count = UInt64(max(1, (hours * 6).rounded()))
        print(
            "\(Double(count) / 6) simulated hours: \(count) episodes of ten minutes, seeds \(first)..<\(first + count)")
        let start = ContinuousClock.now
        let board = SoakBoard(first: first, count: count)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    while let episode = await board.take() {
                        let begun = ContinuousClock.now
                        let outcome = episode.run()
                        await board.report(outcome, seconds: seconds(since: begun))
                    }
                }
            }
        }
        summarize(await board.outcomes, seconds: seconds(since: start))
    }

    static func seconds(since start: ContinuousClock.Instant) -> Double {
        let parts = (ContinuousClock.now - start).components
        return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
    }

    static func summarize(_ outcomes: [SoakOutcome], seconds: Double) {
        let connections = outcomes.reduce(0) { $0 + $1.connections }
        let packets = outcomes.reduce(0) { $0 + $1.packets }
        let checks = outcomes.reduce(0) { $0 + $1.invariantChecks }
        let broken = outcomes.filter { !$0.violations.isEmpty }.map(\.episode.seed).sorted()
        print("\(connections) connections, \(packets) packets, \(checks) checks of a connection, \(Int(seconds)) s")
        print("resident memory at the end: \(residentKilobytes() / 1024) MB")
        print(broken.isEmpty ? "everything held" : "broken seeds: \(broken)")
        if !broken.isEmpty { exit(1) }
    }

    static func again(_ seed: UInt64, capture: String?) {
        var file: [UInt8] = []
        PcapWriter.header(.rawIP, into: &file)
        let begun = ContinuousClock.now
        let outcome = SoakEpisode(seed: seed).run(
            tap: capture == nil
                ? nil
                : { packet, sighting in PcapWriter.record(packet, time: sighting.time.nanoseconds, into: &file) })
        print(line(outcome, seconds: seconds(since: begun)))
        for link in outcome.links { print(link) }
        for violation in outcome.violations { print("BROKEN \(violation)") }
        if let capture, let output = unsafe fopen(capture, "w") {
            _ = unsafe fwrite(file, 1, file.count, output)
            unsafe fclose(output)
        }
        if !outcome.violations.isEmpty { exit(1) }
    }
}
