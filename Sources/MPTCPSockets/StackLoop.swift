internal import BasicContainers
internal import HostStack
internal import MPTCPConnection
internal import PacketBackends
internal import TransportValues

/// A stack on its own thread: the thread polls the paths and runs the host, and it is this actor's executor, so that a
/// call from elsewhere hops onto it and needs no lock.
actor StackLoop {
    private let executor: LoopExecutor
    var engine: StackEngine
    var connections: [ConnectionID: ConnectionRecord] = [:]
    var listeners: [ListenerID: ListenerRecord] = [:]
    var reservations: PortReservations
    /// Every path's packets go into this file; nil: nobody asked.
    let capture: PacketCapture?
    private var captureFlush = MonotonicInstant.zero
    var follower: InterfaceFollower?
    var isShutDown = false
    private var nextTicket: UInt64 = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// Opens the paths and starts the thread.
    init(_ configuration: StackConfiguration) throws(SocketError) {
        guard !configuration.paths.isEmpty, configuration.paths.count <= ReadyPaths.maximumPaths else {
            throw .invalidArgument("a stack needs 1 to \(ReadyPaths.maximumPaths) paths")
        }
        let executor = try LoopExecutor()
        self.executor = executor
        var hostConfiguration = HostConfiguration()
        hostConfiguration.connection = configuration.connection
        let capture = try Self.openCapture(configuration)
        let devices = try Self.openPaths(configuration, capture: capture)
        self.capture = capture
        var reservations = PortReservations(shared: Self.sharedAddresses(devices))
        try reservations.growEphemeral()
        hostConfiguration.ephemeralPorts = reservations.ephemeralPorts
        let ports = reservations.takeOpened()
        self.reservations = reservations
        engine = StackEngine(
            host: Host(hostConfiguration, randomness: systemRandomSource(), now: LoopClock.now()))
        try Self.install(devices, in: &engine, poller: executor.poller)
        try engine.openPorts(ports)
        follower = try InterfaceFollower.make(configuration, poller: executor.poller)
        try executor.start(self)
    }

    deinit { executor.stop() }

    var now: MonotonicInstant { LoopClock.now() }

    // MARK: The loop

    /// Packets handed to devices between two looks at what came in.
    private static let outputBatch = 128

    /// One turn: what came in, timers, what is due out, news for tasks. Returns how long the thread may sleep,
    /// nanoseconds: 0 not at all, negative for ever.
    func turn(_ ready: ReadyPaths) -> Int64 {
        var now = LoopClock.now()
        engine.flush(ready, now: now)
        engine.input(ready, now: now)
        followInterfaces(ready, poller: executor.poller)
        followAddresses()
        engine.host.advance(to: now)
        var isBusy = true
        for _ in 0..<4 where isBusy {
            let hadEvents = deliverEvents()
            let sent = engine.output(limit: Self.outputBatch, now: now)
            isBusy = hadEvents || sent == Self.outputBatch
            now = LoopClock.now()
        }
        watchPending()
        if isBusy { return 0 }
        var deadline = engine.host.nextDeadline
        if capture != nil { deadline = min(deadline, flushCapture(now)) }
        return deadline == .distantFuture ? -1 : max(0, (deadline - now).nanoseconds)
    }

    /// Writes the capture's buffer from time to time while there is nothing better to do; returns when to look again.
    private func flushCapture(_ now: MonotonicInstant) -> MonotonicInstant {
        if now < captureFlush { return captureFlush }
        capture?.flush()
        captureFlush = now + .milliseconds(200)
        return captureFlush
    }

    /// Asks to be told when a device takes packets again, only while packets wait for it.
    private func watchPending() {
        for index in 0..<engine.paths.count {
            let wanted = engine.paths[index].failure == nil && !engine.paths[index].pending.isEmpty
            if wanted == engine.paths[index].isWatchedForWriting { continue }
            engine.watch(index, writing: wanted, poller: executor.poller)
        }
    }

    private func deliverEvents() -> Bool {
        var any = false
        while let event = engine.host.nextEvent() {
            any = true
            switch event {
            case .connected(let id):
                if connections[id]?.phase == .connecting { connections[id]?.phase = .open }
                resume(.connect, of: id)
            case .acceptable(let id): resumeAccept(id)
            case .readable(let id):
                resume(.read, of: id)
                pumpSink(id)
            case .writable(let id):
                resume(.write, of: id)
                pumpSource(id)
            case .finished(let id):
                connections[id]?.isFinished = true
                resume(.finish, of: id)
            case .closed(let id, let reason):
                connections[id]?.closeReason = reason
                pumpSink(id)
                pumpSource(id)
                for kind in WaitKind.allCases { resume(kind, of: id) }
            }
        }
        return any
    }

    // MARK: Suspended tasks

    func resume(_ kind: WaitKind, of id: ConnectionID) {
        // A pump's task waits for the pump's end, not for the next chance to move bytes.
        if kind == .write, case .running? = connections[id]?.source?.result { return }
        if kind == .read, case .running? = connections[id]?.sink?.result { return }
        connections[id]?.take(kind)?.continuation.resume(returning: .ready)
    }

    /// Suspends until ``resume(_:of:)`` or the task is cancelled. A cancelled wait has changed nothing.
    func wait(_ kind: WaitKind, on id: ConnectionID) async throws(SocketError) -> WaitOutcome {
        guard connections[id]?.waiters[kind.rawValue] == nil else { throw .busy }
        nextTicket += 1
        let ticket = nextTicket
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard connections[id] != nil else { return continuation.resume(returning: .ready) }
                connections[id]!.waiters[kind.rawValue] = Waiter(ticket: ticket, continuation: continuation)
            }
        } onCancel: {
            Task { await self.cancelWait(kind, on: id, ticket) }
        }
    }

    private func cancelWait(_ kind: WaitKind, on id: ConnectionID, _ ticket: UInt64) {
        guard connections[id]?.waiters[kind.rawValue]?.ticket == ticket else { return }
        connections[id]?.take(kind)?.continuation.resume(returning: .cancelled)
    }

    func nextAcceptTicket() -> UInt64 {
        nextTicket += 1
        return nextTicket
    }
}
