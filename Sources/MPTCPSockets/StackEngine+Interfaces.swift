internal import BasicContainers
internal import HostStack
internal import PacketBackends
internal import TransportValues

/// Interfaces, addresses and routes that come and go.
extension StackEngine {
    static func take(
        _ event: BackendEvent, _ path: borrowing LoopPath, _ host: inout Host, _ changes: inout [AddressChange],
        _ now: MonotonicInstant
    ) {
        let interface = path.interface
        switch event {
        case .addressAdded(let address):
            changes.append(.added(address.address))
            host.addAddress(address.address, prefixLength: address.prefixLength, to: interface)
            setRoutes(path, &host)
            host.announceAddresses(now: now)
        case .addressRemoved(let address):
            changes.append(.removed(address.address))
            host.removeAddress(address.address, now: now)
        case .routesChanged:
            // A default route often comes after the address that needs it.
            setRoutes(path, &host)
            host.retryPaths(from: interface, now: now)
        case .mtuChanged(let mtu): host.setMTU(mtu, of: interface)
        case .linkChanged(isUp: true): host.retryPaths(from: interface, now: now)
        // The stack learns of a dead link as of any dead path: nothing is acknowledged any more.
        case .linkChanged(isUp: false): break
        }
    }

    private static func setRoutes(_ path: borrowing LoopPath, _ host: inout Host) {
        host.setRoutes(
            path.device.routes.map { (address: $0.address, prefixLength: $0.prefixLength) }, through: path.interface)
    }

    /// Whether a path's interface has vanished.
    var hasGonePaths: Bool {
        for index in 0..<paths.count where paths[index].isGone { return true }
        return false
    }

    /// The path's interface is there again: connections announce its addresses, or join from them.
    mutating func reopen(_ index: Int, _ device: consuming PathDevice, now: MonotonicInstant) {
        let interface = paths[index].interface
        let (mtu, maximum, offload) = (device.mtu, device.maximumPacket, device.checksumOffload)
        host.restoreInterface(interface, mtu: mtu, maximumPacket: maximum, checksumOffload: offload)
        paths[index].reopen(device)
        for prefix in paths[index].device.addresses {
            addressChanges.append(.added(prefix.address))
            host.addAddress(prefix.address, prefixLength: prefix.prefixLength, to: interface)
        }
        let routes = paths[index].device.routes.map { (address: $0.address, prefixLength: $0.prefixLength) }
        host.setRoutes(routes, through: interface)
        useAddresses(now: now)
    }

    /// A path was added while connections are open.
    mutating func noteAdded(_ index: Int, now: MonotonicInstant) {
        for prefix in paths[index].device.addresses { addressChanges.append(.added(prefix.address)) }
        useAddresses(now: now)
    }

    private mutating func useAddresses(now: MonotonicInstant) {
        shareAddresses(now: now)
        host.announceAddresses(now: now)
    }
}
