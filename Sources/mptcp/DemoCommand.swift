import ArgumentParser
import Glibc
import NetworkSimulation
import TransportValues

/// `mptcp demo`: one connection over two emulated links, one of which is taken away and brought back.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "See one connection use two paths, and survive losing one",
        discussion: """
            Two hosts with the real stack run in this process, joined by two emulated links. The first moves data to \
            the second; in mid-transfer one link is taken away, and brought back. Every byte that arrives is compared \
            with the one that was sent. Needs no privilege and no second machine.
            """)

    @Option(help: "Bytes to move, e.g. 48MB")
    var bytes = DemoByteCount.standard

    @Option(help: "The same seed gives the same packets (default: drawn anew)")
    var seed: UInt64?

    @Option(help: ArgumentHelp("Packets lost on each link", valueName: "percent"))
    var loss = Probability.never

    @Flag(help: "Have the data checked by Multipath TCP's own checksums too")
    var checksum = false

    @Flag(help: "Run as fast as the machine can, not by the clock")
    var fast = false

    @Option(
        help: ArgumentHelp(
            "Write every packet the sender sent and received, one interface a path", valueName: "FILE.pcapng"))
    var capture: String?

    @Option(help: ArgumentHelp("Write the run's report as JSON", valueName: "FILE"))
    var report: String?

    func run() throws {
        let seed = seed ?? UInt64.random(in: 0...0xffff_ffff)
        let plan = DemoPlan(seed: seed, bytes: bytes.count, loss: loss.value, checksum: checksum)
        let capture = try capture.map { path throws(ExitCode) in try openCapture(path, plan) }
        var run = try DemoRun(plan, isPaced: !fast, capture: capture)
        let outcome = run.perform()
        if let report {
            do throws(DemoFileError) {
                try DemoFile.write(outcome.report, to: report)
            } catch {
                standardError("mptcp demo: could not write the report: \(error)")
                throw ExitCode(1)
            }
        }
        if !outcome.isIntact { throw ExitCode(1) }
    }

    private func openCapture(_ path: String, _ plan: DemoPlan) throws(ExitCode) -> DemoCapture {
        do throws(DemoFileError) {
            return try DemoCapture(path: path, paths: plan.paths.count)
        } catch {
            standardError("mptcp demo: could not write the capture: \(error)")
            throw ExitCode(2)
        }
    }
}

/// `48MB`, `1MiB` or a number of bytes, 1…100 GB.
struct DemoByteCount: ExpressibleByArgument, CustomStringConvertible {
    var count: Int64

    static var standard: Self { Self(count: 48_000_000) }

    init(count: Int64) { self.count = count }

    init?(argument: String) {
        guard case .bytes(let count)? = QueueLimit(argument), count <= 100_000_000_000 else { return nil }
        self.count = Int64(count)
    }

    var description: String { DemoFormat.bytes(count) }
    var defaultValueDescription: String { "48MB" }
}
