import Glibc

/// A call's failure, as `errno` is to say it.
struct ErrorCode: Error {
    var code: CInt
    init(_ code: CInt) { self.code = code }
}

/// Runs one call of the C interface on the host behind a handle.
///
/// A handle that is no host's any more, or never was, is EINVAL.
func call<Result: SignedInteger>(
    _ handle: OpaquePointer?, _ body: (DrivenHost) throws(ErrorCode) -> Result
) -> Result {
    guard let host = unsafe HostTable.find(handle) else {
        errno = EINVAL
        return -1
    }
    do throws(ErrorCode) { return try body(host) } catch {
        errno = error.code
        return -1
    }
}
