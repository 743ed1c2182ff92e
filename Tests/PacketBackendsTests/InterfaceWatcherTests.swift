import Glibc
import PacketBackends
import Testing
import TransportValues

@Suite(.serialized, .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
struct InterfaceWatcherTests {
    @Test("interfaces are listed with addresses, prefixes, MTU and kind; the default set leaves out what cannot serve")
    func list() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let tun = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:wan,address=10.9.1.2/24"))
            try link.left.ip("link", "add", "bare", "type", "veth", "peer", "name", "bare1")
            try link.left.ip("link", "set", "bare", "up")
            try link.left.ip("address", "add", "10.55.0.1/24", "dev", "bare1")
            let all = try NetworkInterface.all()
            #expect(Set(all.map(\.name)) == ["lo", "left", "wan", "bare", "bare1"])
            let left = try NetworkInterface.named("left")
            #expect(left.kind == .ethernet && left.isUp && left.mtu == 1500 && left.hardwareAddress != 0)
            let addresses = left.addresses.map { "\($0.address)/\($0.prefixLength)" }
            #expect(addresses.contains("10.77.0.1/24") && addresses.contains("fd77::1/64"))
            #expect(try NetworkInterface.named("lo").kind == .loopback)
            // "bare" has a link-local address only, "bare1" is down.
            #expect(Set(try NetworkInterface.defaultPaths().map(\.name)) == ["left", "wan"])
            _ = tun.descriptor
        }
    }

    @Test("links and addresses that come and go are told")
    func events() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var watcher = try InterfaceWatcher()
            #expect(try watcher.read().isEmpty)
            try namespace.ip("link", "add", "one", "type", "veth", "peer", "name", "two")
            try namespace.ip("address", "add", "10.1.2.3/20", "dev", "one")
            try namespace.ip("link", "set", "one", "up")
            let index = try NetworkInterface.named("one").index
            let address = InterfaceAddress(address: IPAddress(10, 1, 2, 3), prefixLength: 20)
            var events = try watcher.read()
            #expect(events.contains(.address(address, index: index)))
            #expect(
                events.contains {
                    if case .link(let link) = $0 { link.name == "one" && link.isUp } else { false }
                })
            try namespace.ip("link", "delete", "one")
            events = try watcher.read()
            #expect(events.contains(.addressRemoved(address, index: index)))
            #expect(events.contains(.linkRemoved(index: index, name: "one")))
            var polled = pollfd(fd: watcher.descriptor, events: Int16(POLLIN), revents: 0)
            #expect(unsafe poll(&polled, 1, 0) == 0)
        }
    }
}
