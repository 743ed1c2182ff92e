internal import BasicContainers
internal import HostStack
internal import PacketBackends
internal import TransportValues

/// Follows the system's interfaces: those of paths that vanish and come back, and new ones where all are to be used.
struct InterfaceFollower: ~Copyable {
    private var watcher: InterfaceWatcher
    /// By the engine's path index; nil where a path is no interface of the system.
    fileprivate var names: [String?]
    /// Every interface that has an address becomes a path.
    fileprivate let takesAll: Bool

    private init(names: [String?], takesAll: Bool) throws(SocketError) {
        self.names = names
        self.takesAll = takesAll
        do throws(BackendError) {
            watcher = try InterfaceWatcher()
        } catch {
            throw SocketError(error)
        }
    }

    /// nil where no path is an interface of the system.
    static func make(_ configuration: StackConfiguration, poller: LoopPoller) throws(SocketError) -> Self? {
        let names: [String?] = configuration.paths.map { path in
            if case .system(.interface(let name)) = path { name } else { nil }
        }
        guard configuration.followsInterfaces || names.contains(where: { $0 != nil }) else { return nil }
        let follower = try InterfaceFollower(names: names, takesAll: configuration.followsInterfaces)
        try poller.watchInterfaces(follower.watcher.descriptor)
        return follower
    }

    /// Takes what the kernel has said; whether it was of links or addresses.
    fileprivate mutating func read() -> Bool {
        // An overrun, too, is a reason to look.
        guard let events = try? watcher.read() else { return true }
        return !events.isEmpty
    }
}

extension StackLoop {
    /// Opens paths whose interface is back, and new interfaces where they are wanted.
    func followInterfaces(_ ready: ReadyPaths, poller: LoopPoller) {
        guard follower != nil else { return }
        let hasNews = ready.hasInterfaceNews && (follower?.read() ?? false)
        // A path may notice that its interface has gone only after the new one was told of.
        let hasLost = forgetLostPaths(poller)
        guard hasNews || hasLost else { return }
        if engine.hasGonePaths { reopenPaths(poller) }
        if follower?.takesAll ?? false { addInterfaces(poller) }
    }

    /// Takes the descriptors of failed paths out of the poller, once each.
    private func forgetLostPaths(_ poller: LoopPoller) -> Bool {
        var any = false
        for index in 0..<engine.paths.count where engine.paths[index].failure != nil && engine.paths[index].isPolled {
            engine.paths[index].isPolled = false
            poller.forget(engine.paths[index].device.descriptor)
            if let auxiliary = engine.paths[index].device.auxiliaryDescriptor { poller.forget(auxiliary) }
            any = true
        }
        return any
    }

    private func name(of path: Int) -> String? {
        guard let names = follower?.names, path < names.count else { return nil }
        return names[path]
    }

    private func reopenPaths(_ poller: LoopPoller) {
        for index in 0..<engine.paths.count where engine.paths[index].isGone {
            guard let name = name(of: index), let device = open(name, path: index, poller) else { continue }
            engine.reopen(index, device, now: now)
        }
    }

    private func addInterfaces(_ poller: LoopPoller) {
        guard let found = try? NetworkInterface.defaultPaths() else { return }
        let known = (0..<engine.paths.count).map { engine.paths[$0].name }
        for interface in found where !known.contains(interface.name) && engine.paths.count < ReadyPaths.maximumPaths {
            let index = engine.paths.count
            guard let device = open(interface.name, path: index, poller) else { continue }
            follower?.names.append(interface.name)
            engine.add(device, name: interface.name)
            engine.noteAdded(index, now: now)
        }
    }

    /// nil: not now; the next news of the interface is the next try.
    private func open(_ name: String, path: Int, _ poller: LoopPoller) -> PathDevice? {
        do throws(SocketError) {
            var device = try PathDevice.open(.system(.interface(name)), capture: capture)
            do throws(BackendError) {
                for endpoint in reservations.allOpened { try device.openPort(endpoint) }
            } catch {
                return nil
            }
            try poller.watch(device.descriptor, path: path, writing: false)
            if let auxiliary = device.auxiliaryDescriptor { try poller.watch(auxiliary, path: path, writing: false) }
            return device
        } catch {
            return nil
        }
    }
}
