internal import BasicContainers
internal import PacketBackends
internal import TransportValues

/// A path that has been opened and not yet been given to the engine.
struct OpenedPath: ~Copyable {
    let name: String
    var device: PathDevice
}

extension StackLoop {
    static func openPaths(_ configuration: StackConfiguration) throws(SocketError) -> UniqueArray<OpenedPath> {
        var devices = UniqueArray<OpenedPath>()
        for specification in configuration.paths {
            let device = try PathDevice.open(specification)
            devices.append(OpenedPath(name: specification.name, device: device))
        }
        return devices
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
    }
}

extension OpenedPath {
    consuming func takeDevice() -> PathDevice { device }
}
