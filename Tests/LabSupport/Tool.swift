import Foundation

/// The report that `mptcp … --report FILE` leaves (shared/tool.md).
public struct ToolReport: Decodable, Sendable {
    public struct Subflow: Decodable, Sendable {
        public var local: String
        public var remote: String
        public var path: String?
        public var bytesSent: UInt64
        public var bytesReceived: UInt64
        public var segmentsRetransmitted: UInt64
        public var roundTripMilliseconds: Double?
        public var backup: Bool
        public var state: String
        public var closeReason: String?
    }
    public var role: String
    public var seconds: Double
    public var bytesSent: UInt64
    public var bytesReceived: UInt64
    public var multipath: Bool
    public var version: Int?
    public var fallback: String?
    public var checksum: Bool
    public var subflows: [Subflow]

    public init(contentsOf path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else { throw LabError("no report at \(path)") }
        do {
            self = try JSONDecoder().decode(ToolReport.self, from: data)
        } catch {
            throw LabError("report \(path): \(error): \(String(decoding: data.prefix(2_000), as: UTF8.self))")
        }
    }

    /// Bytes both ways by path, summed over its subflows: a full mesh may have two subflows a path.
    public var bytesByPath: [String: UInt64] {
        Dictionary(grouping: subflows) { $0.path ?? $0.local }
            .mapValues { $0.reduce(0) { $0 + $1.bytesSent + $1.bytesReceived } }
    }

    /// The smallest path's part of all bytes, 0…1; 0 when fewer than `paths` paths carried anything.
    public func smallestShare(paths: Int = 2) -> Double {
        let bytes = bytesByPath
        let total = bytes.values.reduce(0, +)
        guard bytes.count >= paths, total > 0 else { return 0 }
        return Double(bytes.values.min() ?? 0) / Double(total)
    }
}

/// One run of `mptcp` in a namespace, its streams in files.
public final class ToolRun {
    public let child: ChildProcess
    public let output: String
    private let reportPath: String
    private let scratch: ScratchFolder
    private let held: HeldInput?

    /// - Parameters:
    ///   - arguments: the command and its options, without `--report`.
    ///   - input: a file for standard input; nil: one that says nothing and stays open, see `wait(received:timeout:)`.
    public init(
        in namespace: Namespace, _ arguments: [String], input: String? = nil, limit: Int = 120
    ) throws {
        scratch = try ScratchFolder(prefix: "tool")
        output = scratch.path("output")
        reportPath = scratch.path("report.json")
        held = input == nil ? try HeldInput() : nil
        child = try namespace.start(
            [LabEnvironment.tool] + arguments + ["--report", reportPath],
            streams: ChildProcess.Streams(input: input ?? held?.path ?? "/dev/null", output: output), limit: limit)
    }

    /// Waits for its end; input that is held ends once `bytes` stand in the output.
    public func wait(received bytes: Int, timeout: Double) throws -> ExitStatus {
        let deadline = ContinuousClock.now + .seconds(timeout)
        while outputBytes < bytes, child.isRunning, ContinuousClock.now < deadline {
            usleep(10_000)
        }
        held?.release()
        return try child.wait(timeout: max(1, (deadline - ContinuousClock.now).seconds))
    }

    /// Ends an input that is held.
    public func endInput() { held?.release() }

    public func report() throws -> ToolReport { try ToolReport(contentsOf: reportPath) }

    public var outputSHA256: String { (try? TransferFile.sha256(ofFile: output)) ?? "no output" }
    public var outputBytes: Int {
        (try? FileManager.default.attributesOfItem(atPath: output)[.size] as? Int) ?? 0
    }
}
