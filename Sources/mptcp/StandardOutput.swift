import Dispatch
import Glibc
import MPTCPSockets
import Synchronization

/// Standard output as a connection's sink: a thread writes behind, a few large buffers at most; while all are full the
/// peer is held back.
final class StandardOutput: StreamSink {
    private struct State {
        var free: [[UInt8]] = []
        var full: [(bytes: [UInt8], count: Int)] = []
        var isWriting = false
        var failure: String?
        /// The loop was told "later" and wants to be woken.
        var loopWaits = false
        var wake: StreamWake?
        var isStarted = false
    }

    private static let bufferSize = 256 << 10
    private static let buffers = 8

    private let state = Mutex(State())
    private let filled = DispatchSemaphore(value: 0)

    func start(wake: StreamWake) {
        let begins = state.withLock { state in
            state.wake = wake
            state.loopWaits = false
            if state.isStarted { return false }
            state.isStarted = true
            state.free = (0..<Self.buffers).map { _ in [UInt8](repeating: 0, count: Self.bufferSize) }
            return true
        }
        if begins { BackgroundThread.start { self.write() } }
    }

    func offer(_ fill: (inout MutableRawSpan) -> Int) -> SinkStep {
        let (taken, failure) = state.withLock { state in
            if let failure = state.failure { return ([UInt8]?.none, String?.some(failure)) }
            let buffer = state.free.popLast()
            state.loopWaits = buffer == nil
            return (buffer, nil)
        }
        if let failure { return .failed(failure) }
        guard var buffer = taken else { return .later }
        var span = buffer.mutableSpan
        var bytes = unsafe span.mutableBytes
        let count = fill(&bytes)
        state.withLock { state in
            if count == 0 { state.free.append(buffer) } else { state.full.append((buffer, count)) }
        }
        if count > 0 { filled.signal() }
        return .taken
    }

    /// Returns when all that came is written.
    /// - Throws: `SocketError.local` when standard output failed.
    func flush() async throws {
        while true {
            let (failure, isDrained) = state.withLock { ($0.failure, $0.full.isEmpty && !$0.isWriting) }
            if let failure { throw SocketError.local(failure) }
            if isDrained { return }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func write() {
        while true {
            filled.wait()
            let next = state.withLock { state in
                state.isWriting = true
                return state.full.removeFirst()
            }
            let failure = Self.writeAll(next.bytes, next.count)
            let wake = state.withLock { state in
                state.isWriting = false
                state.failure = failure
                state.free.append(next.bytes)
                defer { state.loopWaits = false }
                return state.loopWaits || failure != nil ? state.wake : nil
            }
            wake?()
            if failure != nil { return }
        }
    }

    private static func writeAll(_ bytes: [UInt8], _ count: Int) -> String? {
        var written = 0
        while written < count {
            let result = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress! + written, count - written)
            }
            if result >= 0 {
                written += result
            } else if errno == EPIPE {
                return "standard output was closed: bytes from the peer are lost"
            } else if errno != EINTR {
                return "cannot write to standard output: \(errorText(errno))"
            }
        }
        return nil
    }
}
