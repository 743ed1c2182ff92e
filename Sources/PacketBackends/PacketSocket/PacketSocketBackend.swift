import CLinux
import Glibc
public import TransportValues
import WireFormats

/// An existing interface of the machine, shared with the kernel: packets to our ports on its addresses come to us,
/// and ours leave by its own gateway and neighbours, whatever the metric of its default route.
///
/// The kernel sees our packets too; ``KernelPortReservation`` keeps it from answering them.
public struct PacketSocketBackend: PacketBackend, ~Copyable {
    static let ethernetHeaderLength = 14

    let socket: PacketSocket
    var control: LinkControl
    private var incoming: PacketMemory
    /// For packets that have waited for a neighbour.
    private var outgoing: PacketMemory
    private var ports = LocalPorts()
    /// What the kernel's filter lets through now; may be more than `ports`.
    private var filtered: [ClosedRange<UInt16>] = []
    private var closedSinceFilter = 0
    private var otherAddresses: [IPAddress] = []
    private let linkHeaderLength: Int
    public private(set) var counters = BackendCounters()

    public var descriptor: Int32 { socket.descriptor.rawValue }
    public var auxiliaryDescriptor: Int32? { control.descriptor }
    public var mtu: Int { control.interface.mtu }
    public var maximumPacket: Int { largestPacket }
    public var checksumOffload: Bool { true }
    /// The interface as last heard of, with its addresses.
    public var interface: NetworkInterface { control.interface }

    /// - Throws: ``BackendError/noSuchInterface(_:)``, ``BackendError/unsupportedInterface(_:reason:)``,
    ///   ``BackendError/permissionDenied(operation:)``.
    public init(interface name: String) throws(BackendError) {
        let control = try LinkControl(interface: name)
        let linkHeaderLength: Int
        switch control.interface.kind {
        case .ethernet: linkHeaderLength = Self.ethernetHeaderLength
        case .layer3: linkHeaderLength = 0
        case .loopback: throw .unsupportedInterface(name, reason: "it is the loopback interface; use tun: instead")
        case .other(let type):
            throw .unsupportedInterface(name, reason: "it is neither Ethernet nor a layer-3 device (ARPHRD \(type))")
        }
        let socket = try PacketSocket(interface: control.interface)
        // Nothing to TCP ports yet; the filter stands before the first packet can come.
        let addresses = control.interface.addresses.map(\.address)
        let code = socket.setFilter(
            PortFilter.program(linkHeaderLength: linkHeaderLength, addresses: addresses, ports: []))
        guard code == 0 else { throw .from(code, "filter packets on \(name)") }
        try socket.bind()
        self.linkHeaderLength = linkHeaderLength
        self.control = control
        self.socket = socket
        incoming = PacketMemory(count: VirtioNetHeader.length + Self.ethernetHeaderLength + largestPacket + 1)
        outgoing = PacketMemory(count: packetHeadroom + largestPacket)
    }

    /// Destinations of the interface's own routes, whatever their table and metric.
    var routes: [InterfaceAddress] {
        control.hops.routes.routes.map { InterfaceAddress(address: $0.destination, prefixLength: $0.prefixLength) }
    }

    // MARK: Ports

    /// Begins to deliver TCP segments to this local endpoint; call it before the first segment is sent from there. An
    /// unspecified address stands for all the interface's addresses of its family.
    public mutating func openPort(_ local: Endpoint) throws(BackendError) {
        ports.insert(local)
        if !filtered.contains(where: { $0.contains(local.port) }) { try updateFilter() }
    }

    /// Ends the delivery of segments to this endpoint. The kernel's filter follows later, so that connections that
    /// come and go do not each cost a new filter.
    public mutating func closePort(_ local: Endpoint) throws(BackendError) {
        ports.remove(local)
        closedSinceFilter += 1
        if closedSinceFilter >= 64 { try updateFilter() }
    }

    /// Delivers segments to exactly these endpoints from now on.
    public mutating func setLocalPorts(_ endpoints: [Endpoint]) throws(BackendError) {
        ports = LocalPorts()
        for endpoint in endpoints { ports.insert(endpoint) }
        try updateFilter()
    }

    /// The stack's addresses on its other interfaces. Packets to them that arrive here are the stack's as well, as a
    /// kernel takes them (the weak host model, RFC 1122 §3.3.4.2): a peer may join any address over any path.
    public mutating func setOtherAddresses(_ addresses: [IPAddress]) throws(BackendError) {
        if addresses == otherAddresses { return }
        otherAddresses = addresses
        try updateFilter()
    }

    private mutating func updateFilter() throws(BackendError) {
        let own = control.interface.addresses.map(\.address)
        // A filter has at most 4,096 instructions (BPF_MAXINSNS); an IPv6 address takes nine.
        let addresses = own + otherAddresses.filter { !own.contains($0) }.prefix(64)
        var limit = PortFilter.maximumRanges
        while true {
            let ranges = PortFilter.merged(ports.ranges, limit: limit)
            let program = PortFilter.program(
                linkHeaderLength: linkHeaderLength, addresses: addresses, ports: ranges)
            let code = socket.setFilter(program)
            if code == 0 {
                filtered = ranges
                closedSinceFilter = 0
                return
            }
            // A small net.core.optmem_max: be coarser, and sort out more packets ourselves.
            guard code == ENOMEM, limit > 1 else { throw .from(code, "filter packets on \(control.interface.name)") }
            limit /= 4
        }
    }

    // MARK: Receiving

    public mutating func receive(
        _ body: (RawSpan, ReceivedPacketMetadata) -> Void
    ) throws(BackendError) -> Int {
        let start = VirtioNetHeader.length + linkHeaderLength
        var count = 0
        while count < receiveBatch {
            let length = unsafe recv(descriptor, incoming.pointer, incoming.count, Int32(MSG_TRUNC))
            if length < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { break }
                try check(errno, "receive from \(control.interface.name)")
                continue
            }
            count += 1
            guard length > start, length <= incoming.count else {
                if length > start { counters.receivedOversized += 1 } else { counters.receivedTruncated += 1 }
                continue
            }
            guard isOurs(incoming.bytes(start..<length)) else {
                counters.receivedForeignPort += 1
                continue
            }
            let header = try? VirtioNetHeader(incoming.bytes(0..<VirtioNetHeader.length))
            counters.packetsReceived += 1
            counters.bytesReceived += UInt64(length - start)
            body(incoming.bytes(start..<length), header?.received ?? ReceivedPacketMetadata())
        }
        return count
    }

    /// The kernel's filter may let more through than is ours: packets from before its last change, ports between
    /// merged ranges, a port of another address. A foreign segment must not reach the stack, which would reset it.
    private borrowing func isOurs(_ packet: RawSpan) -> Bool {
        guard let first = packet.native(UInt8.self, at: 0) else { return false }
        if first == 0x45 {
            guard packet.native(UInt8.self, at: 9) == 6 else { return true }
            guard let address = packet.network(UInt32.self, at: 16), let port = packet.network(UInt16.self, at: 22)
            else { return false }
            return ports.contains(IPAddress(ipv4: address), port)
        }
        if first >> 4 == 6, packet.native(UInt8.self, at: 6) == 6 {
            guard let high = packet.network(UInt64.self, at: 24), let low = packet.network(UInt64.self, at: 32),
                let port = packet.network(UInt16.self, at: 42)
            else { return false }
            return ports.contains(IPAddress(high: high, low: low), port)
        }
        // Options or extension headers: rare, so at leisure. What is no packet has no port.
        guard let header = try? IPHeader(packet) else { return false }
        if header.protocolNumber != 6 { return true }
        guard let port = packet.network(UInt16.self, at: header.payloadOffset + 2) else { return false }
        return ports.contains(header.destination, port)
    }

    // MARK: Sending

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        precondition(headroom >= packetHeadroom && metadata.length > 0)
        precondition(metadata.length <= buffer.byteCount - headroom)
        if linkHeaderLength == 0 { return try transmit(&buffer, headroom, metadata, link: 0) }
        guard let destination = Self.destination(buffer.bytes, headroom, metadata.isIPv6) else {
            counters.refusedByKernel += 1
            return .dropped
        }
        switch control.hops.find(destination) {
        case .link(let link): return try transmit(&buffer, headroom, metadata, link: link)
        case .linkToConfirm(let link, let neighbour):
            control.confirm(neighbour)
            return try transmit(&buffer, headroom, metadata, link: link)
        case .noRoute:
            counters.noRoute += 1
            return .dropped
        case .wait(let index, let ask):
            let bytes = buffer.bytes.extracting(headroom..<headroom + metadata.length)
            let packet = WaitingPacket(bytes: [UInt8](copying: bytes), metadata: metadata)
            let isHeld = control.hops.hold(packet, at: index)
            if !isHeld { counters.neighbourUnresolved += 1 }
            if ask { control.ask(control.hops.hops[index].address) }
            return isHeld ? .sent : .dropped
        }
    }

    private static func destination(_ bytes: RawSpan, _ offset: Int, _ isIPv6: Bool) -> IPAddress? {
        if !isIPv6 { return bytes.network(UInt32.self, at: offset + 16).map { IPAddress(ipv4: $0) } }
        guard let high = bytes.network(UInt64.self, at: offset + 24),
            let low = bytes.network(UInt64.self, at: offset + 32)
        else { return nil }
        return IPAddress(high: high, low: low)
    }

    /// Writes the headers before the packet and hands it to the device.
    private mutating func transmit(
        _ buffer: inout MutableRawSpan, _ headroom: Int, _ metadata: TransmitMetadata, link: UInt64
    ) throws(BackendError) -> SendResult {
        let protocolNumber = UInt16(metadata.isIPv6 ? ETH_P_IPV6 : ETH_P_IP)
        let start = headroom - linkHeaderLength - VirtioNetHeader.length
        var header = VirtioNetHeader(metadata)
        if header.needsChecksum { header.checksumStart += UInt16(linkHeaderLength) }
        if header.headerLength > 0 { header.headerLength += UInt16(linkHeaderLength) }
        header.emit(into: &buffer, at: start)
        if linkHeaderLength > 0 {
            let own = control.interface.hardwareAddress
            let ethernet = headroom - Self.ethernetHeaderLength
            buffer.storeBytes(of: (link << 16 | own >> 32).bigEndian, toByteOffset: ethernet, as: UInt64.self)
            let low = UInt32(truncatingIfNeeded: own)
            buffer.storeBytes(of: low.bigEndian, toByteOffset: ethernet + 8, as: UInt32.self)
            buffer.storeBytes(of: protocolNumber.bigEndian, toByteOffset: ethernet + 12, as: UInt16.self)
        }
        var address = socket.address(protocolNumber: protocolNumber)
        let length = headroom + metadata.length - start
        while true {
            let sent = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe withSocketAddress(&address) {
                    unsafe sendto(descriptor, bytes.baseAddress! + start, length, 0, $0, $1)
                }
            }
            if sent == length {
                counters.packetsSent += 1
                counters.bytesSent += UInt64(metadata.length)
                return .sent
            }
            switch sent < 0 ? errno : EINVAL {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case ENOBUFS, ENOMEM: counters.deviceFull += 1
            case EINVAL, EMSGSIZE, EFAULT: counters.refusedByKernel += 1
            default:
                try check(errno, "send on \(control.interface.name)")
                counters.linkDown += 1
            }
            return .dropped
        }
    }

    /// An interface that is merely down comes back; one that does not exist is the end of the path.
    private borrowing func check(_ code: Int32, _ operation: String) throws(BackendError) {
        let isAbsent = code == ENETDOWN || code == ENXIO || code == ENODEV
        guard isAbsent else { throw .from(code, operation) }
        if !socket.interfaceExists { throw .interfaceGone(control.interface.name) }
    }

    // MARK: Following the kernel

    public mutating func serviceAuxiliary() throws(BackendError) {
        let news = try control.service(&counters)
        if news.addressesChanged { try updateFilter() }
        for packet in news.ready {
            unsafe outgoing.copy(packet.bytes.span.bytes, at: packetHeadroom)
            try resend(packet)
        }
        counters.receiveOverruns += socket.takeOverruns()
    }

    private mutating func resend(_ packet: WaitingPacket) throws(BackendError) {
        // The memory is taken out while it is lent, since sending changes the rest of `self`.
        var memory = PacketMemory(count: 0)
        swap(&memory, &outgoing)
        defer { swap(&memory, &outgoing) }
        var bytes = memory.mutableBytes(0..<packetHeadroom + packet.metadata.length)
        if try send(&bytes, headroom: packetHeadroom, metadata: packet.metadata) == .wouldBlock {
            counters.deviceFull += 1
        }
    }

    public mutating func nextEvent() -> BackendEvent? { control.nextEvent() }
}

extension [UInt8] {
    init(copying bytes: RawSpan) {
        unsafe self.init(unsafeUninitializedCapacity: bytes.byteCount) { target, count in
            unsafe bytes.withUnsafeBytes { unsafe UnsafeMutableRawBufferPointer(target).copyMemory(from: $0) }
            count = bytes.byteCount
        }
    }
}
