internal import PacketBackends
internal import TransportValues

/// The closed set of devices that a path may have. Optionals instead of an enum, since a noncopyable payload cannot be
/// changed in place inside an enum; exactly one is set.
struct PathDevice: ~Copyable {
    private var bare: DescriptorBackend?
    private var tun: TunDevice?
    private var packet: PacketSocketBackend?
    /// The stack's own addresses when the path was opened.
    let addresses: [AddressPrefix]
    /// Whether nobody but the stack answers for the addresses; a packet socket shares its with the kernel.
    let ownsAddresses: Bool
    let descriptor: Int32
    let auxiliaryDescriptor: Int32?
    /// As it was when the path was opened, bytes.
    let mtu: Int
    let maximumPacket: Int
    let checksumOffload: Bool

    private init(bare backend: consuming DescriptorBackend, addresses: [AddressPrefix]) {
        self.addresses = addresses
        ownsAddresses = true
        descriptor = backend.descriptor
        auxiliaryDescriptor = nil
        mtu = backend.mtu
        maximumPacket = backend.maximumPacket
        checksumOffload = backend.checksumOffload
        bare = consume backend
    }

    private init(tun device: consuming TunDevice) {
        addresses = device.assignments.map { AddressPrefix($0.address, $0.prefixLength) }
        ownsAddresses = true
        descriptor = device.descriptor
        auxiliaryDescriptor = device.auxiliaryDescriptor
        mtu = device.mtu
        maximumPacket = device.maximumPacket
        checksumOffload = device.checksumOffload
        tun = consume device
    }

    private init(packet backend: consuming PacketSocketBackend) {
        addresses = backend.interface.addresses.filter(\.isForStack).map { AddressPrefix($0.address, $0.prefixLength) }
        ownsAddresses = false
        descriptor = backend.descriptor
        auxiliaryDescriptor = backend.auxiliaryDescriptor
        mtu = backend.mtu
        maximumPacket = backend.maximumPacket
        checksumOffload = backend.checksumOffload
        packet = consume backend
    }

    static func open(_ path: StackPath) throws(SocketError) -> PathDevice {
        do throws(BackendError) {
            switch path {
            case .descriptor(let path):
                return PathDevice(bare: try DescriptorBackend(path), addresses: path.addresses)
            case .system(.tun(let specification)):
                return PathDevice(tun: try TunDevice(specification))
            case .system(.udp):
                throw .invalidPath(path.name, reason: "udp: paths are not yet available in this version")
            case .system(.interface(let name)):
                return PathDevice(packet: try PacketSocketBackend(interface: name))
            }
        } catch {
            throw SocketError(error)
        }
    }

    var counters: BackendCounters {
        switch tun {
        case .some(let device): return device.counters
        case .none: break
        }
        switch packet {
        case .some(let device): return device.counters
        case .none: break
        }
        switch bare {
        case .some(let device): return device.counters
        case .none: return BackendCounters()
        }
    }

    mutating func receive(_ body: (RawSpan, ReceivedPacketMetadata) -> Void) throws(BackendError) -> Int {
        if let count = try packet?.receive(body) { return count }
        if let count = try tun?.receive(body) { return count }
        return try bare!.receive(body)
    }

    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        if let result = try packet?.send(&buffer, headroom: headroom, metadata: metadata) { return result }
        if let result = try tun?.send(&buffer, headroom: headroom, metadata: metadata) { return result }
        return try bare!.send(&buffer, headroom: headroom, metadata: metadata)
    }

    mutating func serviceAuxiliary() throws(BackendError) { try packet?.serviceAuxiliary() }

    /// What the kernel has told about the path since; addresses that are not for the stack are left out.
    mutating func nextEvent() -> BackendEvent? {
        while let event = packet?.nextEvent() ?? nil {
            if case .addressAdded(let address) = event, !address.isForStack { continue }
            return event
        }
        return nil
    }

    /// Has the segments to these endpoints delivered; needed only where the kernel has the same addresses.
    mutating func setLocalPorts(_ endpoints: [Endpoint]) throws(BackendError) {
        try packet?.setLocalPorts(endpoints)
    }
}

extension InterfaceAddress {
    /// Link-local addresses mean nothing to a peer behind a router; deprecated ones are not to be used for new
    /// connections (RFC 4862 §5.5.4).
    fileprivate var isForStack: Bool {
        isUsable && !isDeprecated && address.isUnicast && !address.isLinkLocal && !address.isLoopback
    }
}
