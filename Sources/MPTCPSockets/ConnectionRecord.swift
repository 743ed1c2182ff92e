internal import HostStack
internal import MPTCPConnection

/// What a task may be suspended in, on one connection.
enum WaitKind: Int, CaseIterable, Sendable {
    case connect, read, write, finish, close
}

/// One suspended task.
struct Waiter {
    let ticket: UInt64
    let continuation: CheckedContinuation<WaitOutcome, Never>
}

enum WaitOutcome: Sendable {
    case ready, cancelled
}

/// What the loop keeps of one connection beside the host's own state: who waits for it, and what it said last.
/// A class, since writing through a dictionary of structs allocates at every write.
final class ConnectionRecord {
    /// The life of the socket as its owner sees it.
    enum Phase {
        case connecting, open
        /// ``StackLoop/finishWriting(_:)`` was called: reads go on, writes fail.
        case writingFinished
        /// Closed or aborted by the owner: the host's ID is given back.
        case released
    }

    var phase: Phase
    /// Everything written and the end of stream are acknowledged.
    var isFinished = false
    var closeReason: ConnectionCloseReason?
    var waiters = InlineArray<5, Waiter?>(repeating: nil)
    var source: SourcePump?
    var sink: SinkPump?
    /// The last words before the ID was given back.
    var lastSnapshot: ConnectionSnapshot?

    init(phase: Phase) { self.phase = phase }

    func take(_ kind: WaitKind) -> Waiter? {
        defer { waiters[kind.rawValue] = nil }
        return waiters[kind.rawValue]
    }
}

/// A source in use: the chunk it gave last and how much of it the connection has taken.
struct SourcePump {
    let source: any StreamSource
    var chunk: [UInt8] = []
    var offset = 0
    var total = 0
    var result: PumpResult = .running
}

struct SinkPump {
    let sink: any StreamSink
    var total = 0
    var result: PumpResult = .running
}

enum PumpResult {
    case running, ended
    case failed(SocketError)
}
