import CLinux
import TransportValues

/// One unicast route that leaves by a certain interface.
struct InterfaceRoute: Equatable {
    var destination: IPAddress
    var prefixLength: Int
    /// nil: the destination is a neighbour. May be an IPv6 address for an IPv4 route (RFC 8950's kind of next hop).
    var gateway: IPAddress?
    /// Lower wins.
    var metric: UInt32
}

/// The routes of one interface, of any table: what the kernel would need `ip rule` for.
struct InterfaceRoutes {
    /// Best first: longest prefix, then lowest metric.
    private(set) var routes: [InterfaceRoute] = []

    /// Reads them anew.
    static func read(interface index: Int32, using socket: inout NetlinkSocket) throws(BackendError) -> InterfaceRoutes
    {
        var result = InterfaceRoutes()
        for family in [AF_INET, AF_INET6] {
            var request = NetlinkRequest(RTM_GETROUTE, flags: NLM_F_DUMP)
            // struct rtmsg
            request.append(UInt8(family))
            for _ in 0..<7 { request.append(UInt8(0)) }
            request.append(UInt32(0))
            request.attribute(RTA_OIF.number, UInt32(index))
            try socket.dump(request, "read the routes") { header, payload in
                if Int(header.type) == RTM_NEWROUTE, let message = RouteMessage(payload, interface: index) {
                    result.routes.append(message.route)
                }
            }
        }
        result.sort()
        return result
    }

    /// What is reached, whatever the metric and the gateway.
    var destinations: Set<InterfaceAddress> {
        Set(routes.map { InterfaceAddress(address: $0.destination, prefixLength: $0.prefixLength) })
    }

    init(_ routes: [InterfaceRoute] = []) {
        self.routes = routes
        sort()
    }

    private mutating func sort() {
        routes.sort {
            $0.prefixLength != $1.prefixLength ? $0.prefixLength > $1.prefixLength : $0.metric < $1.metric
        }
    }

    /// Who is to get packets for `destination`: a gateway or the destination itself; nil: no route by this interface.
    func nextHop(to destination: IPAddress) -> IPAddress? {
        for route in routes where destination.matches(route.destination, prefixLength: route.prefixLength) {
            return route.gateway ?? destination
        }
        return nil
    }
}

/// RTM_NEWROUTE and RTM_DELROUTE: `struct rtmsg` and RTA_* attributes.
struct RouteMessage {
    var route: InterfaceRoute

    /// nil when the message makes no sense, is not of a unicast route, or the route does not use `interface`.
    init?(_ payload: RawSpan, interface: Int32) {
        guard let family = payload.native(UInt8.self, at: 0), let prefixLength = payload.native(UInt8.self, at: 1),
            let typeOfService = payload.native(UInt8.self, at: 3), let table = payload.native(UInt8.self, at: 4),
            let type = payload.native(UInt8.self, at: 7), let flags = payload.native(UInt32.self, at: 8),
            family == AF_INET || family == AF_INET6, prefixLength <= (family == AF_INET ? 32 : 128)
        else { return nil }
        let isCached = flags & UInt32(RTM_F_CLONED) != 0
        let isDead = flags & UInt32(RTNH_F_DEAD) != 0
        guard Int(type) == RTN_UNICAST, typeOfService == 0, Int(table) != RT_TABLE_LOCAL.rawValue, !isCached, !isDead
        else { return nil }
        var fields = Fields()
        guard Netlink.forEachAttribute(in: payload, from: 12, { fields.read($0, $1, interface: interface) }),
            fields.usesInterface(interface)
        else { return nil }
        let any = family == AF_INET ? IPAddress.anyIPv4 : .anyIPv6
        route = InterfaceRoute(
            destination: fields.destination ?? any, prefixLength: Int(prefixLength), gateway: fields.gateway,
            metric: fields.metric)
    }

    private struct Fields {
        var destination: IPAddress?
        var gateway: IPAddress?
        var metric: UInt32 = 0
        var outgoing: Int32 = 0

        func usesInterface(_ index: Int32) -> Bool { outgoing == index }

        mutating func read(_ type: Int, _ value: RawSpan, interface: Int32) {
            switch type {
            case RTA_DST.number: destination = value.address
            case RTA_GATEWAY.number: gateway = value.address
            case RTA_VIA.number: gateway = value.byteCount > 2 ? value.extracting(2..<value.byteCount).address : nil
            case RTA_PRIORITY.number: metric = value.native(UInt32.self, at: 0) ?? 0
            case RTA_OIF.number: outgoing = value.native(Int32.self, at: 0) ?? 0
            case RTA_MULTIPATH.number: readNextHops(value, interface: interface)
            default: break
            }
        }

        /// `struct rtnexthop`s: length, flags, hops, interface, attributes.
        private mutating func readNextHops(_ bytes: RawSpan, interface: Int32) {
            var offset = 0
            while let length = bytes.native(UInt16.self, at: offset), Int(length) >= 8,
                Int(length) <= bytes.byteCount - offset, let flags = bytes.native(UInt8.self, at: offset + 2),
                let index = bytes.native(Int32.self, at: offset + 4)
            {
                if index == interface, flags & UInt8(RTNH_F_DEAD) == 0 {
                    outgoing = index
                    let hop = bytes.extracting(offset..<offset + Int(length))
                    var found: IPAddress? = nil
                    Netlink.forEachAttribute(in: hop, from: 8) { type, value in
                        if type == RTA_GATEWAY.number { found = value.address }
                        if type == RTA_VIA.number, value.byteCount > 2 {
                            found = value.extracting(2..<value.byteCount).address
                        }
                    }
                    gateway = found
                    return
                }
                offset += Netlink.aligned(Int(length))
            }
        }
    }
}

extension rtattr_type_t {
    /// The attribute's type as it stands in a message.
    var number: Int { Int(rawValue) }
}
