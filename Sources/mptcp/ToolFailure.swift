import MPTCPSockets

/// Why the tool ends without success: its exit status, and one line for standard error.
struct ToolFailure: Error {
    var status: Int32
    var line: String

    init(status: Int32, _ line: String) {
        self.status = status
        self.line = line
    }

    init(_ error: any Error) {
        switch error {
        case let error as ToolFailure: self = error
        case let error as SocketError: self.init(status: Self.status(of: error), error.description)
        default: self.init(status: 1, "\(error)")
        }
    }

    private static func status(of error: SocketError) -> Int32 {
        switch error {
        case .invalidArgument: 2
        case .permissionDenied: 3
        default: 1
        }
    }
}
