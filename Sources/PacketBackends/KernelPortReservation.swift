import CLinux
import Glibc
public import TransportValues

/// Keeps the kernel from using a TCP port and from answering for it, while this value lives.
///
/// An ordinary listening socket holds the port; a socket filter drops every segment before TCP sees it, so that the
/// kernel sends neither RST nor SYN/ACK. When the process ends, however it ends, nothing is left behind.
public struct KernelPortReservation: ~Copyable {
    private let socket: OwnedDescriptor
    /// What is reserved; the port is never 0.
    public let endpoint: Endpoint

    /// - Parameters:
    ///   - endpoint: a local address, or the unspecified one for all of its family; port 0 lets the kernel choose a
    ///     free one.
    ///   - interface: the interface's index for a link-local IPv6 address, else 0.
    /// - Throws: ``BackendError/portInUse(_:)``, ``BackendError/addressUnavailable(_:)``,
    ///   ``BackendError/permissionDenied(operation:)`` for ports below 1024, and where a kernel keeps socket filters
    ///   for the privileged.
    public init(_ endpoint: Endpoint, interface: Int32 = 0) throws(BackendError) {
        let operation = "reserve TCP port \(endpoint.port) of \(endpoint.address)"
        let isIPv6 = endpoint.address.isIPv6
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let socket = try OwnedDescriptor(
            Glibc.socket(isIPv6 ? AF_INET6 : AF_INET, kind, Int32(IPPROTO_TCP)), operation)
        // Before the port is bound, so that no segment is answered in between.
        try Self.silence(socket, operation)
        if isIPv6 { try socket.setOption(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1, operation) }
        // Old connections of the kernel in TIME-WAIT do not matter to us. With port 0 the option would let the kernel
        // choose a port that others hold with the same option.
        if endpoint.port != 0 { try socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1, operation) }
        guard Self.bind(socket, endpoint, interface) == 0, listen(socket.rawValue, 1) == 0 else {
            switch errno {
            case EADDRINUSE: throw .portInUse(endpoint)
            case EADDRNOTAVAIL: throw .addressUnavailable(endpoint.address)
            default: throw .fromErrno(operation)
            }
        }
        self.endpoint = Endpoint(endpoint.address, endpoint.port != 0 ? endpoint.port : Self.port(of: socket))
        self.socket = socket
    }

    private static func silence(_ socket: borrowing OwnedDescriptor, _ operation: String) throws(BackendError) {
        // "return 0": keep no byte of any packet.
        var program = sock_filter(code: 0x06, jt: 0, jf: 0, k: 0)
        guard unsafe clinux_attach_filter(socket.rawValue, &program, 1) == 0 else { throw .fromErrno(operation) }
        try socket.setOption(SOL_SOCKET, SO_LOCK_FILTER, 1, operation)
    }

    private static func bind(_ socket: borrowing OwnedDescriptor, _ endpoint: Endpoint, _ interface: Int32) -> Int32 {
        if endpoint.address.isIPv6 {
            var address = sockaddr_in6(endpoint, interface: interface)
            return unsafe withSocketAddress(&address) { unsafe Glibc.bind(socket.rawValue, $0, $1) }
        }
        var address = sockaddr_in(endpoint)
        return unsafe withSocketAddress(&address) { unsafe Glibc.bind(socket.rawValue, $0, $1) }
    }

    private static func port(of socket: borrowing OwnedDescriptor) -> UInt16 {
        // The port stands at the same place in both families' addresses.
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        _ = unsafe withSocketAddress(&address) { pointer, _ in
            unsafe getsockname(socket.rawValue, pointer, &length)
        }
        return UInt16(bigEndian: address.sin6_port)
    }
}

extension sockaddr_in {
    init(_ endpoint: Endpoint) {
        self.init()
        sin_family = sa_family_t(AF_INET)
        sin_port = endpoint.port.bigEndian
        sin_addr.s_addr = endpoint.address.ipv4.bigEndian
    }
}

extension sockaddr_in6 {
    init(_ endpoint: Endpoint, interface: Int32) {
        self.init()
        sin6_family = sa_family_t(AF_INET6)
        sin6_port = endpoint.port.bigEndian
        unsafe withUnsafeMutableBytes(of: &sin6_addr) { bytes in
            for (index, byte) in endpoint.address.networkBytes.enumerated() { unsafe bytes[index] = byte }
        }
        if endpoint.address.isLinkLocal { sin6_scope_id = UInt32(bitPattern: interface) }
    }
}
