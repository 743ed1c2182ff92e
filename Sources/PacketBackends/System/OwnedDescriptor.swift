import Glibc

/// A file descriptor that is closed when its owner goes.
struct OwnedDescriptor: ~Copyable {
    let rawValue: Int32

    init(_ rawValue: Int32) { self.rawValue = rawValue }

    /// Takes the result of a call that returns a descriptor or -1.
    init(_ result: Int32, _ operation: @autoclosure () -> String) throws(BackendError) {
        guard result >= 0 else { throw .fromErrno(operation()) }
        rawValue = result
    }

    deinit { _ = close(rawValue) }

    /// Sets a socket option whose value is an `int`.
    borrowing func setOption(_ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
        var value = value
        return unsafe setsockopt(rawValue, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    borrowing func setOption(
        _ level: Int32, _ name: Int32, _ value: Int32, _ operation: @autoclosure () -> String
    ) throws(BackendError) {
        if !setOption(level, name, value) { throw .fromErrno(operation()) }
    }

    borrowing func option(_ level: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(rawValue, level, name, &value, &length) == 0 ? value : nil
    }

    /// The largest buffer the system lets us have, up to `bytes`; the forced form needs CAP_NET_ADMIN.
    borrowing func enlargeBuffers(receive: Int32, send: Int32) {
        if !setOption(SOL_SOCKET, SO_RCVBUFFORCE, receive) { _ = setOption(SOL_SOCKET, SO_RCVBUF, receive) }
        if !setOption(SOL_SOCKET, SO_SNDBUFFORCE, send) { _ = setOption(SOL_SOCKET, SO_SNDBUF, send) }
    }
}

/// Lends a socket address of any family as the system calls want it.
func withSocketAddress<Address, Result>(
    _ address: inout Address, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe body($0, socklen_t(MemoryLayout<Address>.size))
        }
    }
}
