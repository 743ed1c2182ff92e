internal import Glibc
internal import HostStack
public import MPTCPConnection
internal import PacketBackends

/// Why a call on a stack, a listener or a socket failed. ``description`` is one line for a person.
public enum SocketError: Error, Sendable, Equatable {
    /// Text that is no path, address or name; the reason.
    case invalidArgument(String)
    /// A privilege is missing; what, and what would mend it.
    case permissionDenied(String)
    /// A path could not be opened or has failed; why.
    case path(String)
    /// No path has an address of the destination's family, or no route leads there.
    case noRoute(String)
    case addressInUse(String)
    /// No local port, or no place for another connection, was free.
    case exhausted(String)
    /// The connection failed or ended; why. Reads get what had arrived before this.
    case connection(ConnectionCloseReason)
    /// The socket was closed or aborted on this side, or its sending side was finished before a write.
    case closed
    /// Another task is already suspended in the same operation of this socket.
    case busy
    /// The task was cancelled; of a write, `bytesTaken` were handed to the connection and will be delivered.
    case cancelled(bytesTaken: Int)
    /// The stack was shut down.
    case shutDown
    /// A source or sink of bytes on this side failed, e.g. a closed standard output.
    case local(String)
    /// A system call failed with an `errno`.
    case system(String, Int32)
}

extension SocketError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidArgument(let text), .permissionDenied(let text), .path(let text), .noRoute(let text),
            .addressInUse(let text), .exhausted(let text), .local(let text):
            text
        case .connection(let reason): reason == .finished ? "the connection has ended" : reason.description
        case .closed: "the socket is closed on this side"
        case .busy: "another task is in the same operation of this socket"
        case .cancelled(let bytes): bytes == 0 ? "cancelled" : "cancelled after \(bytes) bytes were taken"
        case .shutDown: "the stack was shut down"
        case .system(let call, let code): "\(call): \(systemErrorText(code))"
        }
    }

    init(_ error: HostError) {
        switch error {
        case .noRoute, .noAddress: self = .noRoute(error.description)
        case .addressInUse: self = .addressInUse(error.description)
        case .noPorts, .tooManyConnections: self = .exhausted(error.description)
        case .notLocal, .invalidAddress: self = .invalidArgument(error.description)
        }
    }
}

extension SocketError {
    init(_ error: BackendError) {
        switch error {
        case .permissionDenied: self = .permissionDenied(error.description)
        case .invalidPath, .noSuchInterface, .unsupportedInterface: self = .invalidArgument(error.description)
        case .portInUse: self = .addressInUse(error.description)
        default: self = .path(error.description)
        }
    }
}

/// strerror, as a value.
func systemErrorText(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
}
