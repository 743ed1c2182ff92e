public import PacketBackends
public import TransportValues

/// A way out to the network.
public enum StackPath: Sendable, Hashable {
    /// What `--path` names.
    case system(PathSpecification)
    /// A descriptor that the program brings along.
    case descriptor(DescriptorPath)

    /// The name by which reports and captures call the path.
    public var name: String {
        switch self {
        case .system(let specification): specification.name
        case .descriptor(let path): path.name
        }
    }
}

/// An address with the length of its subnet's prefix.
public struct AddressPrefix: Sendable, Hashable, CustomStringConvertible {
    public var address: IPAddress
    /// 1...32 for IPv4, 1...128 for IPv6.
    public var prefixLength: Int

    public init(_ address: IPAddress, _ prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }

    public var description: String { "\(address)/\(prefixLength)" }
}

/// A descriptor handed in by the program (a TUN device that somebody else opened, one end of a socket pair of type
/// SOCK_SEQPACKET or SOCK_DGRAM): one IP packet a message. The stack owns and closes it.
public struct DescriptorPath: Sendable, Hashable {
    public var name: String
    public var descriptor: Int32
    public var addresses: [AddressPrefix]
    /// Bytes of the largest IP packet.
    public var mtu: Int
    /// Destinations beyond the addresses' subnets; prefix length 0 for everything.
    public var routes: [AddressPrefix]

    public init(
        name: String, descriptor: Int32, addresses: [AddressPrefix], mtu: Int = 1500, routes: [AddressPrefix] = []
    ) {
        self.routes = routes
        self.name = name
        self.descriptor = descriptor
        self.addresses = addresses
        self.mtu = mtu
    }
}
