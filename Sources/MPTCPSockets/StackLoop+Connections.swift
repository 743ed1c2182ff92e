internal import HostStack
internal import MPTCPConnection
internal import PacketBackends
internal import TransportValues

/// Connections as tasks use them. Each call runs between two turns of the loop, which then sends what is due.
extension StackLoop {
    func open(
        to remote: Endpoint, from local: IPAddress?, configuration: ConnectionConfiguration?
    ) throws(SocketError) -> ConnectionID {
        if isShutDown { throw .shutDown }
        try reservePorts(for: connections.count + 1)
        do throws(HostError) {
            let id = try engine.host.connect(to: remote, from: local, configuration: configuration, now: now)
            connections[id] = ConnectionRecord(phase: .connecting)
            return id
        } catch {
            throw SocketError(error)
        }
    }

    /// Waits for the handshake. A cancelled wait aborts the attempt.
    func waitUntilConnected(_ id: ConnectionID) async throws(SocketError) {
        while let record = connections[id], record.phase == .connecting {
            if let reason = record.closeReason {
                release(id)
                throw .connection(reason)
            }
            if try await wait(.connect, on: id) == .cancelled {
                abort(id)
                throw .cancelled(bytesTaken: 0)
            }
        }
        guard let record = connections[id], record.phase != .released else { throw .closed }
    }

    /// The next bytes, at most `maximum`; nil: the peer has ended its stream.
    func read(_ id: ConnectionID, upTo maximum: Int) async throws(SocketError) -> [UInt8]? {
        while true {
            guard let record = connections[id], record.phase != .released else { throw .closed }
            guard record.sink == nil else { throw .busy }
            var result = ReadResult.wouldBlock
            let time = now
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: maximum) { buffer, count in
                var target = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(buffer))
                result = engine.host.read(id, into: &target, now: time)
                if case .bytes(let read) = result { count = read }
            }
            switch result {
            case .bytes: return bytes
            case .endOfStream: return nil
            case .wouldBlock: break
            }
            if let reason = connections[id]?.closeReason {
                if reason.isClean { return nil }
                throw .connection(reason)
            }
            if try await wait(.read, on: id) == .cancelled { throw .cancelled(bytesTaken: 0) }
        }
    }

    /// Hands all bytes to the connection, waiting for room as often as needed.
    func write(_ id: ConnectionID, _ bytes: [UInt8]) async throws(SocketError) {
        var taken = 0
        while taken < bytes.count {
            guard let record = connections[id] else { throw .closed }
            switch record.phase {
            case .released, .writingFinished: throw .closed
            case .connecting, .open: break
            }
            if let reason = record.closeReason { throw .connection(reason) }
            guard record.source == nil, record.waiters[WaitKind.write.rawValue] == nil else { throw .busy }
            taken += unsafe engine.host.write(id, bytes.span.bytes.extracting(taken..<bytes.count), now: now)
            if taken == bytes.count { return }
            if try await wait(.write, on: id) == .cancelled { throw .cancelled(bytesTaken: taken) }
        }
    }

    /// Ends the sending side behind all that was written.
    func finishWriting(_ id: ConnectionID) throws(SocketError) {
        guard let record = connections[id], record.phase != .released else { throw .closed }
        if record.phase == .writingFinished { return }
        if let reason = record.closeReason, !reason.isClean { throw .connection(reason) }
        connections[id]?.phase = .writingFinished
        engine.host.finishWriting(id, now: now)
        resume(.connect, of: id)
        resume(.write, of: id)
    }

    /// Waits until everything written, and the end of stream, are acknowledged.
    func waitUntilFinished(_ id: ConnectionID) async throws(SocketError) {
        while true {
            guard let record = connections[id] else { throw .closed }
            if record.isFinished || record.closeReason == .finished { return }
            if let reason = record.closeReason { throw .connection(reason) }
            if record.phase == .released { throw .closed }
            if try await wait(.finish, on: id) == .cancelled { throw .cancelled(bytesTaken: 0) }
        }
    }

    /// Waits until nothing more will happen on the connection.
    func waitUntilClosed(_ id: ConnectionID) async throws(SocketError) {
        while let record = connections[id], record.closeReason == nil, record.phase != .released {
            if try await wait(.close, on: id) == .cancelled { throw .cancelled(bytesTaken: 0) }
        }
    }

    /// Tells the peer at once that the connection is over (MP_FASTCLOSE or RST), and gives the ID back.
    func abort(_ id: ConnectionID) {
        guard let record = connections[id], record.phase != .released else { return }
        engine.host.abort(id, now: now)
        if record.closeReason == nil { connections[id]?.closeReason = .aborted }
        release(id)
    }

    /// Gives the ID back; the host ends in the background what is not over. Tasks that wait are told.
    func release(_ id: ConnectionID) {
        guard let record = connections[id], record.phase != .released else { return }
        connections[id]?.lastSnapshot = engine.host.snapshot(id)
        connections[id]?.phase = .released
        engine.host.release(id, now: now)
        endPumps(id, .closed)
        for kind in WaitKind.allCases { resume(kind, of: id) }
    }

    /// The socket is gone: nobody can ask about the connection any more.
    func forget(_ id: ConnectionID) {
        abort(id)
        connections[id] = nil
    }

    func snapshot(_ id: ConnectionID) -> ConnectionSnapshot? {
        guard let record = connections[id] else { return nil }
        return record.phase == .released ? record.lastSnapshot : engine.host.snapshot(id)
    }
}
