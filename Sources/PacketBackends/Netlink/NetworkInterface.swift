import CLinux
import Glibc
public import TransportValues

/// An address that the kernel has on an interface.
public struct InterfaceAddress: Sendable, Hashable {
    public var address: IPAddress
    public var prefixLength: Int
    /// Whether connections may begin from it: an IPv6 address that duplicate address detection has not yet passed, or
    /// has refused, may not.
    public var isUsable: Bool
    /// An IPv6 address that should not be used for new connections (RFC 4862 §5.5.4).
    public var isDeprecated: Bool

    public init(address: IPAddress, prefixLength: Int, isUsable: Bool = true, isDeprecated: Bool = false) {
        self.address = address
        self.prefixLength = prefixLength
        self.isUsable = isUsable
        self.isDeprecated = isDeprecated
    }
}

/// How packets look on an interface.
public enum LinkKind: Sendable, Hashable {
    /// A 14-byte Ethernet header; neighbours have 6-byte addresses.
    case ethernet
    /// Bare IP packets, no neighbours: TUN, WireGuard, PPP, modems.
    case layer3
    case loopback
    /// Something else, by its ARPHRD_* number.
    case other(UInt16)
}

/// One network interface as the kernel describes it.
public struct NetworkInterface: Sendable, Hashable {
    public var index: Int32
    public var name: String
    public var kind: LinkKind
    /// Bytes of IP packet.
    public var mtu: Int
    /// Administratively up.
    public var isUp: Bool
    /// Able to carry packets (carrier present); devices that do not know report true.
    public var isRunning: Bool
    /// The Ethernet address in the low 48 bits, 0 when there is none.
    public var hardwareAddress: UInt64
    public var addresses: [InterfaceAddress]

    /// The interfaces of this network namespace, loopback included, in the order of their indexes.
    public static func all() throws(BackendError) -> [NetworkInterface] {
        var socket = try NetlinkSocket()
        return try all(using: &socket)
    }

    /// The interface of that name.
    /// - Throws: ``BackendError/noSuchInterface(_:)``.
    public static func named(_ name: String) throws(BackendError) -> NetworkInterface {
        for interface in try all() where interface.name == name { return interface }
        throw .noSuchInterface(name)
    }

    /// The tool's default set of paths: every interface that is up, is not loopback, can carry IP for us and has a
    /// usable address that is not link-local.
    public static func defaultPaths() throws(BackendError) -> [NetworkInterface] {
        try all().filter { $0.isDefaultPath }
    }

    /// See ``defaultPaths()``.
    public var isDefaultPath: Bool {
        guard isUp, kind == .ethernet || kind == .layer3 else { return false }
        return addresses.contains { $0.isUsable && !$0.address.isLinkLocal }
    }

    static func all(using socket: inout NetlinkSocket) throws(BackendError) -> [NetworkInterface] {
        var found: [Int32: NetworkInterface] = [:]
        try socket.dump(.links, "list the network interfaces") { header, payload in
            if let link = LinkMessage(payload), Int(header.type) == RTM_NEWLINK { found[link.index] = link.interface }
        }
        try socket.dump(.addresses, "list the interfaces' addresses") { header, payload in
            if let message = AddressMessage(payload), Int(header.type) == RTM_NEWADDR {
                found[message.index]?.addresses.append(message.address)
            }
        }
        return found.values.sorted { $0.index < $1.index }
    }
}

/// RTM_NEWLINK and RTM_DELLINK: `struct ifinfomsg` and IFLA_* attributes.
struct LinkMessage {
    var index: Int32
    var hardwareType: UInt16
    var flags: UInt32
    var name = ""
    var mtu = 0
    var hardwareAddress: UInt64 = 0

    init?(_ payload: RawSpan) {
        // Other families (AF_BRIDGE) tell of a device's part in something else, not of the device.
        guard payload.native(UInt8.self, at: 0) == 0, let hardwareType = payload.native(UInt16.self, at: 2),
            let index = payload.native(Int32.self, at: 4),
            let flags = payload.native(UInt32.self, at: 8)
        else { return nil }
        self.index = index
        self.hardwareType = hardwareType
        self.flags = flags
        var (name, mtu, hardwareAddress) = ("", 0, UInt64(0))
        let whole = Netlink.forEachAttribute(in: payload, from: 16) { type, value in
            switch type {
            case IFLA_IFNAME: name = value.text
            case IFLA_MTU: mtu = Int(value.native(UInt32.self, at: 0) ?? 0)
            case IFLA_ADDRESS: hardwareAddress = EthernetAddress.load(value) ?? 0
            default: break
            }
        }
        guard whole, index > 0 else { return nil }
        (self.name, self.mtu, self.hardwareAddress) = (name, mtu, hardwareAddress)
    }

    var isUp: Bool { flags & UInt32(IFF_UP) != 0 }
    var isRunning: Bool { flags & UInt32(IFF_RUNNING) != 0 }

    var kind: LinkKind {
        if flags & UInt32(IFF_LOOPBACK) != 0 { return .loopback }
        // Newer than the C library's list: ARPHRD_RAWIP.
        let rawIP: Int32 = 519
        switch Int32(hardwareType) {
        case ARPHRD_ETHER: return .ethernet
        // Tunnels (TUN, WireGuard, IP in IP, GRE), modems and PPP show bare IP packets to a packet socket.
        case ARPHRD_NONE, rawIP, ARPHRD_PPP, ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_SIT: return .layer3
        default: return .other(hardwareType)
        }
    }

    var interface: NetworkInterface {
        NetworkInterface(
            index: index, name: name, kind: kind, mtu: mtu, isUp: isUp, isRunning: isRunning,
            hardwareAddress: hardwareAddress, addresses: [])
    }
}

/// RTM_NEWADDR and RTM_DELADDR: `struct ifaddrmsg` and IFA_* attributes.
struct AddressMessage {
    var index: Int32
    var address: InterfaceAddress

    init?(_ payload: RawSpan) {
        guard let prefixLength = payload.native(UInt8.self, at: 1), let shortFlags = payload.native(UInt8.self, at: 2),
            let index = payload.native(Int32.self, at: 4)
        else { return nil }
        var flags = UInt32(shortFlags)
        var local: IPAddress? = nil
        var address: IPAddress? = nil
        let whole = Netlink.forEachAttribute(in: payload, from: 8) { type, value in
            switch type {
            // On a point-to-point link IFA_ADDRESS is the other end's.
            case IFA_LOCAL: local = value.address
            case IFA_ADDRESS: address = value.address
            case IFA_FLAGS: flags = value.native(UInt32.self, at: 0) ?? flags
            default: break
            }
        }
        guard whole, index > 0, let own = local ?? address, prefixLength <= (own.isIPv6 ? 128 : 32) else { return nil }
        self.index = index
        let unproven = UInt32(IFA_F_TENTATIVE | IFA_F_DADFAILED)
        let optimistic = UInt32(IFA_F_OPTIMISTIC)
        self.address = InterfaceAddress(
            address: own, prefixLength: Int(prefixLength), isUsable: flags & unproven == 0 || flags & optimistic != 0,
            isDeprecated: flags & UInt32(IFA_F_DEPRECATED) != 0)
    }
}

/// Ethernet addresses as the low 48 bits of an integer, first byte highest.
enum EthernetAddress {
    static func load(_ bytes: RawSpan) -> UInt64? {
        guard bytes.byteCount == 6, let high = bytes.network(UInt32.self, at: 0),
            let low = bytes.network(UInt16.self, at: 4)
        else { return nil }
        return UInt64(high) << 16 | UInt64(low)
    }
}

extension NetlinkRequest {
    static var links: NetlinkRequest {
        var request = NetlinkRequest(RTM_GETLINK, flags: NLM_F_DUMP)
        request.linkHeader(index: 0, flags: 0, change: 0)
        return request
    }

    /// All interfaces' addresses of both families.
    static var addresses: NetlinkRequest {
        var request = NetlinkRequest(RTM_GETADDR, flags: NLM_F_DUMP)
        request.append(UInt64(0))
        return request
    }

    /// `struct ifinfomsg`.
    mutating func linkHeader(index: Int32, flags: UInt32, change: UInt32) {
        append(UInt32(0))
        append(index)
        append(flags)
        append(change)
    }
}
