import BasicContainers
import DequeModule
public import MPTCPConnection
public import TransportValues

/// What an owner that polls, in place of taking events, asks.
extension Host {
    /// nil: no such connection.
    public func readiness(_ id: ConnectionID) -> StreamReadiness? {
        guard let index = slot(id) else { return nil }
        return slots[index].readiness
    }

    /// Whether ``accept(_:)`` would give a connection.
    public func isAcceptable(_ id: ListenerID) -> Bool { listener(id).map { !listeners[$0].queue.isEmpty } ?? false }

    /// Copies received bytes to the start of `target` and leaves them to be read; returns how many.
    public func peek(_ id: ConnectionID, into target: inout MutableRawSpan) -> Int {
        guard let index = slot(id) else { return 0 }
        return slots[index].peek(into: &target)
    }

    public mutating func setNagle(_ id: ConnectionID, _ isOn: Bool, now: MonotonicInstant) {
        guard let index = slot(id) else { return }
        slots[index].connection?.setNagle(isOn)
        follow(id.index, now: now)
    }

    /// Whether ``transmit(into:headroom:now:)`` is worth a call.
    public var mayTransmit: Bool { !replies.isEmpty || !ready.isEmpty }

    public func isLocal(_ address: IPAddress) -> Bool { routes.isLocal(address) }

    /// Says what an own address is for; with ``HostConfiguration/usesEndpoints``. Connections that are open follow.
    /// - Parameters:
    ///   - id: 1...255.
    ///   - port: announced with it; joins are then taken there too.
    public mutating func setEndpoint(
        _ address: IPAddress, id: AddressID, use: EndpointUse, port: UInt16? = nil, now: MonotonicInstant
    ) throws(HostError) {
        guard routes.setEndpoint(address, id: id, use: use, port: port) else { throw .notLocal(address) }
        announceAddresses(now: now)
    }

    /// The address keeps what it carries first; its joins end, and the peers are told (REMOVE_ADDR).
    public mutating func removeEndpoint(_ address: IPAddress, now: MonotonicInstant) {
        guard let local = routes.local(address), !local.use.isEmpty else { return }
        _ = routes.setEndpoint(address, id: local.id, use: [], port: nil)
        for index in slots.indices where slots[index].connection != nil {
            slots[index].connection?.endpointRemoved(address, now: now, counters: &counters)
            follow(Int32(index), now: now)
        }
    }
}

extension ConnectionSlot {
    // Reading through an optional of a type that can't be copied takes a switch.

    var readiness: StreamReadiness? {
        switch connection {
        case .some(let connection): connection.readiness
        case .none: nil
        }
    }

    func peek(into target: inout MutableRawSpan) -> Int {
        switch connection {
        case .some(let connection): connection.peek(into: &target)
        case .none: 0
        }
    }
}
