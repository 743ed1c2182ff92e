import CLinux
import TransportValues

/// The classic BPF program that lets only our packets through to a packet socket: those to our addresses, and of these
/// TCP to our ports, ICMP errors, and IPv6 packets with extension headers (which the backend then looks at itself).
/// Other traffic of the machine costs one run of this program, and no copy and no wake-up.
struct PortFilter {
    /// Ranges that are told apart at most; beyond it the nearest are merged, and the backend sorts out the rest.
    static let maximumRanges = 256

    /// Places to jump to; all jumps go forward.
    private struct Label: Hashable { var number: Int }

    private var instructions: [sock_filter] = []
    private var places: [Label: Int] = [:]
    private var jumps: [(instruction: Int, label: Label)] = []
    private var labels = 0
    private let accept: Label
    private let reject: Label
    /// Bytes of link-layer header before the IP packet.
    private let link: UInt32

    static func program(
        linkHeaderLength: Int, addresses: [IPAddress], ports: [ClosedRange<UInt16>]
    ) -> [sock_filter] {
        var filter = PortFilter(linkHeaderLength)
        filter.build(addresses, merged(ports, limit: maximumRanges))
        return filter.resolved
    }

    /// At most `limit` ranges that cover `ranges`, made by closing the narrowest gaps.
    static func merged(_ ranges: [ClosedRange<UInt16>], limit: Int) -> [ClosedRange<UInt16>] {
        if ranges.count <= limit { return ranges }
        let gaps = (1..<ranges.count).sorted {
            ranges[$0].lowerBound - ranges[$0 - 1].upperBound > ranges[$1].lowerBound - ranges[$1 - 1].upperBound
        }
        let cuts = gaps.prefix(limit - 1).sorted()
        var result: [ClosedRange<UInt16>] = []
        var start = 0
        for cut in cuts + [ranges.count] {
            result.append(ranges[start].lowerBound...ranges[cut - 1].upperBound)
            start = cut
        }
        return result
    }

    private init(_ linkHeaderLength: Int) {
        link = UInt32(linkHeaderLength)
        accept = Label(number: 0)
        reject = Label(number: 1)
        labels = 2
    }

    private mutating func build(_ addresses: [IPAddress], _ ports: [ClosedRange<UInt16>]) {
        let (portSearch, version6) = (newLabel(), newLabel())
        // Packets to this host only: not those it sends, nor what promiscuous mode shows.
        load(.byte, Self.ancillary(SKF_AD_PKTTYPE))
        jump(to: reject, unless: .equal, 0)
        // A tagged packet belongs to a VLAN's own interface.
        load(.byte, Self.ancillary(SKF_AD_VLAN_TAG_PRESENT))
        jump(to: reject, unless: .equal, 0)
        load(.half, Self.ancillary(SKF_AD_PROTOCOL))
        jump(to: version6, if: .equal, UInt32(ETH_P_IPV6))
        jump(to: reject, unless: .equal, UInt32(ETH_P_IP))
        matchVersion4(addresses.filter { !$0.isIPv6 }, ports: portSearch)
        place(version6)
        matchVersion6(addresses.filter(\.isIPv6), ports: portSearch)
        place(portSearch)
        search(ports[...])
        place(accept)
        emit(0x06, UInt32.max)
        place(reject)
        emit(0x06, 0)
    }

    private mutating func matchVersion4(_ addresses: [IPAddress], ports: Label) {
        let (mine, icmp) = (newLabel(), newLabel())
        load(.word, link + 16)
        for address in addresses { jump(to: mine, if: .equal, address.ipv4) }
        jump(to: reject)
        place(mine)
        load(.half, link + 6)
        // All but a first fragment have no ports; the first one the stack counts.
        jump(to: reject, if: .anyBit, 0x1fff)
        loadHeaderLength4()
        load(.byte, link + 9)
        jump(to: icmp, if: .equal, 1)
        jump(to: reject, unless: .equal, 6)
        load(.half, link + 2, indexed: true)
        jump(to: ports)
        place(icmp)
        load(.byte, link, indexed: true)
        // Destination unreachable, "fragmentation needed" among it (RFC 792, RFC 1191).
        jump(to: accept, if: .equal, 3)
        jump(to: reject)
    }

    private mutating func matchVersion6(_ addresses: [IPAddress], ports: Label) {
        let (mine, icmp) = (newLabel(), newLabel())
        for address in addresses {
            let other = newLabel()
            for word in 0..<4 {
                let half = word < 2 ? address.high : address.low
                load(.word, link + 24 + 4 * UInt32(word))
                jump(to: other, unless: .equal, UInt32(truncatingIfNeeded: half >> (word % 2 == 0 ? 32 : 0)))
            }
            jump(to: mine)
            place(other)
        }
        jump(to: reject)
        place(mine)
        load(.byte, link + 6)
        jump(to: icmp, if: .equal, 58)
        // Hop-by-hop options, routing, destination options.
        for header: UInt32 in [0, 43, 60] { jump(to: accept, if: .equal, header) }
        jump(to: reject, unless: .equal, 6)
        load(.half, link + 42)
        jump(to: ports)
        place(icmp)
        load(.byte, link + 40)
        // Destination unreachable and packet too big (RFC 4443 §3.1, §3.2).
        jump(to: accept, if: .equal, 1)
        jump(to: accept, if: .equal, 2)
        jump(to: reject)
    }

    /// Finds the loaded port in sorted ranges, by halves.
    private mutating func search(_ ranges: ArraySlice<ClosedRange<UInt16>>) {
        if ranges.count > 3 {
            let middle = (ranges.startIndex + ranges.endIndex) / 2
            let upper = newLabel()
            jump(to: upper, if: .atLeast, UInt32(ranges[middle].lowerBound))
            search(ranges[..<middle])
            place(upper)
            search(ranges[middle...])
            return
        }
        for range in ranges {
            jump(to: reject, unless: .atLeast, UInt32(range.lowerBound))
            jump(to: accept, unless: .above, UInt32(range.upperBound))
        }
        jump(to: reject)
    }

    // MARK: The assembler

    private enum Size: UInt16 {
        case word = 0x00
        case half = 0x08
        case byte = 0x10
    }
    private enum Comparison: UInt16 {
        case equal = 0x10
        case above = 0x20
        case atLeast = 0x30
        case anyBit = 0x40
    }

    private static func ancillary(_ field: Int32) -> UInt32 { UInt32(bitPattern: SKF_AD_OFF + field) }

    private mutating func newLabel() -> Label {
        labels += 1
        return Label(number: labels - 1)
    }

    private mutating func place(_ label: Label) { places[label] = instructions.count }

    private mutating func emit(_ code: UInt16, _ k: UInt32, jt: UInt8 = 0, jf: UInt8 = 0) {
        instructions.append(sock_filter(code: code, jt: jt, jf: jf, k: k))
    }

    /// A ← packet[offset], or packet[X + offset].
    private mutating func load(_ size: Size, _ offset: UInt32, indexed: Bool = false) {
        emit((indexed ? 0x40 : 0x20) | size.rawValue, offset)
    }

    /// X ← the IPv4 header's length.
    private mutating func loadHeaderLength4() { emit(0xb1, link) }

    /// A conditional jump reaches 255 instructions only, an unconditional one everything.
    private mutating func jump(to label: Label, if comparison: Comparison, _ k: UInt32) {
        emit(0x05 | comparison.rawValue, k, jt: 0, jf: 1)
        jump(to: label)
    }

    private mutating func jump(to label: Label, unless comparison: Comparison, _ k: UInt32) {
        emit(0x05 | comparison.rawValue, k, jt: 1, jf: 0)
        jump(to: label)
    }

    private mutating func jump(to label: Label) {
        jumps.append((instructions.count, label))
        emit(0x05, 0)
    }

    private var resolved: [sock_filter] {
        var result = instructions
        for jump in jumps {
            guard let place = places[jump.label] else { preconditionFailure("a jump to nowhere") }
            result[jump.instruction].k = UInt32(place - jump.instruction - 1)
        }
        return result
    }
}
