import Glibc
import PacketBackends
import Testing
import TransportValues
import WireFormats

/// On a veth pair: our stack shares `left` with its kernel, the peer is the kernel at `right`.
@Suite(.serialized, .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
struct PacketSocketTests {
    private static let own4 = IPAddress(10, 77, 0, 1)
    private static let peer4 = IPAddress(10, 77, 0, 2)
    private static let own6 = IPAddress("fd77::1")!
    private static let peer6 = IPAddress("fd77::2")!

    private static func sender(to address: IPAddress, port: UInt16, count: Int) -> String {
        """
        import socket
        c = socket.create_connection(("\(address)", \(port)))
        c.sendall(bytes(\(count))); c.close()
        """
    }

    private static let sink = """
        import socket, hashlib
        s = socket.create_server(("::", 5000), family=socket.AF_INET6, dualstack_ipv6=True)
        print("ready")
        c, _ = s.accept()
        h = hashlib.sha256(); n = 0
        while d := c.recv(1 << 16): h.update(d); n += len(d)
        print(n, h.hexdigest())
        """

    @Test(
        "a kernel's super-packets with undone checksums come in, whole; the own kernel keeps silent",
        arguments: [false, true])
    func receivesFromKernel(isIPv6: Bool) throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let local = Endpoint(isIPv6 ? Self.own6 : Self.own4, 5001)
            var backend = try AnyPacketBackend(opening: .interface("left"))
            #expect(backend.mtu == 1500 && backend.maximumPacket == 65_535 && backend.checksumOffload)
            #expect(backend.addresses.map(\.address).contains(local.address))
            let reservation = try KernelPortReservation(local)
            try backend.openPort(local)
            let source = try link.right.python(Self.sender(to: local.address, port: 5001, count: 3_000_000))
            var connection = try #require(try HandMadeTCP.accept(on: local, &backend))
            try connection.drain(&backend)
            #expect(connection.bytesReceived == 3_000_000)
            #expect(connection.largestReceived > 1500 && connection.trustedReceived > 0)
            #expect(connection.invalidReceived == 0)
            #expect(try link.left.counter("TcpOutRsts") == 0)
            #expect(try link.left.counter("TcpOutSegs") == 0)
            #expect(reservation.endpoint == local)
            _ = source
        }
    }

    @Test("our super-packets and undone checksums reach the peer's kernel", arguments: [false, true])
    func sendsToKernel(isIPv6: Bool) throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let sink = try link.right.python(Self.sink)
            #expect(sink.line() == "ready")
            let local = Endpoint(isIPv6 ? Self.own6 : Self.own4, 40_001)
            var backend = try AnyPacketBackend(opening: .interface("left"))
            let reservation = try KernelPortReservation(local)
            try backend.openPort(local)
            var connection = HandMadeTCP(local: local, remote: Endpoint(isIPv6 ? Self.peer6 : Self.peer4, 5000))
            #expect(try connection.connect(&backend))
            let whole = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(try connection.write(&backend, whole, segmentSize: 1400) == .sent)
            #expect(try connection.write(&backend, [1, 2, 3], partial: true) == .sent)
            #expect(try connection.write(&backend, [4, 5]) == .sent)
            #expect(try connection.finish(&backend) == .sent)
            #expect(sink.wait().hasPrefix("50005 "))
            #expect(try link.left.counter("TcpOutRsts") == 0)
            #expect(try link.right.counter("TcpInCsumErrors") == 0)
            _ = reservation.endpoint
        }
    }

    @Test("other ports of the machine are not copied to us, and closed ports no longer")
    func otherPorts() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            try backend.openPort(Endpoint(Self.own4, 5001))
            let sink = try link.left.python(Self.sink)
            #expect(sink.line() == "ready")
            let source = try link.right.python(Self.sender(to: Self.own4, port: 5000, count: 1_000_000))
            #expect(sink.wait().hasPrefix("1000000 "), "the kernel's own connection is undisturbed")
            #expect(source.wait() == "")
            #expect(try backend.receive { _, _ in Issue.record("a foreign packet") } == 0)
            #expect(backend.counters.receivedForeignPort == 0, "the filter is the kernel's work, not ours")
            try backend.closePort(Endpoint(Self.own4, 5001))
            let late = try link.right.python(Self.sender(to: Self.own4, port: 5001, count: 1))
            #expect(late.wait().contains("refused"))
            #expect(try backend.receive { _, _ in Issue.record("a closed port's packet") } >= 0)
            #expect(backend.counters.packetsReceived == 0)
        }
    }

    @Test("a port of another address of the interface is the kernel's")
    func otherAddress() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            try link.left.ip("address", "add", "10.77.0.3/24", "dev", "left")
            var backend = try AnyPacketBackend(opening: .interface("left"))
            try backend.openPort(Endpoint(IPAddress(10, 77, 0, 3), 5000))
            let sink = try link.left.python(Self.sink)
            #expect(sink.line() == "ready")
            let source = try link.right.python(Self.sender(to: Self.own4, port: 5000, count: 10_000))
            #expect(sink.wait().hasPrefix("10000 "))
            _ = try backend.receive { _, _ in Issue.record("a foreign packet") }
            #expect(backend.counters.receivedForeignPort > 0)
            _ = source
        }
    }

    @Test("the interface's own default gateway is used though another interface's route has a lower metric")
    func gatewayChoice() throws {
        let link = try LinkedNamespaces()
        let other = try NetworkNamespace()
        try link.left.ip("link", "add", "other", "type", "veth", "peer", "name", "uplink", "netns", other.name)
        try link.left.ip("address", "add", "10.78.0.1/24", "dev", "other")
        try link.left.ip("link", "set", "other", "up")
        try other.ip("address", "add", "10.78.0.2/24", "dev", "uplink")
        try other.ip("link", "set", "uplink", "up")
        try link.left.ip("route", "add", "default", "via", "10.78.0.2", "metric", "10")
        // In a table of its own, which no rule looks up: the kernel would never use it.
        try link.left.ip("route", "add", "default", "via", "10.77.0.2", "dev", "left", "table", "100")
        try link.right.ip("address", "add", "192.0.2.9/32", "dev", "right")
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            let sink = try link.right.python(Self.sink)
            #expect(sink.line() == "ready")
            let local = Endpoint(Self.own4, 40_002)
            let reservation = try KernelPortReservation(local)
            try backend.openPort(local)
            var connection = HandMadeTCP(local: local, remote: Endpoint(IPAddress(192, 0, 2, 9), 5000))
            #expect(try connection.connect(&backend))
            #expect(try connection.finish(&backend) == .sent)
            #expect(sink.wait().hasPrefix("0 "))

            // The routes are followed: without one, packets are dropped with a counter; with a new one they go.
            try link.left.ip("route", "flush", "table", "100")
            try backend.serviceAuxiliary()
            var probe = OutgoingPacket(
                from: local, to: Endpoint(IPAddress(192, 0, 2, 9), 1), sequence: 1, acknowledgment: 0, flags: .syn)
            #expect(try probe.send(by: &backend) == .dropped)
            #expect(backend.counters.noRoute == 1)
            try link.left.ip("route", "add", "192.0.2.0/24", "via", "10.77.0.2", "metric", "77")
            try backend.serviceAuxiliary()
            #expect(try probe.send(by: &backend) == .sent)
            let reset = try awaitPacket(&backend) { $0.tcp?.flags.contains(.rst) ?? false }
            #expect(reset?.tcp?.sourcePort == 1)
            _ = reservation.endpoint
        }
    }

    @Test("a neighbour that never answers costs its queue and no more")
    func unresolvedNeighbour() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            let nobody = Endpoint(IPAddress(10, 77, 0, 99), 80)
            var packet = OutgoingPacket(
                from: Endpoint(Self.own4, 40_003), to: nobody, sequence: 1, acknowledgment: 0, flags: .syn)
            var results: [SendResult] = []
            for _ in 0..<70 { results.append(try packet.send(by: &backend)) }
            #expect(results.filter { $0 == .sent }.count == 64)
            #expect(backend.counters.neighbourUnresolved == 6)
            let deadline = milliseconds() + 10_000
            while backend.counters.neighbourUnresolved < 70, try pump(&backend, until: deadline, { _, _ in }) {}
            #expect(backend.counters.neighbourUnresolved == 70)
            #expect(backend.counters.packetsSent == 0)

            // It comes up, and is found.
            try link.right.ip("address", "add", "10.77.0.99/24", "dev", "right")
            try backend.openPort(Endpoint(Self.own4, 40_003))
            let reservation = try KernelPortReservation(Endpoint(Self.own4, 40_003))
            #expect(try packet.send(by: &backend) == .sent)
            let answer = try awaitPacket(&backend) { $0.ip?.source == nobody.address }
            #expect(answer?.tcp?.flags.contains(.rst) == true)
            _ = reservation.endpoint
        }
    }

    @Test("a neighbour whose Ethernet address changes is followed")
    func neighbourMoves() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            let local = Endpoint(Self.own4, 40_004)
            let reservation = try KernelPortReservation(local)
            try backend.openPort(local)
            var probe = OutgoingPacket(
                from: local, to: Endpoint(Self.peer4, 1), sequence: 1, acknowledgment: 0, flags: .syn)
            #expect(try probe.send(by: &backend) == .sent)
            #expect(try awaitPacket(&backend) { $0.tcp?.flags.contains(.rst) ?? false } != nil)
            try link.right.ip("link", "set", "right", "address", "02:00:00:00:00:77")
            // The kernel hears of it by ARP; here it is told.
            try link.left.ip("neighbour", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:77", "dev", "left")
            try backend.serviceAuxiliary()
            #expect(try probe.send(by: &backend) == .sent)
            #expect(try awaitPacket(&backend) { $0.tcp?.flags.contains(.rst) ?? false } != nil)
            _ = reservation.endpoint
        }
    }

    @Test("addresses, MTU and link state are followed; a removed interface is an error")
    func changes() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            func events() throws -> [BackendEvent] {
                try backend.serviceAuxiliary()
                var events: [BackendEvent] = []
                while let event = backend.nextEvent() { events.append(event) }
                return events
            }
            _ = try events()
            let added = InterfaceAddress(address: IPAddress(10, 77, 0, 8), prefixLength: 24)
            try link.left.ip("address", "add", "10.77.0.8/24", "dev", "left")
            #expect(try events() == [.addressAdded(added)])
            #expect(backend.addresses.contains(added))
            try link.left.ip("address", "delete", "10.77.0.8/24", "dev", "left")
            #expect(try events() == [.addressRemoved(added)])
            try link.left.ip("link", "set", "left", "mtu", "1400")
            #expect(try events() == [.mtuChanged(1400)])
            #expect(backend.mtu == 1400)
            try link.right.ip("link", "set", "right", "down")
            let deadline = milliseconds() + 3000
            var seen: [BackendEvent] = []
            while !seen.contains(.linkChanged(isUp: false)), milliseconds() < deadline {
                seen += try events()
                usleep(10_000)
            }
            #expect(seen.contains(.linkChanged(isUp: false)))
            try link.right.ip("link", "set", "right", "up")
            try link.left.ip("link", "delete", "left")
            #expect(throws: BackendError.interfaceGone("left")) { try backend.serviceAuxiliary() }
            #expect(throws: BackendError.interfaceGone("left")) {
                for _ in 0..<3 { _ = try backend.receive { _, _ in } }
            }
        }
    }

    @Test("a downed interface loses packets with a counter and works again afterwards")
    func downAndUp() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            let local = Endpoint(Self.own4, 40_005)
            let reservation = try KernelPortReservation(local)
            try backend.openPort(local)
            var probe = OutgoingPacket(
                from: local, to: Endpoint(Self.peer4, 1), sequence: 1, acknowledgment: 0, flags: .syn)
            #expect(try probe.send(by: &backend) == .sent)
            #expect(try awaitPacket(&backend) { $0.tcp?.flags.contains(.rst) ?? false } != nil)
            try link.left.ip("link", "set", "left", "down")
            #expect(try probe.send(by: &backend) == .dropped)
            #expect(backend.counters.linkDown == 1)
            #expect(try backend.receive { _, _ in } == 0)
            try link.left.ip("link", "set", "left", "up")
            var isBack = false
            let deadline = milliseconds() + 5000
            while !isBack, milliseconds() < deadline {
                _ = try probe.send(by: &backend)
                isBack = try awaitPacket(&backend, within: 200) { $0.tcp?.flags.contains(.rst) ?? false } != nil
            }
            #expect(isBack)
            _ = reservation.endpoint
        }
    }

    @Test("a layer-3 device made by somebody else works without neighbours")
    func foreignTun() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            // The device and its far end are another program's: here a TunDevice whose other side we open as well.
            var far = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:wan,address=10.9.1.2/24"))
            var backend = try AnyPacketBackend(opening: .interface("wan"))
            let local = Endpoint(IPAddress(10, 9, 1, 1), 5001)
            try backend.openPort(local)
            let reservation = try KernelPortReservation(local)
            var outgoing = OutgoingPacket(
                from: local, to: Endpoint(IPAddress(10, 9, 1, 2), 80), sequence: 5, acknowledgment: 0, flags: .syn)
            #expect(try outgoing.send(by: &backend) == .sent)
            let seen = try awaitPacket(&far) { $0.tcp?.destinationPort == 80 }
            #expect(seen?.tcp?.sequence == SequenceNumber(5))
            var large = OutgoingPacket(
                from: local, to: Endpoint(IPAddress(10, 9, 1, 2), 80), sequence: 6, acknowledgment: 0, flags: .ack,
                payload: [UInt8](repeating: 1, count: 20_000), segmentSize: 1400)
            #expect(try large.send(by: &backend) == .sent)
            let merged = try awaitPacket(&far) { $0.bytes.count > 10_000 }
            #expect(merged?.metadata.checksum == .trusted && merged?.metadata.segmentSize == 1400)
            var incoming = OutgoingPacket(
                from: Endpoint(IPAddress(10, 9, 1, 2), 80), to: local, sequence: 7, acknowledgment: 6,
                flags: [.syn, .ack])
            #expect(try incoming.send(by: &far) == .sent)
            #expect(try awaitPacket(&backend) { $0.tcp?.sequence == SequenceNumber(7) } != nil)
            _ = reservation.endpoint
        }
    }

    @Test("a thousand ports are filtered exactly enough")
    func manyPorts() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var backend = try AnyPacketBackend(opening: .interface("left"))
            for port in stride(from: UInt16(10_000), to: 30_000, by: 20) {
                try backend.openPort(Endpoint(Self.own4, port))
            }
            let source = try link.right.python(
                """
                import socket
                for p in (10000, 20000, 29980, 20010):
                    s = socket.socket(); s.setblocking(False); s.connect_ex(("\(Self.own4)", p))
                """)
            _ = source.wait()
            var seen: Set<UInt16> = []
            let deadline = milliseconds() + 500
            while try pump(
                &backend, until: deadline,
                { packet, metadata in
                    if let port = KeptPacket(packet, metadata).tcp?.destinationPort { seen.insert(port) }
                })
            {}
            #expect(seen == [10_000, 20_000, 29_980])
        }
    }

    @Test("unusable interfaces are refused with a reason")
    func refused() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            #expect(throws: BackendError.noSuchInterface("nix0")) {
                _ = try AnyPacketBackend(opening: .interface("nix0"))
            }
            #expect(throws: BackendError.self) { _ = try AnyPacketBackend(opening: .interface("lo")) }
        }
    }
}
