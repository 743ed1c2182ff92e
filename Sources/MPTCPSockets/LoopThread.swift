internal import Glibc

/// What a loop's thread holds: its executor for as long as it runs, and the loop only weakly, so that a stack that
/// nobody uses any more ends its thread.
private final class LoopThread: Sendable {
    let executor: LoopExecutor
    weak let loop: StackLoop?

    init(_ executor: LoopExecutor, _ loop: StackLoop) {
        self.executor = executor
        self.loop = loop
    }

    func run() {
        executor.adoptCurrentThread()
        var ready = ReadyPaths()
        while true {
            executor.runJobs()
            var sleep: Int64 = -1
            if let loop { sleep = loop.assumeIsolated { [ready] in $0.turn(ready) } }
            guard let next = executor.sleep(nanoseconds: sleep) else { return }
            ready = next
        }
    }
}

extension LoopExecutor {
    /// Starts the thread that is this executor.
    func start(_ loop: StackLoop) throws(SocketError) {
        let context = unsafe Unmanaged.passRetained(LoopThread(self, loop))
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { unsafe pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                unsafe Unmanaged<LoopThread>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        guard result == 0 else {
            unsafe context.release()
            throw .system("pthread_create", result)
        }
    }
}
