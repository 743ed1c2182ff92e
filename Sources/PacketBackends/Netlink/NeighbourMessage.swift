import CLinux
import TransportValues

/// What the kernel knows of a neighbour's link-layer address (RFC 4861 §7.3.2, and the same for ARP).
enum NeighbourKnowledge: Equatable {
    /// Asked for, not yet answered.
    case incomplete
    /// Confirmed lately, or configured.
    case confirmed
    /// Known, but not confirmed for a while.
    case stale
    /// Known and being confirmed.
    case probing
    /// Nobody answered.
    case failed

    init?(_ state: UInt16) {
        switch Int32(state) {
        case NUD_INCOMPLETE: self = .incomplete
        case NUD_REACHABLE, NUD_PERMANENT, NUD_NOARP: self = .confirmed
        case NUD_STALE: self = .stale
        case NUD_DELAY, NUD_PROBE: self = .probing
        case NUD_FAILED: self = .failed
        default: return nil
        }
    }
}

/// RTM_NEWNEIGH and RTM_DELNEIGH: `struct ndmsg` and NDA_* attributes.
struct NeighbourMessage {
    var index: Int32
    var address: IPAddress
    var knowledge: NeighbourKnowledge?
    var linkAddress: UInt64?

    /// nil when the message makes no sense or is of a bridge's or proxy's table.
    init?(_ payload: RawSpan) {
        guard let family = payload.native(UInt8.self, at: 0), family == AF_INET || family == AF_INET6,
            let index = payload.native(Int32.self, at: 4), let state = payload.native(UInt16.self, at: 8),
            let flags = payload.native(UInt8.self, at: 10), flags & UInt8(NTF_PROXY) == 0
        else { return nil }
        var address: IPAddress? = nil
        var linkAddress: UInt64? = nil
        let whole = Netlink.forEachAttribute(in: payload, from: 12) { type, value in
            if type == NDA_DST { address = value.address }
            if type == NDA_LLADDR { linkAddress = EthernetAddress.load(value) }
        }
        guard whole, let address, address.isIPv6 == (family == AF_INET6) else { return nil }
        self.index = index
        self.address = address
        self.linkAddress = linkAddress
        knowledge = NeighbourKnowledge(state)
    }
}

extension NetlinkRequest {
    /// Asks what the kernel knows of a neighbour; the answer is an RTM_NEWNEIGH, or the error ENOENT.
    static func neighbour(_ address: IPAddress, interface: Int32) -> NetlinkRequest {
        var request = NetlinkRequest(RTM_GETNEIGH, flags: 0)
        request.neighbourHeader(address, interface, flags: 0)
        return request
    }

    /// Has the kernel resolve or confirm a neighbour as if it had a packet to send to it.
    static func resolve(_ address: IPAddress, interface: Int32) -> NetlinkRequest {
        var request = NetlinkRequest(RTM_NEWNEIGH, flags: NLM_F_CREATE)
        request.neighbourHeader(address, interface, flags: UInt8(NTF_USE))
        return request
    }

    /// `struct ndmsg` and the address.
    private mutating func neighbourHeader(_ address: IPAddress, _ interface: Int32, flags: UInt8) {
        append(UInt8(address.isIPv6 ? AF_INET6 : AF_INET))
        append(UInt8(0))
        append(UInt16(0))
        append(interface)
        append(UInt16(NUD_NONE))
        append(flags)
        append(UInt8(0))
        attribute(NDA_DST, address.networkBytes)
    }
}
