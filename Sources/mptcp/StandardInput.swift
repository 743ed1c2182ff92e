import Dispatch
import Glibc
import MPTCPSockets
import Synchronization

/// Standard input as a connection's source: a thread reads ahead, a few large chunks at most.
final class StandardInput: StreamSource {
    private enum End {
        case endOfFile
        case failed(String)
    }

    private struct State {
        var chunks: [[UInt8]] = []
        var end: End?
        /// The loop was told "later" and wants to be woken.
        var loopWaits = false
        var wake: StreamWake?
        var isReading = false
    }

    private static let chunkSize = 256 << 10
    private static let chunksAhead = 8

    private let state = Mutex(State())
    /// Begins at 0 and is raised: Dispatch traps when a semaphore goes away below the value it began with.
    private let room = DispatchSemaphore(value: 0)

    init() {
        for _ in 0..<Self.chunksAhead { room.signal() }
    }

    func start(wake: StreamWake) {
        let begins = state.withLock { state in
            state.wake = wake
            state.loopWaits = false
            defer { state.isReading = true }
            return !state.isReading
        }
        if begins { BackgroundThread.start { self.read() } }
    }

    func next() -> SourceStep {
        state.withLock { state in
            if !state.chunks.isEmpty {
                room.signal()
                return .bytes(state.chunks.removeFirst())
            }
            switch state.end {
            case .endOfFile: return .end
            case .failed(let reason): return .failed(reason)
            case nil:
                state.loopWaits = true
                return .later
            }
        }
    }

    private func read() {
        while true {
            room.wait()
            var code: Int32 = 0
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunkSize) { buffer, count in
                var got = 0
                repeat {
                    got = unsafe Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
                } while got < 0 && errno == EINTR
                if got < 0 { code = errno }
                count = max(0, got)
            }
            let end: End? = code != 0 ? .failed("cannot read standard input: \(errorText(code))") : .endOfFile
            let wake = state.withLock { state in
                if chunk.isEmpty { state.end = end } else { state.chunks.append(chunk) }
                defer { state.loopWaits = false }
                return state.loopWaits ? state.wake : nil
            }
            wake?()
            if chunk.isEmpty { return }
        }
    }
}
