import ArgumentParser
import MPTCPSockets

/// `mptcp cat`: standard input to the peer, the peer to standard output, like nc.
struct CatCommand: TransferCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Standard input to the peer, the peer to standard output",
        discussion: """
            End of input closes the sending side only; the program ends when both directions are done. With --listen \
            it serves one connection and announces its other addresses; with --keep more, one after another: standard \
            input goes to the first that takes it, --report tells of the last.

            When standard output is closed the peer is told at once (the connection is aborted) and the exit status \
            is 1. SIGINT and SIGTERM abort the connection, write the report and end with 130 and 143.
            """)

    @OptionGroup var destination: DestinationArguments
    @Flag(help: "With --listen: serve one connection after another") var keep = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if keep, destination.listen == nil { throw ValidationError("--keep goes with --listen") }
    }

    func transfer() async throws {
        let (input, output) = (StandardInput(), StandardOutput())
        let run = TransferRun(
            common: common, destination: destination, keep: keep, logger: common.makeLogger("mptcp.cat"))
        try await run.perform { socket, _ in
            do {
                try await Self.converse(socket, input, output)
            } catch {
                // What had come before is still for the reader, who may be slow, but not for ever.
                await within(.seconds(2)) { try? await output.flush() }
                throw error
            }
        }
    }

    private static func converse(
        _ socket: MPTCPSocket, _ input: StandardInput, _ output: StandardOutput
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await socket.send(from: input)
                try await socket.finishWriting()
                try await socket.waitUntilFinished()
            }
            group.addTask {
                _ = try await socket.receive(into: output)
                try await output.flush()
            }
            try await group.waitForAll()
        }
    }
}
