import Glibc
import HostStack
import MPTCPConnection
import TransportValues

/// A host whose packets and time come from the caller: what stands behind a `cmptcp_host *`.
///
/// Used by one thread at a time, as the C interface demands: hence `@unchecked`.
final class DrivenHost: @unchecked Sendable {
    /// The latest instant that the caller gave; socket calls happen at it.
    private(set) var now: MonotonicInstant
    var stack: Host
    /// Settings of sockets to come.
    var template: ConnectionConfiguration
    var sockets: [CInt: DrivenSocket] = [:]
    private var lastDescriptor: CInt = 2
    /// The last port that a bind to port 0 got.
    var lastPort: UInt16 = 49_151
    private var interfaces: [CInt: InterfaceID] = [:]
    private var numbers: [InterfaceID: CInt] = [:]
    /// By identifier.
    private var endpoints: [UInt8: IPAddress] = [:]
    /// One packet: the stack writes it here, the caller's buffer may be smaller.
    private var buffer = [UInt8](repeating: 0, count: 65_535)
    /// A packet that lies in ``buffer`` because the caller's was too small.
    private var waiting: TransmitMetadata?

    static let socketLimit = 65_536
    static let interfaceLimit = 256
    static let latest = Int64(1) << 62

    init(_ settings: ConnectionConfiguration, seed: UInt64, now: MonotonicInstant) {
        self.now = now
        template = settings
        var configuration = HostConfiguration()
        configuration.connection = settings
        configuration.usesEndpoints = true
        stack = Host(configuration, randomness: RandomSource(seed: seed), now: now)
    }

    // MARK: Time

    static func instant(_ nanoseconds: Int64) throws(ErrorCode) -> MonotonicInstant {
        guard nanoseconds >= 0, nanoseconds <= latest else { throw ErrorCode(EINVAL) }
        return MonotonicInstant(nanoseconds: nanoseconds)
    }

    /// Time never goes back; timers that are due fire before anything else happens.
    func move(to nanoseconds: Int64) throws(ErrorCode) {
        now = max(now, try Self.instant(nanoseconds))
        if stack.nextDeadline <= now { stack.advance(to: now) }
        dropEvents()
    }

    var nextDeadline: Int64 {
        waiting != nil || stack.mayTransmit ? now.nanoseconds : stack.nextDeadline.nanoseconds
    }

    /// Sockets are polled here: what the stack has to tell is asked when a call needs it.
    func dropEvents() {
        while stack.nextEvent() != nil {}
    }

    /// By Linux's name or ours; nil where there is none.
    func counter(_ name: String) -> UInt64? { stack.counters[name] }

    // MARK: Interfaces, addresses, endpoints

    func addInterface(_ number: CInt, mtu: CInt) throws(ErrorCode) {
        guard number >= 0, mtu >= 576, mtu <= 65_535 else { throw ErrorCode(EINVAL) }
        guard interfaces[number] == nil else { throw ErrorCode(EEXIST) }
        guard interfaces.count < Self.interfaceLimit else { throw ErrorCode(ENOBUFS) }
        let id = stack.addInterface(
            name: "if\(number)", mtu: Int(mtu), maximumPacket: Int(mtu), checksumOffload: false)
        // Every interface leads everywhere: where a packet goes is the caller's affair.
        stack.addRoute(.anyIPv4, prefixLength: 0, through: id)
        stack.addRoute(.anyIPv6, prefixLength: 0, through: id)
        interfaces[number] = id
        numbers[id] = number
    }

    func addAddress(_ address: IPAddress, prefix: CInt, to number: CInt) throws(ErrorCode) {
        guard let interface = interfaces[number] else { throw ErrorCode(ENODEV) }
        guard prefix >= 0, prefix <= (address.isIPv6 ? 128 : 32), address.isUnicast else { throw ErrorCode(EINVAL) }
        guard !stack.isLocal(address) else { throw ErrorCode(EEXIST) }
        stack.addAddress(address, prefixLength: Int(prefix), to: interface)
        stack.announceAddresses(now: now)
        dropEvents()
    }

    func removeAddress(_ address: IPAddress) throws(ErrorCode) {
        guard stack.isLocal(address) else { throw ErrorCode(EADDRNOTAVAIL) }
        endpoints = endpoints.filter { $0.value != address }
        stack.removeAddress(address, now: now)
        dropEvents()
    }

    func addEndpoint(_ id: CInt, _ endpoint: Endpoint, flags: CInt) throws(ErrorCode) {
        guard id >= 1, id <= 255, flags & ~15 == 0 else { throw ErrorCode(EINVAL) }
        let use = EndpointUse(rawValue: UInt8(flags))
        // As `ip mptcp` has it: a port goes with announcing, full mesh with joining.
        guard endpoint.port == 0 || use.contains(.signal), !use.contains(.fullMesh) || !use.contains(.signal) else {
            throw ErrorCode(EINVAL)
        }
        guard endpoints[UInt8(id)] == nil, !endpoints.values.contains(endpoint.address) else { throw ErrorCode(EEXIST) }
        do throws(HostError) {
            try stack.setEndpoint(
                endpoint.address, id: AddressID(UInt8(id)), use: use, port: endpoint.port == 0 ? nil : endpoint.port,
                now: now)
        } catch { throw ErrorCode(error.errorCode) }
        endpoints[UInt8(id)] = endpoint.address
        dropEvents()
    }

    func removeEndpoint(_ id: CInt) throws(ErrorCode) {
        guard id >= 1, id <= 255 else { throw ErrorCode(EINVAL) }
        guard let address = endpoints.removeValue(forKey: UInt8(id)) else { throw ErrorCode(ENOENT) }
        stack.removeEndpoint(address, now: now)
        dropEvents()
    }

    // MARK: Packets

    func receive(_ packet: RawSpan, on number: CInt, at nanoseconds: Int64) throws(ErrorCode) {
        guard let interface = interfaces[number] else { throw ErrorCode(ENODEV) }
        try move(to: nanoseconds)
        stack.receive(packet, on: interface, now: now)
        dropEvents()
    }

    /// The next packet and its interface's number; it stays the next until `capacity` suffices.
    func transmit(capacity: Int, at nanoseconds: Int64, into target: UnsafeMutableRawPointer) throws(ErrorCode) -> (
        length: Int, interface: CInt
    ) {
        try move(to: nanoseconds)
        if waiting == nil {
            var span = buffer.mutableSpan
            var bytes = unsafe span.mutableBytes
            waiting = stack.transmit(into: &bytes, headroom: 0, now: now)
            dropEvents()
        }
        guard let packet = waiting else { return (0, -1) }
        guard packet.length <= capacity else { throw ErrorCode(EMSGSIZE) }
        unsafe buffer.withUnsafeBytes { source in
            unsafe target.copyMemory(from: source.baseAddress!, byteCount: packet.length)
        }
        waiting = nil
        return (packet.length, numbers[packet.interface] ?? -1)
    }

    // MARK: Descriptors

    func insert(_ socket: DrivenSocket) throws(ErrorCode) -> CInt {
        guard sockets.count < Self.socketLimit else { throw ErrorCode(EMFILE) }
        // Not the lowest free one: a descriptor that was closed stays bad for as long as possible.
        repeat { lastDescriptor = lastDescriptor == .max ? 3 : lastDescriptor + 1 } while sockets[lastDescriptor] != nil
        sockets[lastDescriptor] = socket
        return lastDescriptor
    }

    func socket(_ descriptor: CInt) throws(ErrorCode) -> DrivenSocket {
        guard let socket = sockets[descriptor] else { throw ErrorCode(EBADF) }
        return socket
    }

    func stream(_ descriptor: CInt) throws(ErrorCode) -> (id: ConnectionID, readiness: StreamReadiness) {
        guard case .stream(let id) = try socket(descriptor).role, let readiness = stack.readiness(id) else {
            throw ErrorCode(ENOTCONN)
        }
        return (id, readiness)
    }

    /// Throws a failure of the connection that was not told yet.
    func tellError(_ descriptor: CInt, _ readiness: StreamReadiness) throws(ErrorCode) {
        guard let code = pendingError(descriptor, readiness) else { return }
        sockets[descriptor]?.isErrorTold = true
        throw ErrorCode(code)
    }

    func pendingError(_ descriptor: CInt, _ readiness: StreamReadiness) -> CInt? {
        guard let code = readiness.closeReason?.errorCode, sockets[descriptor]?.isErrorTold == false else { return nil }
        return code
    }
}
