internal import Glibc
internal import Synchronization

/// A loop's thread seen as an executor: jobs of the loop's actor run on it, between two turns of the stack.
///
/// Jobs come in batches (one lock and at most one wake-up for all that were queued while the thread was busy); packets
/// never cross it.
final class LoopExecutor: SerialExecutor {
    private struct Queue {
        var jobs: [UnownedJob] = []
        /// The thread will look at the queue again before it sleeps, so nobody has to wake it.
        var isAwake = true
        var isStopped = false
    }

    let poller: LoopPoller
    private let queue = Mutex(Queue())
    private let thread = Mutex<pthread_t?>(nil)

    init() throws(SocketError) { poller = try LoopPoller() }

    deinit { poller.close() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let sleeps = queue.withLock { queue in
            queue.jobs.append(job)
            defer { queue.isAwake = true }
            return !queue.isAwake
        }
        if sleeps { poller.wakeUp() }
    }

    func isIsolatingCurrentContext() -> Bool? { isCurrentThread }

    func checkIsolated() { precondition(isCurrentThread, "called off the stack's loop thread") }

    private var isCurrentThread: Bool {
        thread.withLock { thread in
            guard let thread else { return false }
            return pthread_equal(thread, pthread_self()) != 0
        }
    }

    /// Lets the thread end after its present turn. Nothing can be queued any more: the actor is gone.
    func stop() {
        queue.withLock { $0.isStopped = true }
        poller.wakeUp()
    }

    /// Called once, on the new thread.
    func adoptCurrentThread() { thread.withLock { $0 = pthread_self() } }

    /// Runs what is queued, and what that queues in turn, up to a bound so that packets are not starved.
    func runJobs() {
        for _ in 0..<8 {
            let jobs = queue.withLock { queue in
                defer { queue.jobs = [] }
                return queue.jobs
            }
            if jobs.isEmpty { return }
            for job in jobs { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
        }
    }

    /// Sleeps unless jobs wait; nil once the loop is to end.
    func sleep(nanoseconds: Int64) -> ReadyPaths? {
        let (wait, stopped) = queue.withLock { queue in
            if queue.isStopped { return (Int64(0), true) }
            guard queue.jobs.isEmpty, nanoseconds != 0 else { return (Int64(0), false) }
            queue.isAwake = false
            return (nanoseconds, false)
        }
        if stopped { return nil }
        let ready = poller.wait(nanoseconds: wait)
        return queue.withLock { queue in
            queue.isAwake = true
            return queue.isStopped ? nil : ready
        }
    }
}
