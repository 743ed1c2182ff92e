internal import BasicContainers
internal import HostStack
internal import MPTCPConnection
internal import PacketBackends
internal import TransportValues

extension StackLoop {
    func localEndpoint(_ listener: ListenerID) -> Endpoint? { engine.host.localEndpoint(listener) }

    func pathStatus() -> [PathStatus] {
        (0..<engine.paths.count).map { index in
            let counters = engine.paths[index].device.counters
            return PathStatus(
                name: engine.paths[index].name, interface: engine.paths[index].interface,
                addresses: engine.paths[index].failure == nil ? engine.paths[index].device.addresses : [],
                bytesSent: counters.bytesSent,
                bytesReceived: counters.bytesReceived,
                packetsDropped: counters.deviceFull + engine.paths[index].pending.dropped,
                failure: engine.paths[index].failure?.description)
        }
    }

    func counters() -> [(name: String, value: UInt64)] {
        engine.host.counters.all
    }

    func captureFailure() -> String? { capture?.failure?.description }

    func close(_ id: ConnectionID) async throws(SocketError) {
        guard let record = connections[id], record.phase != .released else { return }
        do throws(SocketError) {
            try finishWriting(id)
            try await waitUntilFinished(id)
        } catch .cancelled {
            abort(id)
            throw .cancelled(bytesTaken: 0)
        } catch {
            release(id)
            throw error
        }
        release(id)
    }

    func shutDown() {
        isShutDown = true
        for id in Array(connections.keys) { abort(id) }
        for (id, record) in listeners {
            listeners[id] = nil
            engine.host.closeListener(id, now: now)
            for waiter in record.waiters { waiter.continuation.resume(returning: .ready) }
        }
        reservations.releaseAll()
        // The farewells go out now: the caller may end the process as soon as this returns.
        var sent = 0
        repeat { sent = engine.output(limit: 1024, now: now) } while sent == 1024
        capture?.flush()
    }
}
