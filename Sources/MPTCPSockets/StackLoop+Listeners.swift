internal import HostStack
internal import MPTCPConnection
internal import TransportValues

struct ListenerRecord {
    /// Tasks that wait for a connection, in the order they came.
    var waiters: [Waiter] = []
}

extension StackLoop {
    func listen(
        on local: Endpoint, backlog: Int, configuration: ConnectionConfiguration?
    ) throws(SocketError) -> ListenerID {
        if isShutDown { throw .shutDown }
        guard local.port == 0 else { return try listenNow(on: local, backlog, configuration) }
        // Any free port: the range of RFC 6335 §6 that is nobody's.
        var problem = SocketError.exhausted("no local port is free")
        for _ in 0..<128 {
            do throws(SocketError) {
                return try listenNow(on: Endpoint(local.address, .random(in: 49_152...65_535)), backlog, configuration)
            } catch .addressInUse(let text) {
                problem = .addressInUse(text)
            }
        }
        throw problem
    }

    private func listenNow(
        on local: Endpoint, _ backlog: Int, _ configuration: ConnectionConfiguration?
    ) throws(SocketError) -> ListenerID {
        try reservations.reserve(listening: local)
        if let port = (configuration ?? engine.host.defaultConfiguration).joinPort {
            try reservations.reserve(listening: Endpoint(local.address, port))
        }
        try applyReservations()
        do throws(HostError) {
            let id = try engine.host.listen(on: local, backlog: backlog, configuration: configuration, now: now)
            listeners[id] = ListenerRecord()
            return id
        } catch {
            throw SocketError(error)
        }
    }

    /// The next connection whose handshake is done; nil once the listener is closed.
    func accept(_ listener: ListenerID) async throws(SocketError) -> ConnectionID? {
        while listeners[listener] != nil {
            if let id = engine.host.accept(listener) {
                connections[id] = ConnectionRecord(phase: .open)
                return id
            }
            if await waitForConnection(listener) == .cancelled { throw .cancelled(bytesTaken: 0) }
        }
        return nil
    }

    private func waitForConnection(_ listener: ListenerID) async -> WaitOutcome {
        let ticket = nextAcceptTicket()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                listeners[listener]?.waiters.append(Waiter(ticket: ticket, continuation: continuation))
            }
        } onCancel: {
            Task { await self.cancelAccept(listener, ticket) }
        }
    }

    private func cancelAccept(_ listener: ListenerID, _ ticket: UInt64) {
        guard let index = listeners[listener]?.waiters.firstIndex(where: { $0.ticket == ticket }) else { return }
        listeners[listener]?.waiters.remove(at: index).continuation.resume(returning: .cancelled)
    }

    /// Wakes all that wait: a connection may have come, and each looks for itself.
    func resumeAccept(_ listener: ListenerID) {
        guard let waiters = listeners[listener]?.waiters else { return }
        listeners[listener]?.waiters = []
        for waiter in waiters { waiter.continuation.resume(returning: .ready) }
    }

    /// Takes no more connections; those accepted go on, those that wait in the queue are reset.
    func closeListener(_ listener: ListenerID) {
        guard listeners[listener] != nil else { return }
        resumeAccept(listener)
        listeners[listener] = nil
        engine.host.closeListener(listener, now: now)
    }
}
