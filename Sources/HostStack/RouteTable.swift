import MPTCPConnection
import TransportValues

/// The host's interfaces, their addresses and what can be reached through them.
struct RouteTable {
    struct Interface {
        var name: String
        var mtu: Int
        var maximumPacket: Int
        var checksumOffload: Bool
        /// Whether segments for nobody may be answered with RST: not where the system's own stack shares the address.
        var ownsAddresses: Bool
        var isUp = true
    }

    struct Address {
        var value: LocalAddress
        var prefixLength: Int
    }

    struct Route {
        var destination: IPAddress
        var prefixLength: Int
        var interface: InterfaceID
    }

    private(set) var interfaces: [Interface] = []
    private(set) var addresses: [Address] = []
    private(set) var routes: [Route] = []
    private var nextAddressID: UInt8 = 1

    mutating func addInterface(_ interface: Interface) -> InterfaceID {
        interfaces.append(interface)
        return InterfaceID(Int32(interfaces.count - 1))
    }

    func interface(_ id: InterfaceID) -> Interface? {
        guard id.rawValue >= 0, Int(id.rawValue) < interfaces.count, interfaces[Int(id.rawValue)].isUp else { return nil }
        return interfaces[Int(id.rawValue)]
    }

    mutating func removeInterface(_ id: InterfaceID) {
        guard interface(id) != nil else { return }
        interfaces[Int(id.rawValue)].isUp = false
        addresses.removeAll { $0.value.interface == id }
        routes.removeAll { $0.interface == id }
    }

    mutating func setMTU(_ mtu: Int, _ id: InterfaceID) {
        guard interface(id) != nil else { return }
        interfaces[Int(id.rawValue)].mtu = mtu
    }

    mutating func addAddress(
        _ address: IPAddress, prefixLength: Int, to interface: InterfaceID, use: EndpointUse = .automatic
    ) {
        guard !addresses.contains(where: { $0.value.address == address }) else { return }
        var value = LocalAddress(id: freshAddressID(), address: address, interface: interface)
        value.use = use
        addresses.append(Address(value: value, prefixLength: prefixLength))
    }

    /// The next identifier that no address has; with more than 255 of them they repeat.
    private mutating func freshAddressID() -> AddressID {
        for _ in 0..<255 {
            let id = AddressID(nextAddressID)
            nextAddressID = nextAddressID == 255 ? 1 : nextAddressID + 1
            if !addresses.contains(where: { $0.value.id == id }) { return id }
        }
        return AddressID(nextAddressID)
    }

    /// Gives an address its use and identifier; whoever had that identifier gets another. False: no such address.
    mutating func setEndpoint(_ address: IPAddress, id: AddressID, use: EndpointUse, port: UInt16?) -> Bool {
        guard let index = addresses.firstIndex(where: { $0.value.address == address }) else { return false }
        let other = addresses.firstIndex { $0.value.id == id && $0.value.address != address }
        addresses[index].value.id = id
        addresses[index].value.use = use
        addresses[index].value.port = port
        if let other { addresses[other].value.id = freshAddressID() }
        return true
    }

    /// Whether joins to this endpoint are invited, and nothing else.
    func announces(_ endpoint: Endpoint) -> Bool {
        addresses.contains {
            $0.value.port == endpoint.port && $0.value.address == endpoint.address && $0.value.use.contains(.signal)
        }
    }

    mutating func removeAddress(_ address: IPAddress) { addresses.removeAll { $0.value.address == address } }

    mutating func addRoute(_ destination: IPAddress, prefixLength: Int, interface: InterfaceID) {
        routes.append(Route(destination: destination, prefixLength: prefixLength, interface: interface))
    }

    func isLocal(_ address: IPAddress) -> Bool { addresses.contains { $0.value.address == address } }

    func local(_ address: IPAddress) -> LocalAddress? { addresses.first { $0.value.address == address }?.value }

    var locals: [LocalAddress] { addresses.map(\.value) }

    /// How well an interface reaches an address: the longest prefix that matches; nil: not at all.
    func reach(_ remote: IPAddress, through interface: InterfaceID) -> Int? {
        var best: Int?
        for address in addresses where address.value.interface == interface {
            if address.value.address.matches(remote, prefixLength: address.prefixLength),
                address.value.address.isIPv6 == remote.isIPv6
            {
                best = max(best ?? 0, address.prefixLength)
            }
        }
        for route in routes where route.interface == interface {
            if route.destination.isIPv6 == remote.isIPv6,
                route.destination.matches(remote, prefixLength: route.prefixLength)
            {
                best = max(best ?? 0, route.prefixLength)
            }
        }
        return best
    }

    /// The address to connect from: the one whose interface reaches the remote address best; the first of equals.
    func source(for remote: IPAddress) -> LocalAddress? {
        var best: (reach: Int, address: LocalAddress)?
        for address in addresses where address.value.address.isIPv6 == remote.isIPv6 {
            guard interface(address.value.interface) != nil,
                let reach = reach(remote, through: address.value.interface),
                address.value.address.isLinkLocal == remote.isLinkLocal
            else { continue }
            if best == nil || reach > best!.reach { best = (reach, address.value) }
        }
        return best?.address
    }
}
