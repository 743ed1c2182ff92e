internal import BasicContainers
internal import HostStack
internal import PacketBackends
internal import TransportValues

/// A host with its paths: packets in, packets out. Everything that happens to a packet happens in here, without a lock,
/// a class or a suspension.
struct StackEngine: ~Copyable {
    var host: Host
    var paths = UniqueArray<LoopPath>()
    /// Headroom and the largest packet: the one buffer that every packet is written into.
    private var buffer = [UInt8](repeating: 0, count: packetHeadroom + largestPacket + 1)

    init(host: consuming Host) { self.host = host }

    /// News of paths that the owner of reserved ports wants, taken by ``takeAddressChanges()``.
    var addressChanges: [AddressChange] = []

    enum AddressChange {
        case added(IPAddress)
        case removed(IPAddress)
    }

    mutating func takeAddressChanges() -> [AddressChange] {
        defer { addressChanges = [] }
        return addressChanges
    }

    /// Begins the delivery of segments to endpoints where the kernel has the same addresses.
    mutating func openPorts(_ endpoints: [Endpoint]) throws(SocketError) {
        for index in 0..<paths.count where paths[index].failure == nil {
            do throws(BackendError) {
                for endpoint in endpoints { try paths[index].device.openPort(endpoint) }
            } catch {
                throw SocketError(error)
            }
        }
    }

    /// Adds a path and its addresses to the host.
    mutating func add(_ device: consuming PathDevice, name: String) {
        let interface = host.addInterface(
            name: name, mtu: device.mtu, maximumPacket: device.maximumPacket, checksumOffload: device.checksumOffload,
            ownsAddresses: device.ownsAddresses, lendsFrom: device.gathersFrom)
        for prefix in device.addresses {
            host.addAddress(prefix.address, prefixLength: prefix.prefixLength, to: interface)
        }
        for route in device.routes {
            host.addRoute(route.address, prefixLength: route.prefixLength, through: interface)
        }
        paths.append(LoopPath(name: name, interface: interface, device: device))
    }

    /// Lets each path take packets to the addresses of all others.
    mutating func shareAddresses(now: MonotonicInstant) {
        for index in 0..<paths.count where paths[index].failure == nil {
            let others = host.addresses(except: paths[index].interface)
            do throws(BackendError) {
                try paths[index].device.setOtherAddresses(others)
            } catch {
                paths[index].fail(error)
                host.removeInterface(paths[index].interface, now: now)
            }
        }
    }

    /// Has the poller watch a path for writing, or no longer.
    mutating func watch(_ index: Int, writing: Bool, poller: LoopPoller) {
        paths[index].isWatchedForWriting = writing
        guard paths[index].failure == nil else { return }
        do throws(SocketError) {
            try poller.watch(paths[index].device.descriptor, path: index, writing: writing)
        } catch {
            // The descriptor is no longer one that can be polled: the path is dead.
            paths[index].fail(.interfaceGone(paths[index].name))
        }
    }

    func pathIndex(_ interface: InterfaceID) -> Int? {
        let guess = Int(interface.rawValue)
        if guess >= 0, guess < paths.count, paths[guess].interface == interface { return guess }
        for index in 0..<paths.count where paths[index].interface == interface { return index }
        return nil
    }

    /// Reads a batch from each ready path and hands it to the host.
    mutating func input(_ ready: ReadyPaths, now: MonotonicInstant) {
        for index in 0..<paths.count where ready.isReadable(index) && paths[index].failure == nil {
            Self.input(&paths[index], &host, &addressChanges, now)
            if paths[index].failure != nil { host.removeInterface(paths[index].interface, now: now) }
        }
        if !addressChanges.isEmpty { shareAddresses(now: now) }
    }

    private static func input(
        _ path: inout LoopPath, _ host: inout Host, _ changes: inout [AddressChange], _ now: MonotonicInstant
    ) {
        let interface = path.interface
        do throws(BackendError) {
            _ = try path.device.receive { packet, metadata in
                host.receive(packet, on: interface, metadata: metadata, now: now)
            }
            try path.device.serviceAuxiliary()
        } catch {
            path.fail(error)
            return
        }
        while let event = path.device.nextEvent() { Self.take(event, path, &host, &changes, now) }
    }

    /// Sends what waited for a writable path.
    mutating func flush(_ ready: ReadyPaths, now: MonotonicInstant) {
        for index in 0..<paths.count where ready.isWritable(index) && !paths[index].pending.isEmpty {
            Self.flush(&paths[index], &buffer)
            if paths[index].failure != nil { host.removeInterface(paths[index].interface, now: now) }
        }
    }

    private static func flush(_ path: inout LoopPath, _ buffer: inout [UInt8]) {
        var span = buffer.mutableSpan
        var bytes = unsafe span.mutableBytes
        path.flush(&bytes)
    }

    /// Sends up to `limit` packets that the host has due; returns how many there were.
    mutating func output(limit: Int, now: MonotonicInstant) -> Int {
        var failed = false
        let count = Self.output(&host, &paths, &buffer, limit: limit, now: now, failed: &failed)
        if failed {
            for index in 0..<paths.count where paths[index].failure != nil {
                host.removeInterface(paths[index].interface, now: now)
            }
        }
        return count
    }

    private static func output(
        _ host: inout Host, _ paths: inout UniqueArray<LoopPath>, _ buffer: inout [UInt8], limit: Int,
        now: MonotonicInstant, failed: inout Bool
    ) -> Int {
        var span = buffer.mutableSpan
        var bytes = unsafe span.mutableBytes
        var count = 0
        while count < limit, let metadata = host.transmit(into: &bytes, headroom: packetHeadroom, now: now) {
            count += 1
            var index = Int(metadata.interface.rawValue)
            if index >= paths.count || index < 0 || paths[index].interface != metadata.interface {
                guard let found = Self.search(paths, metadata.interface) else { continue }
                index = found
            }
            let before = paths[index].failure == nil
            paths[index].output(&bytes, metadata: metadata, from: host)
            if before, paths[index].failure != nil { failed = true }
        }
        return count
    }

    private static func search(_ paths: borrowing UniqueArray<LoopPath>, _ interface: InterfaceID) -> Int? {
        for index in 0..<paths.count where paths[index].interface == interface { return index }
        return nil
    }
}
