public import TransportValues
import WireFormats

/// The device of one path, of whatever kind, with an optional capture and optional faults around it: what a loop holds.
///
/// A closed set with one optional field a kind, since the payload of a noncopyable enum cannot be changed in place.
/// Captured is what passes the device: a packet that the faults drop does not, a corrupted one does.
public struct AnyPacketBackend: PacketBackend, ~Copyable {
    private var tun: TunDevice?
    private var shared: PacketSocketBackend?
    private var faults: FaultInjector?
    private var capture: PacketCapture?
    private var captureInterface = 0
    private let deviceMaximum: Int
    private let deviceChecksums: Bool
    /// Corrupted packets must leave complete, since a device that finishes a checksum over flipped bits hides them.
    private var needsWholeChecksums = false
    /// The path's name in reports and captures.
    public let name: String

    /// Opens what a `--path` names.
    /// - Throws: ``BackendError``; ``BackendError/missingFeature(_:mend:)`` for `udp:` paths, which are no devices.
    public init(opening path: PathSpecification) throws(BackendError) {
        switch path {
        case .tun(let specification): self.init(try TunDevice(specification))
        case .interface(let name): self.init(try PacketSocketBackend(interface: name))
        case .udp: throw .missingFeature("path over UDP yet", mend: "use an interface or tun:")
        }
    }

    public init(_ device: consuming TunDevice) {
        name = device.name
        descriptor = device.descriptor
        auxiliaryDescriptor = nil
        interfaceIndex = 0
        sharesKernelAddresses = false
        (deviceMaximum, deviceChecksums) = (device.maximumPacket, device.checksumOffload)
        tun = consume device
    }

    public init(_ device: consuming PacketSocketBackend) {
        name = device.interface.name
        descriptor = device.descriptor
        auxiliaryDescriptor = device.auxiliaryDescriptor
        interfaceIndex = device.interface.index
        sharesKernelAddresses = true
        (deviceMaximum, deviceChecksums) = (device.maximumPacket, device.checksumOffload)
        shared = consume device
    }

    /// Records every packet from now on.
    public mutating func attach(_ capture: PacketCapture) {
        captureInterface = capture.addInterface(name: name)
        self.capture = capture
    }

    /// Damages packets from now on. Attach faults before the path's properties are read: corruption switches the
    /// offloads off.
    public mutating func injectFaults(_ plan: FaultPlan, seed: UInt64) {
        faults = FaultInjector(plan, seed: seed)
        needsWholeChecksums = plan.sendCorrupt > 0
    }

    /// The addresses that the stack may use on this path, with their prefixes: a TUN's own, or the kernel's usable
    /// ones on the interface.
    public var addresses: [InterfaceAddress] {
        switch tun {
        case .some(let tun):
            return tun.assignments.map { InterfaceAddress(address: $0.address, prefixLength: $0.prefixLength) }
        case .none: break
        }
        switch shared {
        case .some(let shared): return shared.interface.addresses
        case .none: return []
        }
    }

    /// What this path has a route to beyond its addresses' subnets, as of now; prefix length 0 for a default route. A
    /// TUN's kernel end is a router to everywhere.
    public var routes: [InterfaceAddress] {
        switch tun {
        case .some(let tun):
            return tun.assignments.map {
                InterfaceAddress(address: $0.address.isIPv6 ? .anyIPv6 : .anyIPv4, prefixLength: 0)
            }
        case .none: break
        }
        switch shared {
        case .some(let shared): return shared.routes
        case .none: return []
        }
    }

    /// Whether the kernel has the stack's addresses too, so that ports need a ``KernelPortReservation``.
    public let sharesKernelAddresses: Bool

    /// The interface's index on an existing interface, as link-local addresses need it; 0 for a TUN.
    public let interfaceIndex: Int32

    /// See ``PacketSocketBackend/openPort(_:)``; nothing to do for a TUN, where all packets are ours.
    public mutating func openPort(_ local: Endpoint) throws(BackendError) { try shared?.openPort(local) }

    /// See ``PacketSocketBackend/closePort(_:)``.
    public mutating func closePort(_ local: Endpoint) throws(BackendError) { try shared?.closePort(local) }

    /// See ``PacketSocketBackend/setOtherAddresses(_:)``; nothing to do for a TUN.
    public mutating func setOtherAddresses(_ addresses: [IPAddress]) throws(BackendError) {
        try shared?.setOtherAddresses(addresses)
    }

    // MARK: PacketBackend

    public let descriptor: Int32
    public let auxiliaryDescriptor: Int32?

    public var maximumPacket: Int { needsWholeChecksums ? mtu : deviceMaximum }
    public var checksumOffload: Bool { !needsWholeChecksums && deviceChecksums }

    /// Captures and faults want packets in one piece.
    public var gathersFrom: Int {
        guard capture == nil, faults == nil else { return .max }
        switch tun {
        case .some(let tun): return tun.gathersFrom
        case .none: return .max
        }
    }

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata, payload first: RawSpan,
        _ second: RawSpan
    ) throws(BackendError) -> SendResult {
        try tun?.send(&buffer, headroom: headroom, metadata: metadata, payload: first, second) ?? .dropped
    }

    public var mtu: Int {
        switch tun {
        case .some(let tun): return tun.mtu
        case .none: break
        }
        switch shared {
        case .some(let shared): return shared.mtu
        case .none: return 0
        }
    }

    public mutating func receive(
        _ body: (RawSpan, ReceivedPacketMetadata) -> Void
    ) throws(BackendError) -> Int {
        if capture == nil, faults == nil { return try receiveFromDevice(body) }
        let (capture, interface) = (capture, captureInterface)
        var faults = faults.take()
        defer { self.faults = faults.take() }
        return try receiveFromDevice { packet, metadata in
            if faults == nil {
                capture?.record(packet, interface: interface, direction: .inbound)
                body(packet, metadata)
            } else {
                faults?.deliver(packet, metadata) { packet, metadata in
                    capture?.record(packet, interface: interface, direction: .inbound)
                    body(packet, metadata)
                }
            }
        }
    }

    private mutating func receiveFromDevice(
        _ body: (RawSpan, ReceivedPacketMetadata) -> Void
    ) throws(BackendError) -> Int {
        if let count = try tun?.receive(body) { return count }
        return try shared?.receive(body) ?? 0
    }

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        switch faults?.fateOfSent(length: metadata.length) ?? .pass {
        case .pass: return try sendCaptured(&buffer, headroom, metadata)
        case .drop: return .sent
        case .duplicate:
            let result = try sendCaptured(&buffer, headroom, metadata)
            if result == .sent { _ = try sendCaptured(&buffer, headroom, metadata) }
            return result
        case .corrupt(let byte, let bit):
            FaultInjector.flip(&buffer, headroom + byte, bit)
            let result = try sendCaptured(&buffer, headroom, metadata)
            // The packet is still the caller's, who will offer it again.
            if result == .wouldBlock { FaultInjector.flip(&buffer, headroom + byte, bit) }
            return result
        }
    }

    private mutating func sendCaptured(
        _ buffer: inout MutableRawSpan, _ headroom: Int, _ metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        let result = try sendToDevice(&buffer, headroom, metadata)
        if result == .sent, let capture {
            let packet = buffer.bytes.extracting(headroom..<headroom + metadata.length)
            capture.record(packet, interface: captureInterface, direction: .outbound)
        }
        return result
    }

    private mutating func sendToDevice(
        _ buffer: inout MutableRawSpan, _ headroom: Int, _ metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        if let result = try tun?.send(&buffer, headroom: headroom, metadata: metadata) { return result }
        return try shared?.send(&buffer, headroom: headroom, metadata: metadata) ?? .dropped
    }

    public mutating func serviceAuxiliary() throws(BackendError) { try shared?.serviceAuxiliary() }

    public mutating func nextEvent() -> BackendEvent? { shared?.nextEvent() }

    public var counters: BackendCounters {
        switch tun {
        case .some(let tun): return tun.counters
        case .none: break
        }
        switch shared {
        case .some(let shared): return shared.counters
        case .none: return BackendCounters()
        }
    }

    /// Packets that the faults have dropped, duplicated and corrupted.
    public var faultCounts: (dropped: UInt64, duplicated: UInt64, corrupted: UInt64) {
        switch faults {
        case .some(let faults): (faults.dropped, faults.duplicated, faults.corrupted)
        case .none: (0, 0, 0)
        }
    }
}
