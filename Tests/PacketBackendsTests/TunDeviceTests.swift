import PacketBackends
import Testing
import TransportValues
import WireFormats

@Suite(.serialized, .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
struct TunDeviceTests {
    private static let both = "tun:mpt0,address=10.9.1.2/24,address=fd09::2/64,mtu=1400"

    private static func open(_ text: String) throws -> AnyPacketBackend {
        try AnyPacketBackend(opening: PathSpecification(parsing: text))
    }

    @Test("the kernel's end answers an echo request", arguments: ["10.9.1", "fd09:"])
    func echo(prefix: String) throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try Self.open(Self.both)
            #expect(tun.mtu == 1400)
            #expect(tun.checksumOffload && tun.maximumPacket == 65_535)
            let separator = prefix.contains(":") ? ":" : "."
            let (own, gateway) = (IPAddress("\(prefix)\(separator)2")!, IPAddress("\(prefix)\(separator)1")!)
            var request = OutgoingPacket(echoFrom: own, to: gateway, identifier: 4711)
            #expect(try request.send(by: &tun) == .sent)
            let reply = try awaitPacket(&tun) { kept in
                guard let ip = kept.ip, ip.source == gateway, ip.destination == own else { return false }
                let type = kept.bytes[ip.payloadOffset]
                return type == (own.isIPv6 ? 129 : 0) && kept.bytes[ip.payloadOffset + 4] == UInt8(4711 >> 8)
            }
            #expect(reply != nil)
            #expect(tun.counters.packetsSent == 1 && tun.counters.packetsReceived >= 1)
        }
    }

    /// In one piece, and with its payload handed over apart in two slices, the second of which may be empty.
    @Test("one super-packet of 60 KB reaches a kernel socket whole", arguments: [false, true], [0, 1, 30_001, 60_000])
    func segmentationOffload(isIPv6: Bool, split: Int) throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try Self.open(Self.both)
            let sink = try namespace.python(
                """
                import socket, hashlib
                s = socket.create_server(("::", 5000), family=socket.AF_INET6, dualstack_ipv6=True)
                print("ready")
                c, _ = s.accept()
                h = hashlib.sha256(); n = 0
                while d := c.recv(1 << 16): h.update(d); n += len(d)
                print(n, h.hexdigest())
                """)
            #expect(sink.line() == "ready")
            let local = Endpoint(IPAddress(isIPv6 ? "fd09::2" : "10.9.1.2")!, 40_000)
            let remote = Endpoint(IPAddress(isIPv6 ? "fd09::1" : "10.9.1.1")!, 5000)
            var connection = HandMadeTCP(local: local, remote: remote)
            #expect(try connection.connect(&tun))
            let payload = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let pieces = split > 0 ? split : nil
            #expect(try connection.write(&tun, payload, segmentSize: 1300, partial: true, splitAt: pieces) == .sent)
            #expect(try connection.finish(&tun) == .sent)
            let result = sink.wait()
            // Computed with: python3 -c 'print(sha256(bytes((i*31+(i>>8))&255 for i in range(60000))))'
            #expect(result.hasPrefix("60000 "), "\(result)")
            #expect(result.contains(Self.digest), "\(result)")
        }
    }

    private static let digest = "872b9505e78f859f1bba5cb310c3489aed86ee557979dead072946fcc026e060"

    @Test("the kernel's own super-packets and undone checksums come in")
    func receivesSuperPackets() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try Self.open(Self.both)
            let local = Endpoint(IPAddress("10.9.1.2")!, 5001)
            let source = try namespace.python(
                """
                import socket
                c = socket.create_connection(("10.9.1.2", 5001))
                c.sendall(bytes(2_000_000)); c.close()
                """)
            var connection = try #require(try HandMadeTCP.accept(on: local, &tun))
            try connection.drain(&tun)
            #expect(connection.bytesReceived == 2_000_000)
            #expect(connection.largestReceived > 10_000)
            #expect(connection.trustedReceived > 0)
            #expect(connection.invalidReceived == 0)
            _ = source
        }
    }

    @Test("without offloads packets are at most the MTU and their checksums complete")
    func plainDevice() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            guard case .tun(let specification) = try PathSpecification(parsing: Self.both) else { return }
            var tun = AnyPacketBackend(try TunDevice(specification, offload: false))
            #expect(!tun.checksumOffload && tun.maximumPacket == 1400)
            let local = Endpoint(IPAddress("10.9.1.2")!, 5001)
            let source = try namespace.python(
                """
                import socket
                c = socket.create_connection(("10.9.1.2", 5001))
                c.sendall(bytes(100_000)); c.close()
                """)
            var connection = try #require(try HandMadeTCP.accept(on: local, &tun))
            try connection.drain(&tun)
            #expect(connection.bytesReceived == 100_000)
            #expect(connection.largestReceived <= 1400 && connection.trustedReceived == 0)
            #expect(connection.invalidReceived == 0)
            _ = source
        }
    }

    @Test("a device that is deleted under us is an error, not silence")
    func deviceVanishes() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try Self.open(Self.both)
            try namespace.ip("link", "delete", "mpt0")
            #expect(throws: BackendError.interfaceGone("mpt0")) { _ = try tun.receive { _, _ in } }
            var packet = OutgoingPacket(echoFrom: IPAddress(10, 9, 1, 2), to: IPAddress(10, 9, 1, 1), identifier: 1)
            #expect(throws: BackendError.interfaceGone("mpt0")) { _ = try packet.send(by: &tun) }
        }
    }

    @Test("a link that is down loses packets, with a counter, until it is up again")
    func linkDown() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try Self.open(Self.both)
            try namespace.ip("link", "set", "mpt0", "down")
            var packet = OutgoingPacket(echoFrom: IPAddress(10, 9, 1, 2), to: IPAddress(10, 9, 1, 1), identifier: 1)
            #expect(try packet.send(by: &tun) == .dropped)
            #expect(tun.counters.linkDown == 1)
            try namespace.ip("link", "set", "mpt0", "up")
            #expect(try packet.send(by: &tun) == .sent)
        }
    }

    @Test("a name in use is said so, and the device goes with its owner")
    func nameInUse() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            do {
                let first = try Self.open(Self.both)
                #expect(throws: BackendError.interfaceBusy("mpt0")) { _ = try Self.open(Self.both) }
                _ = first.descriptor
            }
            #expect(throws: CommandFailure.self) { try namespace.ip("link", "show", "mpt0") }
            try namespace.ip("link", "add", "mpt0", "type", "veth", "peer", "name", "other")
            #expect(throws: BackendError.interfaceBusy("mpt0")) { _ = try Self.open(Self.both) }
        }
    }

    @Test("the kernel's end has address, prefix, MTU and is up; a gateway outside the subnet is a point-to-point peer")
    func kernelEnd() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            let tun = try Self.open("tun:mpt1,address=10.9.1.2/24,address=10.8.0.5/32,gateway=10.9.1.9,mtu=9000")
            let link = try NetworkInterface.named("mpt1")
            #expect(link.isUp && link.mtu == 9000 && link.kind == .layer3)
            let text = try namespace.ip("address", "show", "dev", "mpt1")
            #expect(text.contains("inet 10.9.1.9/24"))
            #expect(text.contains("inet 10.9.1.9 peer 10.8.0.5/32"))
            #expect(tun.addresses.map(\.address) == [IPAddress(10, 9, 1, 2), IPAddress(10, 8, 0, 5)])
        }
    }
}
