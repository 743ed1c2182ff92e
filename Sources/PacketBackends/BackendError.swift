import Glibc
public import TransportValues

/// Why a backend cannot be had or has ended. The description is one line: what is wrong and what mends it.
public enum BackendError: Error, Equatable, Sendable {
    /// The system refused `operation` for want of a privilege.
    case permissionDenied(operation: String)
    /// No interface of that name.
    case noSuchInterface(String)
    /// The interface existed and has been removed.
    case interfaceGone(String)
    /// A TUN device of that name is in use by another process, or another kind of device has the name.
    case interfaceBusy(String)
    /// The interface is of a kind that cannot carry IP packets for us.
    case unsupportedInterface(String, reason: String)
    /// A `--path` specification that makes no sense.
    case invalidPath(String, reason: String)
    /// The kernel has no such local address (yet).
    case addressUnavailable(IPAddress)
    /// Another program has the port.
    case portInUse(Endpoint)
    /// The capture could not be written; packets flow on.
    case captureFailed(path: String, reason: String)
    /// The kernel lacks a feature that is needed.
    case missingFeature(String, mend: String)
    /// Any other system call that failed.
    case system(operation: String, code: Int32)

    /// The tool's exit status for this error: 3 a privilege is missing, 2 unusable arguments, 1 anything else.
    public var exitStatus: Int32 {
        switch self {
        case .permissionDenied: 3
        case .invalidPath, .noSuchInterface, .unsupportedInterface: 2
        default: 1
        }
    }

    /// The error for `errno` as left by `operation`.
    static func fromErrno(_ operation: String) -> Self { from(errno, operation) }

    static func from(_ code: Int32, _ operation: String) -> Self {
        code == EPERM || code == EACCES
            ? .permissionDenied(operation: operation) : .system(operation: operation, code: code)
    }
}

extension BackendError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .permissionDenied(let operation):
            "not permitted to \(operation): run as root, or give the program CAP_NET_ADMIN and CAP_NET_RAW"
        case .noSuchInterface(let name):
            "there is no interface \(name): `ip link` lists those that exist"
        case .interfaceGone(let name):
            "interface \(name) has been removed: its path ended"
        case .interfaceBusy(let name):
            "device \(name) is in use: choose another name, or end the program that has it"
        case .unsupportedInterface(let name, let reason):
            "interface \(name) cannot be used: \(reason)"
        case .invalidPath(let text, let reason):
            "cannot use the path \"\(text)\": \(reason)"
        case .addressUnavailable(let address):
            "address \(address) is not one of this machine's (or not ready yet): `ip address` lists them"
        case .portInUse(let endpoint):
            "port \(endpoint.port) of \(endpoint.address) is in use by another program: "
                + "choose another port, or end that program (`ss -tlnp` names it)"
        case .captureFailed(let path, let reason):
            "capture to \(path) has stopped: \(reason); traffic goes on"
        case .missingFeature(let feature, let mend):
            "the kernel has no \(feature): \(mend)"
        case .system(let operation, let code):
            "could not \(operation): \(errorText(code))"
        }
    }
}

/// The system's words for an error number.
func errorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // The XSI form fills the buffer; it never fails for a number that errno can hold.
    let result = unsafe strerror_r(code, &buffer, buffer.count)
    guard result == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
