import Glibc

/// Writes text to standard output at once; a closed pipe is nobody's problem but the reader's.
func standardOutput(_ text: String) { writeAll(STDOUT_FILENO, text) }

/// Writes one line to standard error.
func standardError(_ line: String) { writeAll(STDERR_FILENO, line + "\n") }

private func writeAll(_ descriptor: Int32, _ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return }
        bytes = bytes.dropFirst(count)
    }
}
