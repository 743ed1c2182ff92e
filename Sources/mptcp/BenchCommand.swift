import ArgumentParser
import MPTCPSockets

/// `mptcp bench`: how fast a connection is.
struct BenchCommand: TransferCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a connection's throughput",
        discussion: """
            Like iperf3, but without a control connection, so that any sink or source can be the other end. The \
            client writes for --seconds (or --bytes) and closes its side; with --receive it reads until the end. A \
            listener reads until the end; with --send it writes as well, for a client with --receive.

            The time runs from the connection's beginning until the last byte is acknowledged or has arrived.
            """)

    @OptionGroup var destination: DestinationArguments
    @Flag(help: "Read until the end instead of writing") var receive = false
    @Flag(help: "With --listen: write as well") var send = false
    @Option(help: "How long to write") var seconds = 10.0
    @Option(help: "Write so many bytes, however long that takes, e.g. 2GB") var bytes: ByteCount?
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if send, destination.listen == nil {
            throw ValidationError("--send goes with --listen; a client writes anyway")
        }
        if receive, destination.listen != nil {
            throw ValidationError("a listener receives anyway; --receive is for clients")
        }
        guard seconds.isFinite, seconds > 0, seconds <= 86_400 else {
            throw ValidationError("--seconds wants a number above 0, at most 86400")
        }
    }

    private var writes: Bool { destination.listen == nil ? !receive : send }

    func transfer() async throws {
        let plan = BenchPlan(writes: writes, seconds: seconds, bytes: bytes?.count)
        let run = TransferRun(
            common: common, destination: destination, keep: false, logger: common.makeLogger("mptcp.bench"))
        if let port = destination.listen { standardOutput("listening at port \(port)\n") }
        try await run.perform { socket, stack in try await BenchRun(plan: plan, socket: socket, stack: stack).perform()
        }
    }
}
