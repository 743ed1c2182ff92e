public import TransportValues

/// What a `--path` argument names (tool.md).
public enum PathSpecification: Sendable, Hashable, LosslessStringConvertible {
    /// An existing interface, by name.
    case interface(String)
    case tun(TunSpecification)
    /// TCP in UDP from this local endpoint.
    case udp(Endpoint)

    public init?(_ text: String) { try? self.init(parsing: text) }

    /// - Throws: ``BackendError/invalidPath(_:reason:)``.
    public init(parsing text: String) throws(BackendError) {
        if text.hasPrefix("tun:") {
            self = .tun(try TunSpecification(parsing: text))
        } else if text.hasPrefix("udp:") {
            self = .udp(try Self.udpEndpoint(text))
        } else {
            if let fault = Self.nameFault(text) { throw .invalidPath(text, reason: fault) }
            self = .interface(text)
        }
    }

    public var description: String {
        switch self {
        case .interface(let name): name
        case .tun(let specification): specification.description
        case .udp(let endpoint): "udp:\(endpoint)"
        }
    }

    /// A short name for reports and captures.
    public var name: String {
        switch self {
        case .interface(let name): name
        case .tun(let specification): specification.name
        case .udp(let endpoint): "udp:\(endpoint)"
        }
    }

    /// draft-cheshire-tcp-over-udp names no port; ours is 8684 (tool.md).
    private static func udpEndpoint(_ text: String) throws(BackendError) -> Endpoint {
        let rest = String(text.dropFirst(4))
        if let endpoint = Endpoint(rest) { return endpoint }
        if let address = IPAddress(rest) { return Endpoint(address, 8684) }
        throw .invalidPath(
            text, reason: "write udp:ADDRESS or udp:ADDRESS:PORT, an IPv6 address with a port in brackets")
    }

    /// Why the kernel would refuse the name for an interface; nil when it would not.
    static func nameFault(_ name: String) -> String? {
        if name.isEmpty { return "the interface's name is missing" }
        if name.utf8.count > 15 { return "an interface's name has at most 15 bytes" }
        let isPlain = name.utf8.allSatisfy {
            $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":")
        }
        // "%d" would make the kernel choose a number.
        guard isPlain, !name.contains("%"), name != ".", name != ".." else {
            return "an interface's name has no spaces, slashes, colons or percent signs"
        }
        return nil
    }
}

/// `tun:NAME,address=10.9.1.2/24[,gateway=10.9.1.1][,mtu=1500]`; `address=` and `gateway=` once or more.
public struct TunSpecification: Sendable, Hashable {
    /// One address of the stack and the kernel's end of the link to it.
    public struct Assignment: Sendable, Hashable {
        /// The stack's own address.
        public var address: IPAddress
        public var prefixLength: Int
        /// The kernel's address.
        public var gateway: IPAddress

        public init(address: IPAddress, prefixLength: Int, gateway: IPAddress) {
            self.address = address
            self.prefixLength = prefixLength
            self.gateway = gateway
        }

        /// Whether both addresses lie in one subnet, so that the kernel's end can hold the subnet's prefix.
        var sharesSubnet: Bool { gateway.matches(address, prefixLength: prefixLength) }
    }

    public var name: String
    public var assignments: [Assignment]
    /// Bytes of IP packet, 576…65,535; with an IPv6 address at least 1280 (RFC 8200 §5).
    public var mtu: Int

    public init(name: String, assignments: [Assignment], mtu: Int = 1500) {
        self.name = name
        self.assignments = assignments
        self.mtu = mtu
    }

    /// - Throws: ``BackendError/invalidPath(_:reason:)``.
    public init(parsing text: String) throws(BackendError) {
        func fault(_ reason: String) -> BackendError { .invalidPath(text, reason: reason) }
        guard text.hasPrefix("tun:") else { throw fault("it does not begin with tun:") }
        let parts = text.dropFirst(4).split(separator: ",", omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        if let reason = PathSpecification.nameFault(name) { throw fault(reason) }
        var addresses: [(IPAddress, Int)] = []
        var gateways: [IPAddress] = []
        var mtu = 1500
        for part in parts.dropFirst() {
            let value = part.firstIndex(of: "=").map { String(part[part.index(after: $0)...]) } ?? ""
            if part.hasPrefix("address=") {
                guard let address = Self.addressAndPrefix(value) else {
                    throw fault("\(value) is not ADDRESS/PREFIX-LENGTH, for example 10.9.1.2/24")
                }
                addresses.append(address)
            } else if part.hasPrefix("gateway=") {
                guard let gateway = IPAddress(value), gateway.isUnicast else {
                    throw fault("the gateway \(value) is not an address")
                }
                gateways.append(gateway)
            } else if part.hasPrefix("mtu=") {
                guard let number = Int(value), (576...largestPacket).contains(number) else {
                    throw fault("the MTU \(value) is not between 576 and 65535")
                }
                mtu = number
            } else {
                throw fault("\(part) is none of address=, gateway=, mtu=")
            }
        }
        if addresses.isEmpty { throw fault("it needs address=, for example address=10.9.1.2/24") }
        if mtu < 1280, addresses.contains(where: { $0.0.isIPv6 }) { throw fault("IPv6 needs an MTU of at least 1280") }
        if let stray = gateways.first(where: { gateway in !addresses.contains { $0.0.isIPv6 == gateway.isIPv6 } }) {
            throw fault("the gateway \(stray) has no address= of its family")
        }
        var assignments: [Assignment] = []
        for (address, length) in addresses {
            guard let gateway = Self.gateway(for: address, length, among: gateways) else {
                throw fault(
                    "the subnet of \(address)/\(length) has no other address: name the kernel's end with gateway=")
            }
            if gateway == address { throw fault("\(address) cannot be both the stack's address and the gateway") }
            assignments.append(Assignment(address: address, prefixLength: length, gateway: gateway))
        }
        self.init(name: name, assignments: assignments, mtu: mtu)
    }

    private static func addressAndPrefix(_ text: String) -> (IPAddress, Int)? {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let address = IPAddress(String(halves[0])), address.isUnicast, !address.isLoopback,
            let length = Int(halves[1]), (1...(address.isIPv6 ? 128 : 32)).contains(length)
        else { return nil }
        return (address, length)
    }

    /// The named gateway in the address's subnet, else any named one of its family, else the subnet's first address
    /// that is not the stack's own.
    private static func gateway(for address: IPAddress, _ length: Int, among named: [IPAddress]) -> IPAddress? {
        let family = named.filter { $0.isIPv6 == address.isIPv6 }
        if let inside = family.first(where: { $0.matches(address, prefixLength: length) }) { return inside }
        if let first = family.first { return first }
        let bits = address.isIPv6 ? 128 : 32
        if length == bits { return nil }
        // The subnet's lowest address is the network's (IPv4) or the routers' anycast address (RFC 4291 §2.6.1), but
        // for two-address subnets (RFC 3021, RFC 6164).
        var candidate = address.masked(to: length)
        if length < bits - 1 { candidate = candidate.next }
        return candidate == address ? candidate.next : candidate
    }
}

extension TunSpecification: CustomStringConvertible {
    public var description: String {
        var text = "tun:\(name)"
        for assignment in assignments { text += ",address=\(assignment.address)/\(assignment.prefixLength)" }
        for assignment in assignments { text += ",gateway=\(assignment.gateway)" }
        return text + ",mtu=\(mtu)"
    }
}

extension IPAddress {
    /// The address with all but the first `length` bits zero.
    func masked(to length: Int) -> IPAddress {
        if !isIPv6 { return IPAddress(ipv4: length == 0 ? 0 : ipv4 & ~UInt32(0) << UInt32(32 - length)) }
        if length <= 64 { return IPAddress(high: length == 0 ? 0 : high & ~UInt64(0) << UInt64(64 - length), low: 0) }
        return IPAddress(high: high, low: low & ~UInt64(0) << UInt64(128 - length))
    }

    /// The address after this one.
    var next: IPAddress {
        if !isIPv6 { return IPAddress(ipv4: ipv4 &+ 1) }
        return IPAddress(high: low == .max ? high &+ 1 : high, low: low &+ 1)
    }
}
