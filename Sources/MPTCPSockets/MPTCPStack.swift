internal import HostStack
public import MPTCPConnection
public import TransportValues

/// Settings of a stack.
public struct StackConfiguration: Sendable {
    /// The ways out, 1 to 32; the first is the first subflow's.
    public var paths: [StackPath]
    /// Interfaces of the system that appear later become paths as well.
    public var followsInterfaces = false
    /// Settings of connections and listeners that bring none of their own.
    public var connection = ConnectionConfiguration()
    /// A pcapng file for every packet sent and received; nil: none.
    public var captureFile: String?

    public init(paths: [StackPath]) { self.paths = paths }
}

/// A Multipath TCP stack of this process: paths to the network, and connections over all of them.
///
/// It lives as long as something refers to it or to one of its sockets and listeners; then its thread ends, devices
/// are closed, and what was reserved in the kernel is free again.
public final class MPTCPStack: Sendable {
    let loop: StackLoop

    /// Opens the paths and starts the stack's thread.
    /// - Throws: ``SocketError``: a path is unusable, or a privilege is missing.
    public init(_ configuration: StackConfiguration) throws(SocketError) {
        loop = try StackLoop(configuration)
    }

    /// Connects to `remote` and returns once the handshake is done.
    ///
    /// A cancelled task aborts the attempt.
    /// - Parameters:
    ///   - local: the address of the first subflow; nil: the first path's of the destination's family.
    ///   - configuration: nil: the stack's.
    /// - Throws: ``SocketError``: `noRoute`, `exhausted`, `connection` with the reason, `cancelled`, `shutDown`.
    public func connect(
        to remote: Endpoint, from local: IPAddress? = nil, configuration: ConnectionConfiguration? = nil
    ) async throws(SocketError) -> MPTCPSocket {
        let socket = try await open(to: remote, from: local, configuration: configuration)
        try await socket.waitUntilConnected()
        return socket
    }

    /// Begins to connect and returns at once; ``MPTCPSocket/waitUntilConnected()`` tells how it went.
    public func open(
        to remote: Endpoint, from local: IPAddress? = nil, configuration: ConnectionConfiguration? = nil
    ) async throws(SocketError) -> MPTCPSocket {
        MPTCPSocket(loop, try await loop.open(to: remote, from: local, configuration: configuration))
    }

    /// Accepts connections at a port.
    /// - Parameters:
    ///   - local: an unspecified IPv6 address stands for every address of both families, port 0 for any free port.
    ///   - backlog: connections that may wait to be accepted.
    /// - Throws: ``SocketError``: `addressInUse` when another program of this host has the port, too.
    public func listen(
        on local: Endpoint, backlog: Int = 128, configuration: ConnectionConfiguration? = nil
    ) async throws(SocketError) -> MPTCPListener {
        let id = try await loop.listen(on: local, backlog: backlog, configuration: configuration)
        return MPTCPListener(loop, id, local: await loop.localEndpoint(id) ?? local)
    }

    /// Accepts connections at `port` of every address, IPv4 and IPv6.
    public func listen(port: UInt16, backlog: Int = 128) async throws(SocketError) -> MPTCPListener {
        try await listen(on: Endpoint(.anyIPv6, port), backlog: backlog)
    }

    /// The stack's paths with their addresses and packet counters, in the order they were given.
    public func paths() async -> [PathStatus] { await loop.pathStatus() }

    /// The stack's counters by name, those of Linux's MPTcpExt where one fits.
    public func counters() async -> [(name: String, value: UInt64)] { await loop.counters() }

    /// Why the capture ended before its time, in one line; nil: it has not, or none was asked for.
    public func captureFailure() async -> String? { await loop.captureFailure() }

    /// Aborts every connection and closes every listener; calls on them, pending ones as well, throw. Returns once
    /// the peers have been told.
    public func shutDown() async { await loop.shutDown() }
}

/// A path as it stands.
public struct PathStatus: Sendable {
    public var name: String
    public var interface: InterfaceID
    public var addresses: [AddressPrefix]
    public var bytesSent: UInt64
    public var bytesReceived: UInt64
    /// Packets that were lost here because the device took no more.
    public var packetsDropped: UInt64
    /// Why the path is no longer used, in one line; nil while it is.
    public var failure: String?
}
