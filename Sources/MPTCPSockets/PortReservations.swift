internal import BasicContainers
internal import PacketBackends
internal import TransportValues

/// A listener's port held on one address. (Not nested and private: Swift 6.3.1 crashes on such a noncopyable type.)
struct ListeningPort: ~Copyable {
    let listener: Endpoint
    let reservation: KernelPortReservation
}

/// Ports at which the kernel is kept silent, since a packet socket's path shares its addresses with the kernel.
///
/// Ports for connections come in blocks, held for all addresses of a family at once, so that an address that appears
/// later is covered; a listener's port is held on the paths' own addresses only, so that another program may keep the
/// same port on loopback.
struct PortReservations: ~Copyable {
    /// Ports reserved at a time; a connection uses about one a path.
    static let blockSize: UInt16 = 32
    private static let firstPort: UInt16 = 32_768
    private static let blocks = (61_000 - 32_768) / Int(blockSize)

    private let isNeeded: Bool
    private let families: [IPAddress]
    /// The addresses that the stack shares with the kernel.
    private var shared: [IPAddress]
    private var held = UniqueArray<KernelPortReservation>()
    private var listening = UniqueArray<ListeningPort>()
    private var listeners: [Endpoint] = []
    private var reserved: [UInt16] = []
    private var newlyOpened: [Endpoint] = []

    /// - Parameter shared: addresses of paths that are packet sockets; nil when there is no such path.
    init(shared: [IPAddress]?) {
        isNeeded = shared != nil
        self.shared = shared ?? []
        // Both families even when only one is in use now, since addresses come and go; see `growEphemeral`.
        families = [.anyIPv4, .anyIPv6]
    }

    /// The ports that connections may use; nil: any, since no path shares its addresses with the kernel.
    var ephemeralPorts: [UInt16]? { isNeeded ? reserved : nil }

    /// Endpoints to be delivered to packet sockets since the last call.
    mutating func takeOpened() -> [Endpoint] {
        defer { newlyOpened = [] }
        return newlyOpened
    }

    /// Every endpoint that packet sockets are to deliver, for one that comes later than the rest.
    var allOpened: [Endpoint] {
        reserved.flatMap { port in families.map { Endpoint($0, port) } } + listeners.flatMap(Self.endpoints)
    }

    private static func endpoints(of listener: Endpoint) -> [Endpoint] {
        listener.address == .anyIPv6 ? [listener, Endpoint(.anyIPv4, listener.port)] : [listener]
    }

    // MARK: Connections

    /// Whether there are ports enough for this many connections, three subflows each.
    func suffices(for connections: Int) -> Bool { !isNeeded || reserved.count >= 16 + 3 * connections }

    /// Reserves another block.
    /// - Throws: ``SocketError/exhausted(_:)`` when no block is free, or no descriptor.
    mutating func growEphemeral() throws(SocketError) {
        guard isNeeded else { return }
        var problem: BackendError?
        for _ in 0..<64 {
            let first = Self.firstPort + UInt16(Int.random(in: 0..<Self.blocks)) * Self.blockSize
            if reserved.contains(first) { continue }
            do throws(BackendError) {
                try reserve(first..<(first + Self.blockSize))
                return
            } catch {
                if case .permissionDenied = error { throw SocketError(error) }
                problem = error
            }
        }
        throw .exhausted(problem?.description ?? "no block of \(Self.blockSize) local ports is free")
    }

    private mutating func reserve(_ ports: Range<UInt16>) throws(BackendError) {
        let before = held.count
        do throws(BackendError) {
            for port in ports {
                for family in families where family.isIPv6 == false || Self.hasIPv6 {
                    held.append(try KernelPortReservation(Endpoint(family, port)))
                }
            }
        } catch {
            while held.count > before { _ = held.removeLast() }
            throw error
        }
        reserved += ports
        for port in ports { newlyOpened += families.map { Endpoint($0, port) } }
    }

    /// A kernel without IPv6 has no IPv6 address to answer from either.
    private static let hasIPv6: Bool = {
        do throws(BackendError) {
            _ = try KernelPortReservation(Endpoint(.anyIPv6, 0))
            return true
        } catch {
            return false
        }
    }()

    // MARK: Listeners

    /// Holds a listener's port on the addresses that it is for. All or nothing. It stays held when the listener is
    /// closed, since connections that it accepted live on at this port.
    mutating func reserve(listening local: Endpoint) throws(SocketError) {
        guard isNeeded, !listeners.contains(local) else { return }
        let before = listening.count
        do throws(BackendError) {
            for address in shared where Self.covers(local.address, address) {
                listening.append(try Self.hold(address, for: local))
            }
        } catch {
            while listening.count > before { _ = listening.removeLast() }
            throw SocketError(error)
        }
        listeners.append(local)
        newlyOpened += Self.endpoints(of: local)
    }

    private static func hold(_ address: IPAddress, for listener: Endpoint) throws(BackendError) -> ListeningPort {
        ListeningPort(listener: listener, reservation: try KernelPortReservation(Endpoint(address, listener.port)))
    }

    private static func covers(_ listener: IPAddress, _ address: IPAddress) -> Bool {
        listener == address || listener == .anyIPv6 || (listener == .anyIPv4 && !address.isIPv6)
    }

    // MARK: Addresses that come and go

    /// A packet socket's path got an address: what listens on all addresses is held there too. A port that another
    /// program has on just this address is left to it.
    mutating func addressAdded(_ address: IPAddress) {
        guard isNeeded, !shared.contains(address) else { return }
        shared.append(address)
        for listener in listeners where listener.address != address && Self.covers(listener.address, address) {
            if let entry = try? Self.hold(address, for: listener) { listening.append(entry) }
        }
    }

    mutating func addressRemoved(_ address: IPAddress) { shared.removeAll { $0 == address } }

    mutating func releaseAll() {
        held = UniqueArray()
        listening = UniqueArray()
        listeners = []
        reserved = []
    }
}
