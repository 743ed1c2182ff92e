import Foundation
import LabSupport

/// One run of the built tool.
struct ToolProcess {
    var status: Int32
    var output: String
    var errorOutput: String

    static let tool: String = {
        if let named = ProcessInfo.processInfo.environment["MPTCP_TOOL"] { return named }
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        #if DEBUG
            return root + "/.build/debug/mptcp"
        #else
            return root + "/.build/release/mptcp"
        #endif
    }()

    /// Whether devices can be made in a namespace of their own.
    static let canMakeDevices =
        getuid() == 0 && FileManager.default.fileExists(atPath: "/dev/net/tun")
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/unshare")

    /// Runs it and waits for its end.
    /// - Parameters:
    ///   - prefix: a program that runs the tool.
    ///   - signalAfter: a signal, and the seconds after which it is sent.
    init(_ arguments: [String], prefix: [String] = [], signalAfter: (signal: Int32, seconds: Double)? = nil) throws {
        let process = Process()
        let command = prefix + [Self.tool] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        if let signalAfter {
            Thread.sleep(forTimeInterval: signalAfter.seconds)
            kill(process.processIdentifier, signalAfter.signal)
        }
        self.output = String(decoding: output.fileHandleForReading.readAll(), as: UTF8.self)
        errorOutput = String(decoding: errors.fileHandleForReading.readAll(), as: UTF8.self)
        process.waitUntilExit()
        status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    var errorLines: [Substring] { errorOutput.split(separator: "\n") }
}

/// A file's name that goes away with the value.
final class ScratchFile {
    let path = NSTemporaryDirectory() + "mptcp-tool-test-" + UUID().uuidString

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func json() throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    }
}
