internal import BasicContainers
internal import PacketBackends
internal import TransportValues

/// Ports at which the kernel is kept silent, since the kernel has the same addresses as a packet socket's path.
struct PortReservations: ~Copyable {
    /// The ports that connections may use; nil: any, since no path shares its addresses with the kernel.
    private(set) var ephemeralPorts: [UInt16]?

    init() {}
    init(for devices: borrowing UniqueArray<OpenedPath>) throws(SocketError) {}
    mutating func reserve(listening local: Endpoint) throws(SocketError) {}
    mutating func release(listening local: Endpoint) {}
    mutating func releaseAll() {}
}
