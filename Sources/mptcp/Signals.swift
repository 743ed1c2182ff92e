import CLinux
import Glibc
import Synchronization

/// SIGINT and SIGTERM: the first cancels the run, which then aborts its connection and writes its report; a second one
/// ends the process at once.
enum Signals {
    private struct State {
        var received: Int32?
        var cancel: (@Sendable () -> Void)?
    }

    private static let state = Mutex(State())

    /// The signal that ended the run; nil: none.
    static var received: Int32? { state.withLock { $0.received } }

    /// Has the signals wait for ``runCancellable(_:)``, in this thread and all that it starts; a write to a closed
    /// pipe becomes an error.
    static func block() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGINT, SIGTERM] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        _ = clinux_ignore_write_signals()
    }

    /// Runs `body` as a task that the first signal cancels.
    static func runCancellable(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await body() }
        state.withLock { $0.cancel = { task.cancel() } }
        BackgroundThread.start { waitForSignals() }
        try await task.value
    }

    private static func waitForSignals() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGINT, SIGTERM] { unsafe sigaddset(&set, signal) }
        while true {
            var number: Int32 = 0
            guard unsafe sigwait(&set, &number) == 0 else { continue }
            let (first, cancel) = state.withLock { state in
                defer { state.received = state.received ?? number }
                return (state.received == nil, state.cancel)
            }
            if !first { _exit(128 + number) }
            cancel?()
        }
    }
}

/// A thread for calls that block; it ends with the process.
enum BackgroundThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        let context = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, nil,
            { argument in
                unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        precondition(result == 0, "no thread could be started")
        pthread_detach(thread)
    }
}
