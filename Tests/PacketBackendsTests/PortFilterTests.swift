import CLinux
import Testing
import TransportValues

@testable import PacketBackends

/// Runs a classic BPF program as the kernel does, over a packet with its ancillary data.
private func run(
    _ program: [sock_filter], _ packet: [UInt8], protocolNumber: UInt32, packetType: UInt32 = 0, tagged: UInt32 = 0
) -> Bool {
    var (a, x, next) = (UInt32(0), UInt32(0), 0)
    func load(_ offset: Int, _ size: Int) -> UInt32? {
        guard offset >= 0, offset + size <= packet.count else { return nil }
        var value: UInt32 = 0
        for index in offset..<offset + size { value = value << 8 | UInt32(packet[index]) }
        return value
    }
    while next < program.count {
        let step = program[next]
        next += 1
        let size = step.code & 0x18 == 0 ? 4 : step.code & 0x18 == 8 ? 2 : 1
        switch step.code & 0x07 {
        case 0x00 where Int32(bitPattern: step.k) < 0:
            switch Int32(bitPattern: step.k) - SKF_AD_OFF {
            case SKF_AD_PKTTYPE: a = packetType
            case SKF_AD_PROTOCOL: a = protocolNumber
            case SKF_AD_VLAN_TAG_PRESENT: a = tagged
            default: return false
            }
        case 0x00:
            let base = step.code & 0xe0 == 0x40 ? Int(x) : 0
            guard let value = load(base + Int(step.k), size) else { return false }
            a = value
        case 0x01:
            guard step.code == 0xb1, let value = load(Int(step.k), 1) else { return false }
            x = (value & 15) * 4
        case 0x05 where step.code == 0x05: next += Int(step.k)
        case 0x05:
            let holds =
                switch step.code & 0xf0 {
                case 0x10: a == step.k
                case 0x20: a > step.k
                case 0x30: a >= step.k
                default: a & step.k != 0
                }
            next += Int(holds ? step.jt : step.jf)
        case 0x06: return step.k != 0
        default: return false
        }
    }
    return false
}

struct PortFilterTests {
    private static let own4 = IPAddress(10, 0, 0, 1)
    private static let own6 = IPAddress("fd00::1")!

    /// An IPv4 or IPv6 packet behind `link` bytes of link header.
    private func packet(
        to address: IPAddress, next: UInt8 = 6, port: UInt16, link: Int = 14, fragment: UInt16 = 0, options: Int = 0
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0x99, count: link)
        if address.isIPv6 {
            bytes += [0x60, 0, 0, 0, 0, 20, next, 64] + IPAddress("fd00::9")!.networkBytes
        } else {
            bytes += [UInt8(0x45 + options), 0, 0, UInt8(40 + 4 * options), 0, 0, UInt8(fragment >> 8)]
            bytes += [UInt8(fragment & 255), 64, next, 0, 0, 10, 0, 0, 9]
        }
        bytes += address.networkBytes + [UInt8](repeating: 1, count: 4 * options)
        return bytes + [3, 232, UInt8(port >> 8), UInt8(port & 255)] + [UInt8](repeating: 0, count: 16)
    }

    private func program(_ ports: [ClosedRange<UInt16>], link: Int = 14) -> [sock_filter] {
        PortFilter.program(
            linkHeaderLength: link, addresses: [Self.own4, Self.own6, IPAddress(10, 0, 0, 3)], ports: ports)
    }

    @Test("exactly the given ports pass, of both families", arguments: [0, 14])
    func allPorts(link: Int) {
        var ports = LocalPorts()
        var mine: Set<UInt16> = [0, 1, 2, 80, 443, 32_768, 65_534, 65_535]
        for port in stride(from: UInt16(5000), to: 15_000, by: 100) { mine.insert(port) }
        for port in mine { ports.insert(Endpoint(Self.own4, port)) }
        let filter = program(ports.ranges, link: link)
        #expect(filter.count < 2000)
        for port in UInt16.min...UInt16.max {
            let expected = mine.contains(port)
            let isNear = mine.contains(port &- 1) || mine.contains(port &+ 1) || expected
            // Every port of one family or the other; those at an edge of both.
            if isNear || port % 2 == 0 {
                let four = packet(to: Self.own4, port: port, link: link, options: Int(port % 11))
                if run(filter, four, protocolNumber: 0x0800) != expected { Issue.record("IPv4 port \(port)") }
            }
            if isNear || port % 2 == 1 {
                let six = packet(to: Self.own6, port: port, link: link)
                if run(filter, six, protocolNumber: 0x86dd) != expected { Issue.record("IPv6 port \(port)") }
            }
        }
    }

    @Test("only packets to this host's addresses, untagged and whole, pass")
    func others() {
        let filter = program([80...80])
        let good = packet(to: Self.own4, port: 80)
        #expect(run(filter, good, protocolNumber: 0x0800))
        #expect(run(filter, packet(to: IPAddress(10, 0, 0, 3), port: 80), protocolNumber: 0x0800))
        #expect(!run(filter, good, protocolNumber: 0x0800, packetType: 4), "outgoing")
        #expect(!run(filter, good, protocolNumber: 0x0800, packetType: 3), "another host's")
        #expect(!run(filter, good, protocolNumber: 0x0800, tagged: 1), "a VLAN's")
        #expect(!run(filter, good, protocolNumber: 0x0806), "ARP")
        #expect(!run(filter, packet(to: IPAddress(10, 0, 0, 2), port: 80), protocolNumber: 0x0800))
        #expect(!run(filter, packet(to: IPAddress("fd00::2")!, port: 80), protocolNumber: 0x86dd))
        #expect(!run(filter, packet(to: Self.own4, next: 17, port: 80), protocolNumber: 0x0800), "UDP")
        #expect(!run(filter, packet(to: Self.own4, port: 80, fragment: 0x00b9), protocolNumber: 0x0800))
        #expect(
            run(filter, packet(to: Self.own4, port: 80, fragment: 0x2000), protocolNumber: 0x0800), "first fragment")
        #expect(!run(filter, Array(good.prefix(30)), protocolNumber: 0x0800), "cut short")
        #expect(!run(program([]), good, protocolNumber: 0x0800), "no ports")
    }

    @Test("ICMP errors pass, other ICMP does not; IPv6 with extension headers is looked at by the backend")
    func control() {
        let filter = program([])
        for type in UInt8.min...UInt8.max {
            var four = packet(to: Self.own4, next: 1, port: 0)
            four[34] = type
            #expect(run(filter, four, protocolNumber: 0x0800) == (type == 3))
            var six = packet(to: Self.own6, next: 58, port: 0)
            six[54] = type
            #expect(run(filter, six, protocolNumber: 0x86dd) == (type == 1 || type == 2))
        }
        for (header, passes) in [(UInt8(0), true), (43, true), (60, true), (44, false), (17, false)] {
            #expect(run(filter, packet(to: Self.own6, next: header, port: 0), protocolNumber: 0x86dd) == passes)
        }
    }

    @Test("ranges beyond the limit are merged where the gaps are narrowest, and none is lost")
    func merging() {
        var random = RandomSource(seed: 7)
        for _ in 0..<50 {
            var ports = LocalPorts()
            let mine = Set((0..<800).map { _ in UInt16(truncatingIfNeeded: random.next()) })
            for port in mine { ports.insert(Endpoint(.anyIPv4, port)) }
            let merged = PortFilter.merged(ports.ranges, limit: 64)
            #expect(merged.count == 64)
            #expect(mine.allSatisfy { port in merged.contains { $0.contains(port) } })
            #expect(zip(merged, merged.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
        }
        #expect(PortFilter.merged([1...2, 5...6, 100...101], limit: 2) == [1...6, 100...101])
        #expect(PortFilter.merged([1...2, 5...6, 100...101], limit: 1) == [1...101])
    }

    @Test("local ports belong to their address, or to a whole family")
    func localPorts() {
        var ports = LocalPorts()
        ports.insert(Endpoint(Self.own4, 80))
        ports.insert(Endpoint(.anyIPv6, 443))
        #expect(ports.contains(Self.own4, 80) && !ports.contains(IPAddress(10, 0, 0, 2), 80))
        #expect(ports.contains(Self.own6, 443) && !ports.contains(Self.own4, 443))
        #expect(ports.ranges == [80...80, 443...443])
        ports.remove(Endpoint(Self.own4, 80))
        ports.remove(Endpoint(Self.own4, 81))
        #expect(!ports.contains(Self.own4, 80))
        #expect(ports.ranges == [443...443])
        for port in UInt16.min...UInt16.max { ports.insert(Endpoint(.anyIPv4, port)) }
        #expect(ports.ranges == [0...65_535])
    }
}
