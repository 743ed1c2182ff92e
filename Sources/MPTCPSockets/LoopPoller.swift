internal import CLinux
internal import Glibc

/// Which paths of a loop have something to do, as one bit a path.
struct ReadyPaths: Sendable, BitwiseCopyable {
    var readable: UInt32 = 0
    var writable: UInt32 = 0
    /// The system has news of its interfaces.
    var hasInterfaceNews = false

    static var maximumPaths: Int { 32 }

    func isReadable(_ path: Int) -> Bool { readable >> UInt32(path) & 1 != 0 }
    func isWritable(_ path: Int) -> Bool { writable >> UInt32(path) & 1 != 0 }
}

/// epoll over the paths' descriptors and the wake-up's. `Sendable` because it holds descriptors only: the kernel
/// serialises what threads do with them.
struct LoopPoller: Sendable {
    private static let wakeTag: UInt32 = .max
    private static let interfaceTag: UInt32 = .max - 1
    private let poller: Int32
    private let wake: Int32

    init() throws(SocketError) {
        poller = clinux_poller_create()
        guard poller >= 0 else { throw .system("epoll", errno) }
        wake = clinux_wake_create()
        guard wake >= 0, clinux_poller_set(poller, wake, Self.wakeTag, UInt32(CLINUX_POLL_IN)) == 0 else {
            throw .system("eventfd", errno)
        }
    }

    func close() {
        Glibc.close(wake)
        Glibc.close(poller)
    }

    /// Ends a sleep in ``wait(nanoseconds:)``, the present or the next one.
    func wakeUp() { clinux_wake(wake) }

    /// Watches a path's descriptor for reading, and for writing as well while packets wait for it.
    func watch(_ descriptor: Int32, path: Int, writing: Bool) throws(SocketError) {
        let events = CLINUX_POLL_IN | (writing ? CLINUX_POLL_OUT : 0)
        guard clinux_poller_set(poller, descriptor, UInt32(path), UInt32(events)) == 0 else {
            throw .system("epoll", errno)
        }
    }

    /// Watches a path's descriptor no more. One that nobody reads would wake the thread for ever.
    func forget(_ descriptor: Int32) { clinux_poller_remove(poller, descriptor) }

    /// Watches the descriptor that tells of the system's interfaces.
    func watchInterfaces(_ descriptor: Int32) throws(SocketError) {
        guard clinux_poller_set(poller, descriptor, Self.interfaceTag, UInt32(CLINUX_POLL_IN)) == 0 else {
            throw .system("epoll", errno)
        }
    }

    /// Sleeps until a descriptor is ready, a wake-up or the time has passed; negative: no limit.
    func wait(nanoseconds: Int64) -> ReadyPaths {
        var paths = ReadyPaths()
        var entries = InlineArray<64, clinux_ready>(repeating: clinux_ready())
        var span = entries.mutableSpan
        let count = unsafe span.withUnsafeMutableBufferPointer { buffer in
            unsafe clinux_poller_wait(poller, buffer.baseAddress, Int32(buffer.count), nanoseconds)
        }
        for index in 0..<max(0, Int(count)) {
            let entry = entries[index]
            if entry.tag == Self.wakeTag {
                clinux_wake_clear(wake)
                continue
            }
            if entry.tag == Self.interfaceTag {
                paths.hasInterfaceNews = true
                continue
            }
            if entry.events & UInt32(CLINUX_POLL_IN) != 0 { paths.readable |= 1 << entry.tag }
            if entry.events & UInt32(CLINUX_POLL_OUT) != 0 { paths.writable |= 1 << entry.tag }
        }
        return paths
    }
}
