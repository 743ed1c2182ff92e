import CLinux
import Testing
import TransportValues

@testable import PacketBackends

struct NetlinkParsingTests {
    @Test("requests are laid out as the kernel wants them")
    func request() {
        var request = NetlinkRequest(RTM_GETLINK, flags: NLM_F_DUMP)
        request.append(UInt32(7))
        request.attribute(3, [1, 2, 3, 4, 5])
        request.nested(4) { $0.attribute(5, UInt32(0x0102_0304)) }
        let bytes = request.sealed(sequence: 9)
        #expect(bytes.count == 16 + 4 + 12 + 12)
        var seen: [Int] = []
        let whole = Netlink.forEachMessage(in: unsafe bytes.span.bytes) { header, payload in
            #expect(header.type == UInt16(RTM_GETLINK) && header.sequence == 9)
            #expect(header.flags == UInt16(NLM_F_DUMP | NLM_F_REQUEST))
            #expect(
                Netlink.forEachAttribute(in: payload, from: 4) { type, value in
                    seen += [type, value.byteCount]
                    if type == 4 { Netlink.forEachAttribute(in: value, from: 0) { seen += [$0, $1.byteCount] } }
                })
        }
        #expect(whole)
        #expect(seen == [3, 5, 4, 8, 5, 4])
    }

    @Test("a route by several interfaces is seen with this one's gateway")
    func multipathRoute() {
        var request = NetlinkRequest(RTM_NEWROUTE, flags: 0)
        for byte: UInt8 in [UInt8(AF_INET), 0, 0, 0, 254, 0, 0, 1] { request.append(byte) }
        request.append(UInt32(0))
        request.nested(RTA_MULTIPATH.number) { nested in
            for (index, host) in [(Int32(3), UInt8(33)), (4, 44)] {
                nested.append(UInt16(16))
                nested.append(UInt16(0))
                nested.append(index)
                nested.attribute(RTA_GATEWAY.number, [10, 0, 0, host])
            }
        }
        let bytes = Array(request.sealed(sequence: 0).dropFirst(16))
        let span = unsafe bytes.span.bytes
        #expect(RouteMessage(span, interface: 3)?.route.gateway == IPAddress(10, 0, 0, 33))
        #expect(RouteMessage(span, interface: 4)?.route.gateway == IPAddress(10, 0, 0, 44))
        #expect(RouteMessage(span, interface: 5) == nil)
    }

    /// What the parsers make of any bytes does not matter here; that they return does.
    private func parseEverything(_ bytes: [UInt8]) -> Int {
        var count = 0
        let span = unsafe bytes.span.bytes
        _ = Netlink.forEachMessage(in: span) { header, payload in
            count += 1
            if LinkMessage(payload) != nil { count += 1 }
            if AddressMessage(payload) != nil { count += 1 }
            if NeighbourMessage(payload) != nil { count += 1 }
            if RouteMessage(payload, interface: 2) != nil { count += 1 }
            if InterfaceWatcher.event(header, payload) != nil { count += 1 }
        }
        return count
    }

    @Test("no bytes trap the parsers: noise, and real answers with a few bytes changed or missing")
    func hostileBytes() throws {
        var random = RandomSource(seed: 1)
        var parsed = 0
        for _ in 0..<4000 {
            let bytes = (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next() & 0x1f) }
            parsed += parseEverything(bytes)
        }
        var real: [[UInt8]] = []
        var multipath = NetlinkRequest(RTM_NEWROUTE, flags: 0)
        for byte: UInt8 in [UInt8(AF_INET6), 64, 0, 0, 254, 0, 0, 1] { multipath.append(byte) }
        multipath.append(UInt32(0))
        multipath.attribute(RTA_DST.number, IPAddress("fd00::")!.networkBytes)
        multipath.nested(RTA_MULTIPATH.number) { nested in
            nested.append(UInt16(28))
            nested.append(UInt16(0))
            nested.append(Int32(2))
            nested.attribute(RTA_GATEWAY.number, IPAddress("fe80::1")!.networkBytes)
        }
        real.append(multipath.sealed(sequence: 1))
        var socket = try NetlinkSocket()
        for request in [NetlinkRequest.links, .addresses] {
            try socket.dump(request, "list") { header, payload in
                var message: [UInt8] = []
                message.append(native: UInt32(16 + payload.byteCount))
                message.append(native: header.type)
                message.append(native: header.flags)
                message.append(native: UInt64(0))
                real.append(message + [UInt8](copying: payload))
            }
        }
        for _ in 0..<8000 {
            var bytes = real[Int(random.next() % UInt64(real.count))]
            for _ in 0..<1 + random.next() % 4 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            parsed += parseEverything(Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1)) + 8)))
        }
        #expect(parsed > 1000, "the inputs must reach the parsers")
    }

    @Test("every error is one line that says what mends it")
    func errors() {
        let errors: [(BackendError, Int32)] = [
            (.permissionDenied(operation: "x"), 3), (.noSuchInterface("x"), 2), (.interfaceGone("x"), 1),
            (.interfaceBusy("x"), 1), (.unsupportedInterface("x", reason: "y"), 2),
            (.portInUse(Endpoint(.anyIPv4, 1)), 1),
            (.addressUnavailable(.anyIPv6), 1), (.captureFailed(path: "x", reason: "y"), 1),
            (.system(operation: "x", code: 28), 1), (.from(1, "x"), 3), (.from(13, "x"), 3),
        ]
        for (error, status) in errors {
            #expect(!error.description.contains("\n") && error.description.count > 20)
            #expect(error.exitStatus == status)
        }
        #expect(BackendError.system(operation: "x", code: 28).description == "could not x: No space left on device")
    }
}
