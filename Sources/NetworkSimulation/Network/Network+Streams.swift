public import HostStack
public import MPTCPConnection
public import TransportValues

extension Network {
    /// Takes connections on `local`; each follows `plan`.
    public func serve(
        _ host: SimulatedHost, on local: Endpoint, plan: StreamPlan, backlog: Int = 128,
        configuration: ConnectionConfiguration? = nil
    ) throws(HostError) {
        let listener = try host.stack.listen(on: local, backlog: backlog, configuration: configuration, now: now)
        host.services[listener] = SimulatedHost.Service(plan: plan)
    }

    /// Opens a connection that follows `plan`; returns its index in ``streams``.
    @discardableResult
    public func open(
        _ host: SimulatedHost, to remote: Endpoint, from local: IPAddress? = nil, plan: StreamPlan,
        configuration: ConnectionConfiguration? = nil
    ) throws(HostError) -> Int {
        let connection = try host.stack.connect(to: remote, from: local, configuration: configuration, now: now)
        let result = StreamResult(plan: plan, hostName: host.name, isClient: true, begun: now)
        let port = host.stack.localEndpoint(connection)?.port ?? 0
        return adopt(connection, result, clientPort: port, host: host)
    }

    /// Both ends of every connection so far, in the order in which they came to be.
    public var streams: [StreamResult] { drivers.map(\.result) }

    /// The stack's view of a stream: as it is now, or as it was when it closed.
    public func snapshot(of stream: Int) -> ConnectionSnapshot? {
        if let last = drivers[stream].result.snapshot { return last }
        let host = hosts.first { $0.drivers[drivers[stream].connection] == stream }
        return host?.stack.snapshot(drivers[stream].connection)
    }

    private func adopt(_ connection: ConnectionID, _ result: StreamResult, clientPort: UInt16, host: SimulatedHost)
        -> Int
    {
        // Each connection has a pattern of its own, which both ends know by the client's port.
        let seed = patternBase &+ (tellsStreamsByPort ? UInt64(clientPort) : 0) &* 0xd134_2543_de82_ef95
        let index = drivers.count
        drivers.append(StreamDriver(connection: connection, result: result, patternSeed: seed))
        host.drivers[connection] = index
        openStreams += 1
        if let interval = drivers[index].readInterval { events.insert(.reader(index), at: now + interval) }
        return index
    }

    /// Hands waiting events to the applications; false when there were none.
    func handleEvents(_ host: SimulatedHost) -> Bool {
        var hasActed = false
        while let event = host.stack.nextEvent() {
            hasActed = true
            switch event {
            case .acceptable(let listener):
                if host.services[listener] == nil { application?(self, host, event) } else { accept(listener, host) }
            case .connected(let connection), .readable(let connection), .writable(let connection),
                .finished(let connection), .closed(let connection, _):
                guard let index = host.drivers[connection] else {
                    application?(self, host, event)
                    continue
                }
                act(on: index, host) { driver, stack, buffer in
                    driver.handle(event, stack: &stack, buffer: &buffer, now: now)
                }
                if case .closed = event {
                    host.drivers[connection] = nil
                    openStreams -= 1
                }
            }
        }
        return hasActed
    }

    private func accept(_ listener: ListenerID, _ host: SimulatedHost) {
        while let connection = host.stack.accept(listener) {
            guard let service = host.services[listener] else { continue }
            var result = StreamResult(plan: service.plan, hostName: host.name, isClient: false, begun: now)
            result.connected = now
            let port = host.stack.snapshot(connection)?.remote.port ?? 0
            let index = adopt(connection, result, clientPort: port, host: host)
            act(on: index, host) { driver, stack, buffer in
                driver.work(stack: &stack, buffer: &buffer, now: now, mayRead: driver.result.plan.reading == .eager)
            }
        }
    }

    func wakeReader(_ index: Int) {
        guard let host = hosts.first(where: { $0.drivers[drivers[index].connection] == index }) else { return }
        act(on: index, host) { driver, stack, buffer in
            driver.work(stack: &stack, buffer: &buffer, now: now, mayRead: true)
        }
        if let interval = drivers[index].readInterval { events.insert(.reader(index), at: now + interval) }
        pump(host)
    }

    private func act(
        on index: Int, _ host: SimulatedHost, _ body: (inout StreamDriver, inout Host, inout MutableRawSpan) -> Void
    ) {
        var span = applicationBuffer.mutableSpan
        var buffer = unsafe span.mutableBytes
        body(&drivers[index], &host.stack, &buffer)
    }
}
