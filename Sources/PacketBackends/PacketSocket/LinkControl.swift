import CLinux
import Glibc
import TransportValues

/// Follows one interface by netlink: its link, addresses, routes and neighbours; and asks the kernel for neighbours.
struct LinkControl: ~Copyable {
    private var events: NetlinkSocket
    private var requests: NetlinkSocket
    private(set) var interface: NetworkInterface
    var hops: NextHops
    private var pending: [BackendEvent] = []
    /// Asks for neighbours without CAP_NET_ADMIN; opened when the kernel refuses netlink requests.
    private var prober: NeighbourProber?

    /// What a message says, taken out of the socket's buffer.
    private enum Message {
        case link(LinkMessage, removed: Bool)
        case address(InterfaceAddress, removed: Bool)
        case routes
        case neighbour(NeighbourMessage, removed: Bool)
        case refused
    }

    struct News {
        var ready: [WaitingPacket] = []
        var addressesChanged = false
        fileprivate var routesChanged = false
    }

    init(interface name: String) throws(BackendError) {
        // Follow first, then read: nothing is missed in between.
        let events = try NetlinkSocket(groups: [
            RTNLGRP_LINK.rawValue, RTNLGRP_NEIGH.rawValue, RTNLGRP_IPV4_IFADDR.rawValue,
            RTNLGRP_IPV6_IFADDR.rawValue, RTNLGRP_IPV4_ROUTE.rawValue, RTNLGRP_IPV6_ROUTE.rawValue,
        ])
        var requests = try NetlinkSocket()
        let all = try NetworkInterface.all(using: &requests)
        guard var interface = all.first(where: { $0.name == name }) else { throw .noSuchInterface(name) }
        interface.addresses.removeAll { !$0.isUsable }
        hops = NextHops(routes: try InterfaceRoutes.read(interface: interface.index, using: &requests))
        self.interface = interface
        self.events = events
        self.requests = requests
        prober = nil
    }

    var descriptor: Int32 { events.descriptor.rawValue }

    mutating func nextEvent() -> BackendEvent? { pending.isEmpty ? nil : pending.removeFirst() }

    // MARK: Asking

    /// Asks the kernel what it knows of a neighbour, and has it find out. The answers come as events.
    mutating func ask(_ address: IPAddress) {
        // In this order: a neighbour that failed before is being resolved again when its state is told. A request
        // that the kernel has no room for is made again after the overrun that it then reports.
        confirm(address)
        _ = try? events.send(.neighbour(address, interface: interface.index), "ask for a neighbour")
    }

    mutating func confirm(_ address: IPAddress) {
        if prober == nil {
            _ = try? events.send(.resolve(address, interface: interface.index), "resolve a neighbour")
        } else {
            prober?.probe(address, interface: interface.index)
        }
    }

    // MARK: Listening

    /// Takes in all that the kernel has said.
    /// - Throws: ``BackendError/interfaceGone(_:)``.
    mutating func service(_ counters: inout BackendCounters) throws(BackendError) -> News {
        var news = News()
        reading: while true {
            switch try events.read() {
            case .wouldBlock: break reading
            case .overrun:
                counters.netlinkOverruns += 1
                try readAnew(&news)
            case .bytes(let count):
                var messages: [Message] = []
                let index = interface.index
                let whole = events.withMessages(count) { header, payload in
                    if let message = Self.message(header, payload, interface: index) { messages.append(message) }
                }
                if !whole { counters.malformedNetlink += 1 }
                for message in messages { try take(message, &news, &counters) }
            }
        }
        if news.routesChanged {
            let routes = try InterfaceRoutes.read(interface: interface.index, using: &requests)
            if routes.destinations != hops.routes.destinations { pending.append(.routesChanged) }
            hops.setRoutes(routes)
        }
        return news
    }

    private static func message(_ header: Netlink.Header, _ payload: RawSpan, interface: Int32) -> Message? {
        switch Int(header.type) {
        case RTM_NEWLINK, RTM_DELLINK:
            guard let link = LinkMessage(payload), link.index == interface else { return nil }
            return .link(link, removed: Int(header.type) == RTM_DELLINK)
        case RTM_NEWADDR, RTM_DELADDR:
            guard let message = AddressMessage(payload), message.index == interface else { return nil }
            return .address(message.address, removed: Int(header.type) == RTM_DELADDR)
        case RTM_NEWROUTE, RTM_DELROUTE:
            return RouteMessage(payload, interface: interface) == nil ? nil : .routes
        case RTM_NEWNEIGH, RTM_DELNEIGH:
            guard let message = NeighbourMessage(payload), message.index == interface else { return nil }
            return .neighbour(message, removed: Int(header.type) == RTM_DELNEIGH)
        case Int(NLMSG_ERROR):
            return payload.native(Int32.self, at: 0) == -EPERM ? .refused : nil
        default: return nil
        }
    }

    private mutating func take(
        _ message: Message, _ news: inout News, _ counters: inout BackendCounters
    ) throws(BackendError) {
        switch message {
        case .link(_, removed: true): throw .interfaceGone(interface.name)
        case .link(let link, removed: false): take(link, &news)
        case .address(let address, let removed): take(address, isThere: !removed && address.isUsable, &news)
        case .routes: news.routesChanged = true
        case .neighbour(let neighbour, let removed):
            switch hops.learn(neighbour, removed: removed) {
            case .nothing: break
            case .ready(let packets): news.ready += packets
            case .dropped(let count): counters.neighbourUnresolved += UInt64(count)
            }
        case .refused:
            if prober == nil { prober = try NeighbourProber(interface: interface.name) }
            for address in hops.awaited { prober?.probe(address, interface: interface.index) }
        }
    }

    private mutating func take(_ link: LinkMessage, _ news: inout News) {
        let wasUp = interface.isUp && interface.isRunning
        interface.isUp = link.isUp
        interface.isRunning = link.isRunning
        if !link.name.isEmpty { interface.name = link.name }
        if link.hardwareAddress != 0 { interface.hardwareAddress = link.hardwareAddress }
        if link.mtu > 0, link.mtu != interface.mtu {
            interface.mtu = link.mtu
            pending.append(.mtuChanged(link.mtu))
        }
        let isUp = link.isUp && link.isRunning
        guard isUp != wasUp else { return }
        pending.append(.linkChanged(isUp: isUp))
        // The kernel drops a downed link's IPv4 routes without a word, and neighbours may have changed.
        news.routesChanged = true
        hops.doubtAll()
        if isUp { for address in hops.awaited { ask(address) } }
    }

    private mutating func take(_ address: InterfaceAddress, isThere: Bool, _ news: inout News) {
        let index = interface.addresses.firstIndex { $0.address == address.address }
        // Routes that prefer a removed address go without a word, too.
        switch (index, isThere) {
        case (nil, true):
            interface.addresses.append(address)
            pending.append(.addressAdded(address))
        case (let index?, true):
            interface.addresses[index] = address
            return
        case (let index?, false):
            interface.addresses.remove(at: index)
            pending.append(.addressRemoved(address))
        case (nil, false): return
        }
        news.addressesChanged = true
        news.routesChanged = true
    }

    /// After lost messages: compares what is with what was believed.
    private mutating func readAnew(_ news: inout News) throws(BackendError) {
        let all = try NetworkInterface.all(using: &requests)
        guard let now = all.first(where: { $0.index == interface.index }) else {
            throw .interfaceGone(interface.name)
        }
        for old in interface.addresses where !now.addresses.contains(where: { $0.address == old.address }) {
            take(old, isThere: false, &news)
        }
        for address in now.addresses { take(address, isThere: address.isUsable, &news) }
        let wasUp = interface.isUp && interface.isRunning
        if now.mtu != interface.mtu { pending.append(.mtuChanged(now.mtu)) }
        if wasUp != (now.isUp && now.isRunning) { pending.append(.linkChanged(isUp: !wasUp)) }
        let addresses = interface.addresses
        interface = now
        interface.addresses = addresses
        news.routesChanged = true
        hops.doubtAll()
        for address in hops.awaited { ask(address) }
    }
}

/// Makes the kernel resolve a neighbour by sending a datagram to its discard port (RFC 863): for a process that may
/// open packet sockets but not change the neighbour table.
struct NeighbourProber: ~Copyable {
    private let socket4: OwnedDescriptor
    private let socket6: OwnedDescriptor

    init(interface: String) throws(BackendError) {
        func open(_ family: Int32) throws(BackendError) -> OwnedDescriptor {
            let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let socket = try OwnedDescriptor(Glibc.socket(family, kind, 0), "ask for a neighbour by UDP")
            let bound = unsafe interface.withCString { name in
                unsafe setsockopt(socket.rawValue, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(interface.utf8.count))
            }
            if bound != 0 { throw .fromErrno("ask for a neighbour on \(interface) by UDP") }
            return socket
        }
        let four = try open(AF_INET)
        socket6 = try open(AF_INET6)
        socket4 = four
    }

    /// Best effort: a datagram that cannot be sent resolves nobody, and the waiting packets stay few.
    borrowing func probe(_ address: IPAddress, interface: Int32) {
        let discard = Endpoint(address, 9)
        if address.isIPv6 {
            var target = sockaddr_in6(discard, interface: interface)
            _ = unsafe withSocketAddress(&target) { unsafe sendto(socket6.rawValue, nil, 0, 0, $0, $1) }
        } else {
            var target = sockaddr_in(discard)
            _ = unsafe withSocketAddress(&target) { unsafe sendto(socket4.rawValue, nil, 0, 0, $0, $1) }
        }
    }
}
