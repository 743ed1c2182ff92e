import Logging
import MPTCPConnection
import MPTCPSockets
import Synchronization
import TransportValues

/// What a command does with one connection. Returns when everything has arrived both ways; its time is the report's.
typealias Conversation = @Sendable (MPTCPSocket, MPTCPStack) async throws -> Void

/// One run of a command with a stack: the connection is made or accepted, used, and reported on, well or not.
struct TransferRun {
    let common: CommonOptions
    let destination: DestinationArguments
    /// Accept one connection after another.
    let keep: Bool
    let logger: Logger

    /// How long both ends may take to close subflows when the stream is over, and to be told of an abort.
    private static let closingTime = Duration.seconds(5)

    private final class Record: Sendable {
        struct State {
            var began = ContinuousClock.now
            var seconds = 0.0
            var connection: ConnectionSnapshot?
        }
        let state = Mutex(State())

        func begin() { state.withLock { $0.began = .now } }

        func end(_ snapshot: ConnectionSnapshot?) {
            state.withLock { state in
                state.seconds = (ContinuousClock.now - state.began).inSeconds
                if let snapshot { state.connection = snapshot }
            }
        }

        func update(_ snapshot: ConnectionSnapshot?) {
            guard let snapshot else { return }
            state.withLock { $0.connection = snapshot }
        }
    }

    func perform(_ conversation: @escaping Conversation) async throws {
        let file = try ReportFile.open(common.report)
        let record = Record()
        var stack: MPTCPStack?
        var failure: (any Error)?
        do {
            let opened = try common.openStack()
            stack = opened
            if common.connection.rememberPeers { await opened.remember(PeerFile.standard.read()) }
            for path in await opened.paths() {
                let addresses = path.addresses.map(\.description).joined(separator: ", ")
                logger.info("path \(path.name): \(addresses.isEmpty ? "no address yet" : addresses)")
            }
            if let port = destination.listen {
                try await serve(opened, port, record, conversation)
            } else {
                try await call(opened, record, conversation)
            }
        } catch {
            failure = error
        }
        let paths = await stack?.paths() ?? []
        if common.connection.rememberPeers, let stack {
            let isKept = PeerFile.standard.merge(await stack.knownPeers(), networks: await stack.networks())
            if !isKept { logger.notice("cannot write \(PeerFile.standard.path): nothing learnt is kept") }
        }
        for (name, value) in await stack?.counters() ?? [] where value > 0 { logger.debug("\(name) \(value)") }
        await stack?.shutDown()
        if let lost = await stack?.captureFailure() { standardError("mptcp: \(lost)") }
        let told = record.state.withLock { ($0.seconds, $0.connection) }
        let report = RunReport(
            role: destination.listen == nil ? .client : .server, seconds: told.0, connection: told.1, paths: paths)
        try writeReport(file, report, afterFailure: failure != nil)
        if let failure { throw Signals.received.map(Self.interrupted) ?? ToolFailure(failure) }
    }

    private func writeReport(_ file: borrowing ReportFile?, _ report: RunReport, afterFailure: Bool) throws {
        do throws(ToolFailure) {
            switch file {
            case .some(let file): try file.write(report)
            case .none: break
            }
        } catch {
            // The first failure is the one to tell in the end.
            guard afterFailure else { throw error }
            standardError("mptcp: \(error.line)")
        }
    }

    private static func interrupted(_ signal: Int32) -> ToolFailure {
        ToolFailure(status: 128 + signal, "ended by signal \(signal) (the connection was aborted)")
    }

    // MARK: The two ends

    private func call(_ stack: MPTCPStack, _ record: Record, _ conversation: @escaping Conversation) async throws {
        let endpoints = try destination.endpoints()
        var failure: ToolFailure?
        for endpoint in endpoints {
            record.begin()
            do throws(SocketError) {
                let socket = try await stack.open(to: endpoint)
                do throws(SocketError) {
                    try await socket.waitUntilConnected()
                } catch {
                    record.end(await socket.snapshot())
                    throw error
                }
                logger.info("connected to \(endpoint)")
                return try await use(socket, stack, record, conversation)
            } catch .cancelled {
                throw SocketError.cancelled(bytesTaken: 0)
            } catch {
                var tagged = ToolFailure(error)
                tagged.line = "\(endpoint): \(tagged.line)"
                failure = tagged
                logger.info("\(tagged.line)")
            }
        }
        throw failure ?? ToolFailure(status: 1, "the name has no address")
    }

    private func serve(
        _ stack: MPTCPStack, _ port: UInt16, _ record: Record, _ conversation: @escaping Conversation
    ) async throws {
        let listener = try await stack.listen(port: port)
        logger.info("listening at port \(port)")
        repeat {
            guard let socket = try await listener.accept() else { return }
            let peer = await socket.snapshot()?.remote
            logger.info("accepted \(peer.map { "\($0)" } ?? "a connection")")
            // What queues up behind the only connection that is wanted is refused, not kept waiting.
            if !keep { await listener.close() }
            record.begin()
            do {
                try await use(socket, stack, record, conversation)
            } catch {
                guard keep, Signals.received == nil else { throw error }
                standardError("mptcp: \(ToolFailure(error).line)")
            }
        } while keep
    }

    /// The conversation, then the close; after a failure an abort. The record has the last words.
    private func use(
        _ socket: MPTCPSocket, _ stack: MPTCPStack, _ record: Record, _ conversation: @escaping Conversation
    ) async throws(SocketError) {
        do {
            try await conversation(socket, stack)
        } catch {
            record.end(await socket.snapshot())
            await socket.abort()
            record.update(await socket.snapshot())
            // Failures that are no socket's, such as a cancelled sleep, are so only since the run was cancelled.
            throw error as? SocketError ?? .cancelled(bytesTaken: 0)
        }
        record.end(await socket.snapshot())
        if let reason = await socket.snapshot()?.fallback { logger.notice("Multipath TCP is not in use: \(reason)") }
        await within(Self.closingTime) { try? await socket.waitUntilClosed() }
        record.update(await socket.snapshot())
    }
}

/// Runs `body`, and cancels it when the time is over.
func within(_ limit: Duration, _ body: @escaping @Sendable () async -> Void) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await body() }
        group.addTask { try? await Task.sleep(for: limit) }
        await group.next()
        group.cancelAll()
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
