internal import HostStack
internal import MPTCPConnection
internal import TransportValues

/// Bytes moved on the loop's thread between a connection and a source or sink.
extension StackLoop {
    /// Sends all that the source gives; returns the number of bytes once its end was taken by the connection.
    func send(_ id: ConnectionID, from source: some StreamSource) async throws(SocketError) -> Int {
        guard let record = connections[id] else { throw .closed }
        switch record.phase {
        case .released, .writingFinished: throw .closed
        case .connecting, .open: break
        }
        guard record.source == nil, record.waiters[WaitKind.write.rawValue] == nil else { throw .busy }
        connections[id]?.source = SourcePump(source: source)
        source.start(wake: wake(id))
        pumpSource(id)
        while case .running? = connections[id]?.source?.result {
            if try await wait(.write, on: id) == .cancelled {
                let total = connections[id]?.source?.total ?? 0
                connections[id]?.source = nil
                throw .cancelled(bytesTaken: total)
            }
        }
        guard let pump = connections[id]?.source else { throw .closed }
        connections[id]?.source = nil
        if case .failed(let error) = pump.result { throw error }
        return pump.total
    }

    /// Hands everything that the peer sends to the sink; returns the number of bytes at the end of the stream.
    func receive(_ id: ConnectionID, into sink: some StreamSink) async throws(SocketError) -> Int {
        guard let record = connections[id], record.phase != .released else { throw .closed }
        guard record.sink == nil, record.waiters[WaitKind.read.rawValue] == nil else { throw .busy }
        connections[id]?.sink = SinkPump(sink: sink)
        sink.start(wake: wake(id))
        pumpSink(id)
        while case .running? = connections[id]?.sink?.result {
            if try await wait(.read, on: id) == .cancelled {
                let total = connections[id]?.sink?.total ?? 0
                connections[id]?.sink = nil
                throw .cancelled(bytesTaken: total)
            }
        }
        guard let pump = connections[id]?.sink else { throw .closed }
        connections[id]?.sink = nil
        if case .failed(let error) = pump.result { throw error }
        return pump.total
    }

    private func wake(_ id: ConnectionID) -> StreamWake {
        StreamWake { [weak self] in
            guard let self else { return }
            Task { await self.pump(id) }
        }
    }

    private func pump(_ id: ConnectionID) {
        pumpSource(id)
        pumpSink(id)
    }

    /// Moves bytes until the connection takes no more or the source has none now.
    func pumpSource(_ id: ConnectionID) {
        guard var pump = connections[id]?.source, case .running = pump.result else { return }
        if let reason = connections[id]?.closeReason {
            pump.result = .failed(.connection(reason))
        } else {
            advance(&pump, id)
        }
        connections[id]?.source = pump
        if case .running = pump.result { return }
        resume(.write, of: id)
    }

    private func advance(_ pump: inout SourcePump, _ id: ConnectionID) {
        let time = now
        while true {
            if pump.offset == pump.chunk.count {
                switch pump.source.next() {
                case .bytes(let bytes):
                    pump.chunk = bytes
                    pump.offset = 0
                case .later: return
                case .end:
                    pump.result = .ended
                    return
                case .failed(let reason):
                    pump.result = .failed(.local(reason))
                    return
                }
            }
            let rest = pump.offset..<pump.chunk.count
            let taken = unsafe engine.host.write(id, pump.chunk.span.bytes.extracting(rest), now: time)
            pump.offset += taken
            pump.total += taken
            if taken < rest.count { return }
        }
    }

    /// Moves bytes until the connection has none or the sink takes no more.
    func pumpSink(_ id: ConnectionID) {
        guard var pump = connections[id]?.sink, case .running = pump.result else { return }
        advance(&pump, id)
        connections[id]?.sink = pump
        if case .running = pump.result { return }
        resume(.read, of: id)
    }

    private func advance(_ pump: inout SinkPump, _ id: ConnectionID) {
        let time = now
        while true {
            var result = ReadResult.wouldBlock
            let step = pump.sink.offer { buffer in
                result = engine.host.read(id, into: &buffer, now: time)
                if case .bytes(let count) = result { return count }
                return 0
            }
            switch step {
            case .taken: break
            case .later: return
            case .failed(let reason):
                pump.result = .failed(.local(reason))
                return
            }
            switch result {
            case .bytes(let count): pump.total += count
            case .endOfStream:
                pump.result = .ended
                return
            case .wouldBlock:
                if let reason = connections[id]?.closeReason {
                    pump.result = reason.isClean ? .ended : .failed(.connection(reason))
                }
                return
            }
        }
    }

    /// Ends both pumps with an error, for a socket that is closed under them.
    func endPumps(_ id: ConnectionID, _ error: SocketError) {
        if case .running? = connections[id]?.source?.result { connections[id]?.source?.result = .failed(error) }
        if case .running? = connections[id]?.sink?.result { connections[id]?.sink?.result = .failed(error) }
    }
}
