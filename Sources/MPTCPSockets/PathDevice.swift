internal import PacketBackends
internal import TransportValues

/// A path's device: one of the system's, or a descriptor that the program brought along. Exactly one is set; no enum,
/// since a noncopyable payload cannot be changed in place inside an enum.
struct PathDevice: ~Copyable {
    private var system: AnyPacketBackend?
    private var bare: DescriptorBackend?
    private let bareAddresses: [AddressPrefix]
    private let bareRoutes: [AddressPrefix]
    /// Whether nobody but the stack answers for the addresses; a packet socket shares its with the kernel.
    let ownsAddresses: Bool
    let descriptor: Int32
    let auxiliaryDescriptor: Int32?
    /// As it was when the path was opened, bytes.
    let mtu: Int
    let maximumPacket: Int
    let checksumOffload: Bool
    let gathersFrom: Int

    private init(bare backend: consuming DescriptorBackend, _ path: DescriptorPath) {
        bareAddresses = path.addresses
        bareRoutes = path.routes
        ownsAddresses = true
        descriptor = backend.descriptor
        auxiliaryDescriptor = nil
        mtu = backend.mtu
        maximumPacket = backend.maximumPacket
        checksumOffload = backend.checksumOffload
        gathersFrom = backend.gathersFrom
        bare = consume backend
    }

    /// The stack's own addresses, as of now.
    var addresses: [AddressPrefix] {
        switch system {
        case .some(let device):
            return device.addresses.filter(\.isForStack).map { AddressPrefix($0.address, $0.prefixLength) }
        case .none: return bareAddresses
        }
    }

    /// What can be reached beyond the addresses' subnets, as of now.
    var routes: [AddressPrefix] {
        switch system {
        case .some(let device): return device.routes.map { AddressPrefix($0.address, $0.prefixLength) }
        case .none: return bareRoutes
        }
    }

    private init(system backend: consuming AnyPacketBackend) {
        bareAddresses = []
        ownsAddresses = !backend.sharesKernelAddresses
        descriptor = backend.descriptor
        auxiliaryDescriptor = backend.auxiliaryDescriptor
        mtu = backend.mtu
        maximumPacket = backend.maximumPacket
        checksumOffload = backend.checksumOffload
        gathersFrom = backend.gathersFrom
        bareRoutes = []
        system = consume backend
    }

    static func open(_ path: StackPath, capture: PacketCapture?) throws(SocketError) -> PathDevice {
        do throws(BackendError) {
            switch path {
            case .descriptor(let path):
                return PathDevice(bare: try DescriptorBackend(path), path)
            case .system(.udp):
                throw .invalidPath(path.name, reason: "udp: paths are not yet available in this version")
            case .system(let specification):
                var backend = try AnyPacketBackend(opening: specification)
                if let capture { backend.attach(capture) }
                return PathDevice(system: backend)
            }
        } catch {
            throw SocketError(error)
        }
    }

    var counters: BackendCounters {
        switch system {
        case .some(let device): return device.counters
        case .none: break
        }
        switch bare {
        case .some(let device): return device.counters
        case .none: return BackendCounters()
        }
    }

    mutating func receive(_ body: (RawSpan, ReceivedPacketMetadata) -> Void) throws(BackendError) -> Int {
        if let count = try system?.receive(body) { return count }
        return try bare!.receive(body)
    }

    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        if let result = try system?.send(&buffer, headroom: headroom, metadata: metadata) { return result }
        return try bare!.send(&buffer, headroom: headroom, metadata: metadata)
    }

    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata, payload first: RawSpan,
        _ second: RawSpan
    ) throws(BackendError) -> SendResult {
        try system?.send(&buffer, headroom: headroom, metadata: metadata, payload: first, second) ?? .dropped
    }

    mutating func serviceAuxiliary() throws(BackendError) { try system?.serviceAuxiliary() }

    /// What the kernel has told about the path since; addresses that are not for the stack are left out.
    mutating func nextEvent() -> BackendEvent? {
        while let event = system?.nextEvent() ?? nil {
            if case .addressAdded(let address) = event, !address.isForStack { continue }
            return event
        }
        return nil
    }

    mutating func openPort(_ local: Endpoint) throws(BackendError) { try system?.openPort(local) }

    /// The stack's addresses on its other paths, which may be reached over this one too.
    mutating func setOtherAddresses(_ addresses: [IPAddress]) throws(BackendError) {
        try system?.setOtherAddresses(addresses)
    }
}

extension InterfaceAddress {
    /// Link-local addresses mean nothing to a peer behind a router; deprecated ones are not to be used for new
    /// connections (RFC 4862 §5.5.4).
    fileprivate var isForStack: Bool {
        isUsable && !isDeprecated && address.isUnicast && !address.isLinkLocal && !address.isLoopback
    }
}
