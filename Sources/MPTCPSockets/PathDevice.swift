internal import PacketBackends
internal import TransportValues

/// The closed set of devices that a path may have. Optionals instead of an enum, since a noncopyable payload cannot be
/// changed in place inside an enum; exactly one is set.
struct PathDevice: ~Copyable {
    private var descriptorBackend: DescriptorBackend?
    let addresses: [AddressPrefix]

    init(opening specification: PathSpecification) throws(SocketError) {
        switch specification {
        case .descriptor(let path):
            addresses = path.addresses
            do throws(BackendError) {
                descriptorBackend = try DescriptorBackend(path)
            } catch {
                throw SocketError(error)
            }
        case .udp:
            throw .invalidArgument("udp: paths are not yet available in this version")
        case .interface, .tun:
            throw .invalidArgument("not yet available")
        }
    }

    var descriptor: Int32 { descriptorBackend!.descriptor }
    var auxiliaryDescriptor: Int32? { nil }
    var mtu: Int { descriptorBackend!.mtu }
    var maximumPacket: Int { descriptorBackend!.maximumPacket }
    var checksumOffload: Bool { descriptorBackend!.checksumOffload }
    var counters: BackendCounters { descriptorBackend!.counters }

    mutating func receive(_ body: (RawSpan, ReceivedPacketMetadata) -> Void) throws(BackendError) -> Int {
        try descriptorBackend!.receive(body)
    }

    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        try descriptorBackend!.send(&buffer, headroom: headroom, metadata: metadata)
    }

    mutating func serviceAuxiliary() throws(BackendError) { try descriptorBackend!.serviceAuxiliary() }

    mutating func nextEvent() -> BackendEvent? { descriptorBackend!.nextEvent() }
}
