internal import BasicContainers
internal import HostStack
internal import PacketBackends
internal import TransportValues

/// A path that has been opened and not yet been given to the engine.
struct OpenedPath: ~Copyable {
    let name: String
    var device: PathDevice
}

extension StackLoop {
    static func openCapture(_ configuration: StackConfiguration) throws(SocketError) -> PacketCapture? {
        guard let file = configuration.captureFile else { return nil }
        do throws(BackendError) {
            return try PacketCapture(path: file)
        } catch {
            throw SocketError(error)
        }
    }

    static func openPaths(
        _ configuration: StackConfiguration, capture: PacketCapture?
    ) throws(SocketError) -> UniqueArray<OpenedPath> {
        var devices = UniqueArray<OpenedPath>()
        for specification in configuration.paths {
            let device = try PathDevice.open(specification, capture: capture)
            devices.append(OpenedPath(name: specification.name, device: device))
        }
        return devices
    }

    /// The addresses that the paths share with the kernel; nil when no path does.
    static func sharedAddresses(_ devices: borrowing UniqueArray<OpenedPath>) -> [IPAddress]? {
        var result: [IPAddress]?
        for index in 0..<devices.count where !devices[index].device.ownsAddresses {
            result = (result ?? []) + devices[index].device.addresses.map(\.address)
        }
        return result
    }

    static func install(
        _ devices: consuming UniqueArray<OpenedPath>, in engine: inout StackEngine, poller: LoopPoller
    ) throws(SocketError) {
        while devices.count > 0 {
            let path = devices.remove(at: 0)
            let index = engine.paths.count
            try poller.watch(path.device.descriptor, path: index, writing: false)
            if let auxiliary = path.device.auxiliaryDescriptor {
                try poller.watch(auxiliary, path: index, writing: false)
            }
            let name = path.name
            engine.add(path.takeDevice(), name: name)
        }
        engine.shareAddresses(now: .zero)
    }
}

extension StackLoop {
    /// Gives the host and the packet sockets the ports that are reserved now.
    func applyReservations() throws(SocketError) {
        guard let ports = reservations.ephemeralPorts else { return }
        try engine.openPorts(reservations.takeOpened())
        engine.host.setEphemeralPorts(ports)
    }

    /// Reserves more ports before they run out.
    func reservePorts(for connections: Int) throws(SocketError) {
        guard !reservations.suffices(for: connections) else { return }
        while !reservations.suffices(for: connections) { try reservations.growEphemeral() }
        try applyReservations()
    }

    /// Holds listeners' ports on addresses that the paths got since.
    func followAddresses() {
        let changes = engine.takeAddressChanges()
        for change in changes {
            switch change {
            case .added(let address): reservations.addressAdded(address)
            case .removed(let address): reservations.addressRemoved(address)
            }
        }
    }
}

extension OpenedPath {
    consuming func takeDevice() -> PathDevice { device }
}
