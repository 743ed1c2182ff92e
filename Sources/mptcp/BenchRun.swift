import Glibc
import HostStack
import MPTCPConnection
import MPTCPSockets
import Synchronization
import TransportValues

struct BenchPlan: Sendable {
    /// Whether this end writes; it reads until the peer's end in any case.
    var writes: Bool
    /// How long to write, when `bytes` is nil.
    var seconds: Double
    var bytes: Int64?
}

/// The same zeros again and again, for a time or a number of bytes; asked on the stack's thread.
final class BenchSource: StreamSource {
    private let block = [UInt8](repeating: 0, count: 256 << 10)
    private let deadline: ContinuousClock.Instant?
    private let remaining: Mutex<Int64>

    init(_ plan: BenchPlan) {
        deadline = plan.bytes == nil ? .now + .seconds(plan.seconds) : nil
        remaining = Mutex(plan.bytes ?? .max)
    }

    func next() -> SourceStep {
        if let deadline, ContinuousClock.now >= deadline { return .end }
        return remaining.withLock { remaining in
            if remaining == 0 { return .end }
            let count = min(remaining, Int64(block.count))
            remaining -= count
            return .bytes(count == block.count ? block : Array(block.prefix(Int(count))))
        }
    }
}

/// Takes everything, as fast as it comes.
final class BenchSink: StreamSink {
    private let buffer = Mutex([UInt8](repeating: 0, count: 256 << 10))

    func offer(_ fill: (inout MutableRawSpan) -> Int) -> SinkStep {
        buffer.withLock { buffer in
            var span = buffer.mutableSpan
            var bytes = unsafe span.mutableBytes
            _ = fill(&bytes)
        }
        return .taken
    }
}

/// One measured connection: the transfer, what is shown meanwhile, and the summary.
struct BenchRun {
    let plan: BenchPlan
    let socket: MPTCPSocket
    let stack: MPTCPStack

    /// How long a peer that has everything may take to end its own side.
    private static let peerEndTime = 15.0

    func perform() async throws {
        let names = Dictionary(
            await stack.paths().map { ($0.interface.rawValue, $0.name) }, uniquingKeysWith: { first, _ in first })
        let began = ContinuousClock.now
        let cpuBefore = Self.cpuSeconds
        let display = Task { await show(names, since: began) }
        defer { display.cancel() }
        try await move()
        let seconds = (ContinuousClock.now - began).inSeconds
        display.cancel()
        await display.value
        guard let snapshot = await socket.snapshot() else { return }
        standardOutput(
            BenchSummary(snapshot: snapshot, names: names, seconds: seconds, cpuSeconds: Self.cpuSeconds - cpuBefore)
                .text)
        if plan.writes { try await waitForPeersEnd() }
    }

    // MARK: Bytes

    private func move() async throws {
        guard plan.writes else {
            _ = try await socket.receive(into: BenchSink())
            try await socket.finishWriting()
            return
        }
        let (socket, plan) = (socket, plan)
        // What the peer sends meanwhile is taken, so that it is never held back.
        let reading = Task { _ = try await socket.receive(into: BenchSink()) }
        do {
            try await withTaskCancellationHandler {
                _ = try await socket.send(from: BenchSource(plan))
                try await socket.finishWriting()
                try await socket.waitUntilFinished()
            } onCancel: {
                reading.cancel()
            }
        } catch {
            reading.cancel()
            _ = await reading.result
            throw error
        }
        peerEnd.withLock { $0 = reading }
    }

    private let peerEnd = PeerEnd()

    private final class PeerEnd: Sendable {
        private let task = Mutex<Task<Void, any Error>?>(nil)
        func withLock<T>(_ body: (inout sending Task<Void, any Error>?) -> sending T) -> T { task.withLock(body) }
    }

    private func waitForPeersEnd() async throws {
        guard let reading = peerEnd.withLock({ $0 }) else { return }
        let limit = Task {
            try await Task.sleep(for: .seconds(Self.peerEndTime))
            reading.cancel()
        }
        defer { limit.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await reading.value
            } onCancel: {
                reading.cancel()
            }
        } catch SocketError.cancelled {
            if Task.isCancelled { throw SocketError.cancelled(bytesTaken: 0) }
            throw SocketError.local("the peer has every byte but did not end its own side")
        }
    }

    /// User and system time of this process.
    static var cpuSeconds: Double {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    // MARK: Meanwhile

    private func show(_ names: [Int32: String], since began: ContinuousClock.Instant) async {
        var display = BenchDisplay(plan: plan)
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(display.interval)) } catch { break }
            guard let snapshot = await socket.snapshot() else { return }
            display.show(snapshot, names, seconds: (ContinuousClock.now - began).inSeconds)
        }
    }
}
