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
        guard id.rawValue >= 0, Int(id.rawValue) < interfaces.count, interfaces[Int(id.rawValue)].isUp else {
            return nil
        }
        return interfaces[Int(id.rawValue)]
    }

    mutating func removeInterface(_ id: InterfaceID) {
        guard interface(id) != nil else { return }
        interfaces[Int(id.rawValue)].isUp = false
        addresses.removeAll { $0.value.interface == id }
        routes.removeAll { $0.interface == id }
    }

    /// The interface is there again, perhaps with other properties; its addresses and routes come anew.
    mutating func restoreInterface(_ id: InterfaceID, mtu: Int, maximumPacket: Int, checksumOffload: Bool) {
        guard id.rawValue >= 0, Int(id.rawValue) < interfaces.count else { return }
        let index = Int(id.rawValue)
        interfaces[index].mtu = mtu
        interfaces[index].maximumPacket = maximumPacket
        interfaces[index].checksumOffload = checksumOffload
        interfaces[index].isUp = true
    }

    mutating func setMTU(_ mtu: Int, _ id: InterfaceID) {
        guard interface(id) != nil else { return }
        interfaces[Int(id.rawValue)].mtu = mtu
    }

    mutating func addAddress(_ address: IPAddress, prefixLength: Int, to interface: InterfaceID) {
        guard !addresses.contains(where: { $0.value.address == address }) else { return }
        guard let id = takeAddressID() else { return }
        addresses.append(
            Address(
                value: LocalAddress(id: id, address: address, interface: interface), prefixLength: prefixLength))
    }

    /// In a circle, so that a withdrawn identifier is not soon another address's; nil: all 255 are in use.
    private mutating func takeAddressID() -> AddressID? {
        for _ in 0..<255 {
            let id = AddressID(nextAddressID)
            nextAddressID = nextAddressID == 255 ? 1 : nextAddressID + 1
            if !addresses.contains(where: { $0.value.id == id }) { return id }
        }
        return nil
    }

    mutating func removeAddress(_ address: IPAddress) { addresses.removeAll { $0.value.address == address } }

    mutating func removeRoutes(of interface: InterfaceID) { routes.removeAll { $0.interface == interface } }

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
