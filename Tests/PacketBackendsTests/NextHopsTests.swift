import CLinux
import Testing
import TransportValues

@testable import PacketBackends

struct NextHopsTests {
    private static let gateway = IPAddress(10, 0, 0, 254)
    private static let far = IPAddress(192, 0, 2, 1)
    private static let near = IPAddress(10, 0, 0, 7)

    private static var routes: InterfaceRoutes {
        InterfaceRoutes([
            InterfaceRoute(
                destination: .anyIPv4, prefixLength: 0, gateway: IPAddress(10, 0, 0, 253), metric: 700),
            InterfaceRoute(destination: .anyIPv4, prefixLength: 0, gateway: gateway, metric: 500),
            InterfaceRoute(destination: IPAddress(10, 0, 0, 0), prefixLength: 24, gateway: nil, metric: 900),
        ])
    }

    private func message(_ address: IPAddress, _ state: NeighbourKnowledge?, _ link: UInt64?) -> NeighbourMessage {
        var request = NetlinkRequest.neighbour(address, interface: 1).sealed(sequence: 0)
        request.removeFirst(Netlink.headerLength)
        var message = NeighbourMessage(unsafe request.span.bytes)!
        message.knowledge = state
        message.linkAddress = link
        return message
    }

    private var packet: WaitingPacket {
        WaitingPacket(
            bytes: [1, 2, 3],
            metadata: TransmitMetadata(
                interface: InterfaceID(0), length: 3, headerLength: 0, networkHeaderLength: 0))
    }

    @Test("the longest prefix wins, then the lowest metric; no route of the family is no route")
    func routes() {
        let routes = Self.routes
        #expect(routes.nextHop(to: Self.far) == Self.gateway)
        #expect(routes.nextHop(to: Self.near) == Self.near)
        #expect(routes.nextHop(to: IPAddress("fd00::1")!) == nil)
        var hops = NextHops(routes: routes)
        #expect(hops.find(IPAddress("fd00::1")!) == .noRoute)
    }

    @Test("packets wait for the neighbour, go when it is known, and later ones go at once")
    func resolution() {
        var hops = NextHops(routes: Self.routes)
        #expect(hops.find(Self.far) == .wait(0, ask: true))
        #expect(hops.hold(packet, at: 0) == true)
        #expect(hops.find(Self.far) == .wait(0, ask: false), "asked already")
        #expect(hops.awaited == [Self.gateway])
        guard case .nothing = hops.learn(message(Self.near, .confirmed, 5), removed: false),
            case .ready(let packets) = hops.learn(message(Self.gateway, .confirmed, 0x0200_0000_0001), removed: false)
        else {
            Issue.record("not ready")
            return
        }
        #expect(packets.count == 1)
        #expect(hops.find(Self.far) == .link(0x0200_0000_0001))
        #expect(hops.awaited.isEmpty)
    }

    @Test("a stale neighbour is used and confirmed once; a forgotten one keeps its address; a changed one changes")
    func confirmation() {
        var hops = NextHops(routes: Self.routes)
        _ = hops.find(Self.far)
        _ = hops.learn(message(Self.gateway, .stale, 1), removed: false)
        #expect(hops.find(Self.far) == .linkToConfirm(1, neighbour: Self.gateway))
        #expect(hops.find(Self.far) == .link(1))
        _ = hops.learn(message(Self.gateway, .stale, 1), removed: true)
        #expect(hops.find(Self.far) == .linkToConfirm(1, neighbour: Self.gateway))
        _ = hops.learn(message(Self.gateway, .incomplete, nil), removed: false)
        #expect(hops.find(Self.far) == .link(1))
        _ = hops.learn(message(Self.gateway, .confirmed, 2), removed: false)
        #expect(hops.find(Self.far) == .link(2))
    }

    @Test("the queue is bounded, and a neighbour that does not answer drops it and is asked again")
    func failure() {
        var hops = NextHops(routes: Self.routes)
        _ = hops.find(Self.near)
        for index in 0..<NextHop.queueLimit + 5 { #expect(hops.hold(packet, at: 0) == (index < NextHop.queueLimit)) }
        guard case .dropped(let count) = hops.learn(message(Self.near, .failed, nil), removed: false) else {
            Issue.record("not dropped")
            return
        }
        #expect(count == NextHop.queueLimit)
        #expect(hops.find(Self.near) == .wait(0, ask: true))
        #expect(hops.hold(packet, at: 0) == true)
    }

    @Test("bytes that wait are bounded for all neighbours together, and given back")
    func bytesLimit() {
        var hops = NextHops(routes: Self.routes)
        var large = packet
        large.bytes = [UInt8](repeating: 0, count: 65_000)
        _ = hops.find(Self.near)
        var held = 0
        while hops.hold(large, at: 0) { held += 1 }
        #expect(held == NextHops.waitingBytesLimit / 65_000)
        _ = hops.find(Self.far)
        #expect(hops.hold(large, at: 1) == false)
        _ = hops.learn(message(Self.near, .failed, nil), removed: false)
        #expect(hops.hold(large, at: 1) == true)
    }

    @Test("more neighbours than are remembered are still reached")
    func manyNeighbours() {
        var hops = NextHops(
            routes: InterfaceRoutes([
                InterfaceRoute(destination: IPAddress(10, 0, 0, 0), prefixLength: 8, gateway: nil, metric: 0)
            ]))
        for round in 0..<2 {
            for number in 1..<3000 {
                let address = IPAddress(ipv4: 10 << 24 | UInt32(number))
                _ = hops.find(address)
                _ = hops.learn(message(address, .confirmed, UInt64(number)), removed: false)
                #expect(hops.find(address) == .link(UInt64(number)), "round \(round)")
            }
        }
        #expect(hops.hops.count <= NextHops.limit)
    }

    @Test("new routes are used at once")
    func routeChange() {
        var hops = NextHops(routes: Self.routes)
        _ = hops.find(Self.far)
        _ = hops.learn(message(Self.gateway, .confirmed, 1), removed: false)
        #expect(hops.find(Self.far) == .link(1))
        hops.setRoutes(InterfaceRoutes())
        #expect(hops.find(Self.far) == .noRoute)
    }
}
