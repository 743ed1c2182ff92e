import Glibc
import PacketBackends
import Testing
import TransportValues
import WireFormats

@Suite(.serialized, .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
struct KernelPortReservationTests {
    private static let connect = """
        import socket, sys
        s = socket.socket(socket.AF_INET6 if ":" in "ADDRESS" else socket.AF_INET); s.settimeout(0.7)
        try:
            s.connect(("ADDRESS", 5001)); print("connected")
        except TimeoutError: print("silence")
        except OSError as e: print(e.strerror)
        """

    private func attempt(_ namespace: NetworkNamespace, _ address: String) throws -> String {
        try namespace.python(Self.connect.replacing("ADDRESS", with: address)).wait()
    }

    @Test(
        "the kernel is silent while the port is reserved, and answers before and after",
        arguments: ["10.77.0.1", "fd77::1"])
    func silence(address: String) throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let endpoint = Endpoint(IPAddress(address)!, 5001)
            #expect(try attempt(link.right, address).contains("refused"))
            let before = try link.left.counter("TcpOutRsts")
            #expect(before > 0, "the control: without a reservation the kernel resets")
            do {
                let reservation = try KernelPortReservation(endpoint)
                #expect(reservation.endpoint == endpoint)
                #expect(try attempt(link.right, address) == "silence\n")
                #expect(try link.left.counter("TcpOutRsts") == before)
                #expect(throws: BackendError.portInUse(endpoint)) { _ = try KernelPortReservation(endpoint) }
                _ = reservation.endpoint
            }
            #expect(try attempt(link.right, address).contains("refused"), "nothing is left behind")
        }
    }

    @Test("a segment that would belong to an open connection is not answered either")
    func strayAcknowledgement() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let reservation = try KernelPortReservation(Endpoint(IPAddress(10, 77, 0, 1), 5001))
            try link.right.inside {
                var peer = try AnyPacketBackend(opening: .interface("right"))
                var stray = OutgoingPacket(
                    from: Endpoint(IPAddress(10, 77, 0, 2), 9), to: Endpoint(IPAddress(10, 77, 0, 1), 5001),
                    sequence: 1,
                    acknowledgment: 1, flags: [.ack, .psh], payload: [1])
                _ = try stray.send(by: &peer)
                #expect(try awaitPacket(&peer, within: 300) { _ in true } == nil)
            }
            #expect(try link.left.counter("TcpOutRsts") == 0)
            _ = reservation.endpoint
        }
    }

    @Test("port 0 gives a free port; a foreign address and a port in use are told apart")
    func choices() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            let own = IPAddress(10, 77, 0, 1)
            let first = try KernelPortReservation(Endpoint(own, 0))
            let second = try KernelPortReservation(Endpoint(own, 0))
            #expect(first.endpoint.port >= 1024 && second.endpoint.port >= 1024)
            #expect(first.endpoint.port != second.endpoint.port)
            let any = try KernelPortReservation(Endpoint(.anyIPv6, 5001))
            let four = try KernelPortReservation(Endpoint(.anyIPv4, 5001))
            #expect(any.endpoint.port == four.endpoint.port, "the families are apart")
            let foreign = IPAddress(10, 77, 0, 2)
            #expect(throws: BackendError.addressUnavailable(foreign)) {
                _ = try KernelPortReservation(Endpoint(foreign, 1234))
            }
            let holder = try link.left.python(
                """
                import socket, time
                s = socket.create_server(("10.77.0.1", 6000)); print("ready"); time.sleep(60)
                """)
            #expect(holder.line() == "ready")
            let taken = Endpoint(own, 6000)
            #expect(throws: BackendError.portInUse(taken)) { _ = try KernelPortReservation(taken) }
        }
    }
}
