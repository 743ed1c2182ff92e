import Foundation

/// How a child ended.
public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    public var description: String {
        switch self {
        case .exited(let code): "exit status \(code)"
        case .signalled(let number): "signal \(number)"
        }
    }
}

/// A child with its input and output in files, so that neither side ever waits for a pipe.
///
/// It runs in a process group of its own under coreutils' `timeout`, so it ends even when this process is killed; on
/// deinitialisation it is killed and reaped.
public final class ChildProcess {
    public struct Streams {
        public var input: String
        /// nil: kept, and readable as `output`.
        public var output: String?
        public init(input: String = "/dev/null", output: String? = nil) {
            self.input = input
            self.output = output
        }
    }

    public let command: [String]
    public let process: Int32
    public let began = ContinuousClock.now
    public private(set) var ended: ContinuousClock.Instant?
    public private(set) var status: ExitStatus?
    private let scratch: ScratchFolder
    private let outputPath: String
    private let errorPath: String

    /// Starts `command`, found in PATH.
    /// - Parameter limit: seconds after which it is killed whatever happens here.
    public init(_ command: [String], streams: Streams = Streams(), limit: Int = 120) throws {
        self.command = command
        scratch = try ScratchFolder(prefix: "child")
        outputPath = streams.output ?? scratch.path("output")
        errorPath = scratch.path("error")
        process = try Self.spawn(
            ["timeout", "--kill-after=1", String(limit)] + command,
            input: streams.input, output: outputPath, error: errorPath)
    }

    deinit {
        if status == nil {
            kill(SIGKILL)
            var raw: Int32 = 0
            _ = unsafe waitpid(process, &raw, 0)
        }
    }

    public var isRunning: Bool { poll() == nil }

    /// Seconds from start to end, or to now.
    public var seconds: Double { ((ended ?? ContinuousClock.now) - began).seconds }

    public var output: String { Self.text(outputPath) }
    public var errorOutput: String { Self.text(errorPath) }

    /// To the whole group: a wrapper such as `ip netns exec` keeps nothing back.
    public func kill(_ signal: Int32) {
        if status == nil {
            _ = Glibc.kill(-process, signal)
        }
    }

    /// Waits at most `timeout` seconds; kills the child and throws when it has not ended by then.
    @discardableResult
    public func wait(timeout: Double) throws -> ExitStatus {
        if let status = wait(upTo: timeout) {
            return status
        }
        let said = summary
        kill(SIGKILL)
        _ = wait(upTo: 5)
        throw LabError("no end after \(timeout) s: \(said)")
    }

    /// nil: still running after `timeout` seconds.
    public func wait(upTo timeout: Double) -> ExitStatus? {
        let deadline = ContinuousClock.now + .seconds(timeout)
        var pause: UInt32 = 500
        while true {
            if let status = poll() { return status }
            if ContinuousClock.now >= deadline { return nil }
            usleep(pause)
            pause = min(pause * 2, 10_000)
        }
    }

    /// Waits until `marker` stands on standard output. Throws when the child ends or `timeout` seconds pass before.
    public func waitForOutput(_ marker: String, timeout: Double = 10) throws {
        let deadline = ContinuousClock.now + .seconds(timeout)
        while !output.contains(marker) {
            if !isRunning, !output.contains(marker) {
                throw LabError("ended before it said '\(marker)': \(summary)")
            }
            if ContinuousClock.now >= deadline {
                throw LabError("did not say '\(marker)' within \(timeout) s: \(summary)")
            }
            usleep(5_000)
        }
    }

    /// For messages: the command, its end, and what it said on standard error.
    public var summary: String {
        let end = status.map(\.description) ?? "running"
        return "`\(command.joined(separator: " "))`: \(end); stderr: \(errorOutput.suffix(2_000))"
    }

    private func poll() -> ExitStatus? {
        if let status { return status }
        var raw: Int32 = 0
        let result = unsafe waitpid(process, &raw, WNOHANG)
        guard result == process else { return nil }
        let signal = raw & 0x7f
        status = signal == 0 ? .exited((raw >> 8) & 0xff) : .signalled(signal)
        ended = ContinuousClock.now
        return status
    }

    private static func text(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    private static func spawn(
        _ command: [String], input: String, output: String, error: String
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let writing = O_WRONLY | O_CREAT | O_TRUNC
        unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output, writing, 0o644)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, error, writing, 0o644)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var process: pid_t = 0
        let failure = unsafe posix_spawnp(&process, command[0], &actions, &attributes, &arguments, environ)
        guard failure == 0 else {
            throw LabError("cannot start \(command[0]): error \(failure)")
        }
        return process
    }
}

public struct LabError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

extension Duration {
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// Runs `command` to its end and returns its standard output; throws unless it exits with 0.
@discardableResult
public func run(_ command: [String], timeout: Double = 30) throws -> String {
    let child = try ChildProcess(command, limit: Int(timeout) + 5)
    guard try child.wait(timeout: timeout) == .exited(0) else {
        throw LabError("failed: \(child.summary)")
    }
    return child.output
}

/// The same for a command without spaces in its words.
@discardableResult
public func run(_ command: String, timeout: Double = 30) throws -> String {
    try run(command.split(separator: " ").map(String.init), timeout: timeout)
}
