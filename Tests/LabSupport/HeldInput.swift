import Foundation

/// A standard input that says nothing and stays open until it is let go.
///
/// A kernel refuses joins once either side has closed its direction (its socket is no longer ESTABLISHED), so an end
/// that only receives must not begin by closing.
public final class HeldInput {
    public let path: String
    private var descriptor: Int32
    private let scratch: ScratchFolder

    public init() throws {
        scratch = try ScratchFolder(prefix: "input")
        path = scratch.path("fifo")
        try run(["mkfifo", path])
        // Both ways: neither this nor the reader's own open waits for the other.
        guard let handle = FileHandle(forUpdatingAtPath: path) else { throw LabError("cannot open \(path)") }
        descriptor = fcntl(handle.fileDescriptor, F_DUPFD_CLOEXEC, 3)
        try handle.close()
    }

    deinit { release() }

    /// The reader sees the end of its input. More than once is harmless.
    public func release() {
        if descriptor >= 0 {
            close(descriptor)
            descriptor = -1
        }
    }
}
