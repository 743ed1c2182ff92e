import CLinux
import Glibc
import TransportValues

/// An AF_PACKET socket on one interface with a virtio-net header on each packet, so that packets larger than the MTU
/// and checksums left undone pass both ways (packet(7), PACKET_VNET_HDR).
struct PacketSocket: ~Copyable {
    let descriptor: OwnedDescriptor
    private let index: Int32

    /// Opens the socket; it receives nothing until ``setFilter(_:)`` and ``bind()``.
    init(interface: NetworkInterface) throws(BackendError) {
        let operation = "open a packet socket on \(interface.name)"
        // Raw, since a "cooked" socket has no virtio-net header. Protocol 0 receives nothing.
        let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = try OwnedDescriptor(socket(AF_PACKET, kind, 0), operation)
        try descriptor.setOption(SOL_PACKET, PACKET_VNET_HDR, 1, operation)
        // Linux 4.20; the filter refuses outgoing packets as well, at the price of running for each.
        _ = descriptor.setOption(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        // Enough for the kernel's account of a window of 64 KB packets while we are not scheduled.
        descriptor.enlargeBuffers(receive: 16 << 20, send: 4 << 20)
        index = interface.index
        self.descriptor = descriptor
    }

    borrowing func bind() throws(BackendError) {
        var address = self.address(protocolNumber: UInt16(ETH_P_ALL))
        let result = unsafe withSocketAddress(&address) { unsafe Glibc.bind(descriptor.rawValue, $0, $1) }
        if result != 0 { throw .fromErrno("bind a packet socket") }
    }

    /// Where sent packets go: the interface; the link-layer header stands in the packet.
    borrowing func address(protocolNumber: UInt16) -> sockaddr_ll {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = protocolNumber.bigEndian
        address.sll_ifindex = index
        return address
    }

    /// Replaces the filter at once for all packets that have not yet been queued to the socket.
    /// - Returns: 0 or errno; ENOMEM when the program is larger than net.core.optmem_max allows.
    borrowing func setFilter(_ program: [sock_filter]) -> Int32 {
        let result = unsafe program.withUnsafeBufferPointer {
            unsafe clinux_attach_filter(descriptor.rawValue, $0.baseAddress, UInt16($0.count))
        }
        return result == 0 ? 0 : errno
    }

    /// Packets lost to a full receive buffer since the last call (the kernel's count begins anew).
    borrowing func takeOverruns() -> UInt64 {
        var statistics = tpacket_stats()
        var length = socklen_t(MemoryLayout<tpacket_stats>.size)
        let result = unsafe getsockopt(descriptor.rawValue, SOL_PACKET, PACKET_STATISTICS, &statistics, &length)
        return result == 0 ? UInt64(statistics.tp_drops) : 0
    }

    /// Whether the interface still exists.
    var interfaceExists: Bool {
        var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
        return unsafe if_indextoname(UInt32(index), &name) != nil
    }
}
