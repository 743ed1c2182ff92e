import LabSupport
import NetworkSimulation
import Testing

/// Rows of the table of middleboxes in real time against the kernel; `make kernel-boxes` runs them all.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct MiddleboxTests {
    struct Cell: Sendable, CustomTestStringConvertible {
        var row: String
        var ends: BoxEnds
        var direction: BoxTrial.Direction
        var paths: Int
        var outcomes: Set<BoxResult.Outcome>
        var testDescription: String { "\(row), \(ends.rawValue), \(direction.rawValue), \(paths) path(s)" }

        init(
            _ row: String, _ ends: BoxEnds, _ direction: BoxTrial.Direction, _ paths: Int,
            _ outcomes: Set<BoxResult.Outcome>
        ) {
            (self.row, self.ends, self.direction, self.paths, self.outcomes) = (row, ends, direction, paths, outcomes)
        }
    }

    static let cells = [
        Cell("NAT", .oursToKernel, .download, 2, [.multipath]),
        Cell("all options stripped", .oursToKernel, .upload, 1, [.plain]),
        Cell("all options stripped", .kernelToOurs, .upload, 2, [.plain]),
        Cell("stripped from data", .oursToKernel, .download, 1, [.multipath]),
        Cell("stripped from third ACK", .kernelToOurs, .download, 1, [.plain]),
        Cell("stripped after 60 packets", .oursToKernel, .upload, 2, [.multipath]),
        Cell("SYN with option dropped", .oursToKernel, .upload, 1, [.plain]),
        Cell("sequence numbers shifted", .kernelToOurs, .upload, 2, [.multipath]),
        Cell("segments split, options once", .oursToKernel, .download, 2, [.multipath]),
        Cell("payload: same", .oursToKernel, .download, 2, [.multipath]),
        Cell("data acknowledged early", .oursToKernel, .upload, 1, [.multipath, .plain]),
        Cell("MTU black hole", .oursToKernel, .upload, 1, [.multipath, .plain]),
        Cell("reset injected", .oursToKernel, .upload, 2, [.multipath]),
    ]

    @Test(.timeLimit(.minutes(2)), arguments: cells)
    func everyByteArrivesThroughIt(cell: Cell) throws {
        let row = try #require(MiddleboxCase.all.first { $0.name == cell.row })
        let trial = BoxTrial(row: row, ends: cell.ends, direction: cell.direction, paths: cell.paths)
        var result = try trial.run()
        // Another look on a busy machine.
        if !cell.outcomes.contains(result.outcome) { result = try trial.run() }
        #expect(cell.outcomes.contains(result.outcome), "\(result.mark): \(result.details)")
        //= RFC 8684 §3.7 and every way back to TCP has a reason
        #expect((result.fallback != nil) == (result.outcome == .plain), "\(result.fallback ?? "no reason")")
    }

    /// On the only path with checksums: refused, never handed up.
    @Test(.timeLimit(.minutes(2)))
    func damageOnTheOnlyPathIsRefused() throws {
        let row = try #require(MiddleboxCase.all.first { $0.name == "payload: same" })
        let result = try BoxTrial(row: row, ends: .oursToKernel, direction: .download, paths: 1).run()
        #expect(!result.oursIsToBlame, "\(result.details)")
        #expect([.refused, .hang].contains(result.outcome), "\(result.mark): \(result.details)")
    }
}
