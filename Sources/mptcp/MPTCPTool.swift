import ArgumentParser
import CLinux
import Dispatch
import Glibc
import Synchronization

/// The root command; each subcommand is a file of its own.
struct MPTCPTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mptcp",
        abstract: "Multipath TCP in user space",
        discussion: """
            Exit status: 0 when every byte arrived and the connection closed cleanly; 1 when the network or the peer \
            failed; 2 for unusable arguments; 3 where a privilege is missing; 130 and 143 after SIGINT and SIGTERM.
            """,
        subcommands: [DemoCommand.self, CatCommand.self, BenchCommand.self, LinkCommand.self, ShowCommand.self])
}

/// A command that moves data through a stack: it runs as a task, ends in order on SIGINT and SIGTERM, and says in one
/// line what went wrong.
protocol TransferCommand: AsyncParsableCommand, Sendable {
    /// Throws ``ToolFailure``, `ValidationError` or `SocketError`.
    func transfer() async throws
}

extension TransferCommand {
    func run() async throws { try await transfer() }
}

@main
enum Main {
    static func main() {
        var failure: ToolFailure?
        do {
            let parsed = try MPTCPTool.parseAsRoot()
            if let command = parsed as? any TransferCommand {
                // Before any other thread starts: all of them inherit the mask.
                Signals.block()
                failure = wait(for: command)
            } else {
                var command = parsed
                try command.run()
            }
        } catch {
            end(with: error)
        }
        guard let failure else { exit(0) }
        standardError("mptcp: \(failure.line)")
        exit(failure.status)
    }

    /// Blocks the main thread, on purpose: an asynchronous `main` would hand it to Dispatch, which waits for signals
    /// there with none blocked, so that the first SIGTERM would end the process without a word.
    private static func wait(for command: any TransferCommand) -> ToolFailure? {
        let outcome = Outcome()
        Task.detached {
            let failure = await run(command)
            outcome.failure.withLock { $0 = failure }
            outcome.done.signal()
        }
        outcome.done.wait()
        return outcome.failure.withLock { $0 }
    }

    private final class Outcome: Sendable {
        let done = DispatchSemaphore(value: 0)
        let failure = Mutex<ToolFailure?>(nil)
    }

    private static func run(_ command: any TransferCommand) async -> ToolFailure? {
        do {
            try await Signals.runCancellable { try await command.transfer() }
            return nil
        } catch let error as ToolFailure {
            return error
        } catch let error as ValidationError {
            return ToolFailure(status: 2, error.message)
        } catch {
            return ToolFailure(error)
        }
    }

    /// Help and versions go out as the parser wants; a usage error is one line and status 2 (the parser's own is 64).
    private static func end(with error: any Error) -> Never {
        if let code = error as? ExitCode { exit(code.rawValue) }
        if let failure = error as? ToolFailure {
            standardError("mptcp: \(failure.line)")
            exit(failure.status)
        }
        let code = MPTCPTool.exitCode(for: error)
        if code.isSuccess { MPTCPTool.exit(withError: error) }
        // The parser lists the values of an option on lines of their own.
        let message = MPTCPTool.message(for: error).split(separator: "\n")
            .map { line in
                let text = line.drop { $0 == " " }
                return text.hasPrefix("- ") ? text.dropFirst(2) : text
            }.joined(separator: " ")
        standardError("mptcp: \(message); `mptcp --help` tells what is understood")
        exit(code == .validationFailure ? 2 : 1)
    }
}
