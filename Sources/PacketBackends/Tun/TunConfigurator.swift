import CLinux
import Glibc
import TransportValues

/// Sets up the kernel's end of a TUN device by netlink: MTU, up, addresses.
struct TunConfigurator: ~Copyable {
    private var socket: NetlinkSocket
    private let index: Int32
    private let name: String

    init(name: String) throws(BackendError) {
        let index = unsafe name.withCString { unsafe if_nametoindex($0) }
        guard index > 0 else { throw .interfaceGone(name) }
        let socket = try NetlinkSocket()
        self.index = Int32(index)
        self.name = name
        self.socket = socket
    }

    mutating func apply(_ specification: TunSpecification) throws(BackendError) {
        try setLink(mtu: specification.mtu)
        var held: Set<IPAddress> = []
        for assignment in specification.assignments {
            if assignment.sharesSubnet {
                // One address of the kernel's may serve several of ours in its subnet.
                if held.insert(assignment.gateway).inserted { try addAddress(assignment, peer: nil) }
            } else {
                try addAddress(assignment, peer: assignment.address)
            }
        }
        for assignment in specification.assignments where assignment.gateway.isIPv6 {
            try awaitDelivery(to: assignment.gateway)
        }
    }

    /// The kernel begins to take packets for a new IPv6 address a little after the request has returned.
    private mutating func awaitDelivery(to address: IPAddress) throws(BackendError) {
        for _ in 0..<500 {
            var request = NetlinkRequest(RTM_GETROUTE, flags: 0)
            // struct rtmsg
            request.append(UInt8(AF_INET6))
            request.append(UInt8(128))
            for _ in 0..<6 { request.append(UInt8(0)) }
            request.append(UInt32(0))
            request.attribute(RTA_DST.number, address.networkBytes)
            var isLocal = false
            try socket.query(request, "look up the route to \(address)") { header, payload in
                if Int(header.type) == RTM_NEWROUTE, payload.native(UInt8.self, at: 7) == UInt8(RTN_LOCAL) {
                    isLocal = true
                }
            }
            if isLocal { return }
            usleep(2000)
        }
        throw .addressUnavailable(address)
    }

    private mutating func setLink(mtu: Int) throws(BackendError) {
        var request = NetlinkRequest(RTM_NEWLINK, flags: NLM_F_ACK)
        request.linkHeader(index: index, flags: UInt32(IFF_UP), change: UInt32(IFF_UP))
        request.attribute(IFLA_MTU, UInt32(mtu))
        let operation = "bring \(name) up with an MTU of \(mtu)"
        let code = try socket.perform(request, operation)
        if code != 0 { throw .from(code, operation) }
    }

    /// Gives the kernel the gateway's address: with the subnet's prefix, or towards our one address as a
    /// point-to-point peer when they share no subnet.
    private mutating func addAddress(
        _ assignment: TunSpecification.Assignment, peer: IPAddress?
    ) throws(BackendError) {
        let isIPv6 = assignment.gateway.isIPv6
        let length = peer == nil ? assignment.prefixLength : isIPv6 ? 128 : 32
        var request = NetlinkRequest(RTM_NEWADDR, flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)
        // struct ifaddrmsg
        request.append(UInt8(isIPv6 ? AF_INET6 : AF_INET))
        request.append(UInt8(length))
        request.append(UInt8(0))
        request.append(UInt8(0))
        request.append(index)
        request.attribute(IFA_LOCAL, assignment.gateway.networkBytes)
        request.attribute(IFA_ADDRESS, (peer ?? assignment.gateway).networkBytes)
        // Nobody else is on the link: the address need not wait for duplicate address detection.
        if isIPv6 { request.attribute(IFA_FLAGS, UInt32(IFA_F_NODAD)) }
        let operation = "give \(name) the address \(assignment.gateway)/\(length)"
        let code = try socket.perform(request, operation)
        // EACCES from here is not about privileges: IPv6 is switched off (net.ipv6.conf.*.disable_ipv6).
        if code == EACCES, isIPv6 {
            throw .missingFeature("IPv6 on \(name)", mend: "set net.ipv6.conf.\(name).disable_ipv6 to 0")
        }
        if code != 0 { throw .from(code, operation) }
    }
}
