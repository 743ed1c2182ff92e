import CLinux
import Glibc
import MPTCPConnection
import MPTCPSockets

/// The file of `--report`, opened before the run so that an unusable name is told at once, and written at its end,
/// after a failure too.
struct ReportFile: ~Copyable {
    private let descriptor: Int32
    private let path: String

    /// nil when no report was asked for.
    static func open(_ path: String?) throws(ToolFailure) -> ReportFile? {
        guard let path else { return nil }
        let descriptor = unsafe path.withCString { unsafe clinux_open($0, O_WRONLY | O_CREAT | O_TRUNC, 0o644) }
        guard descriptor >= 0 else {
            throw ToolFailure(status: 2, "cannot write the report \(path): \(errorText(errno))")
        }
        return ReportFile(descriptor: descriptor, path: path)
    }

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func write(_ report: RunReport) throws(ToolFailure) {
        let text = Array(report.json.utf8)
        var written = 0
        while written < text.count {
            let count = unsafe text.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw ToolFailure(
                    status: 1, "cannot write the report \(path): \(errorText(count < 0 ? errno : ENOSPC))")
            }
            written += count
        }
    }
}

/// The system's words for an error number.
func errorText(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
}
