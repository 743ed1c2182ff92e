import Testing
import TransportValues

@testable import PacketBackends

struct PathSpecificationTests {
    @Test("an interface's name, TUN and UDP are told apart")
    func kinds() throws {
        #expect(try PathSpecification(parsing: "eth0") == .interface("eth0"))
        #expect(try PathSpecification(parsing: "udp:10.0.0.1") == .udp(Endpoint(IPAddress(10, 0, 0, 1), 8684)))
        #expect(try PathSpecification(parsing: "udp:[fd00::1]:9") == .udp(Endpoint(IPAddress("fd00::1")!, 9)))
        #expect(try PathSpecification(parsing: "udp:fd00::1") == .udp(Endpoint(IPAddress("fd00::1")!, 8684)))
        let tun = try PathSpecification(parsing: "tun:t0,address=10.9.1.2/24")
        #expect(tun.name == "t0")
        #expect(tun.description == "tun:t0,address=10.9.1.2/24,gateway=10.9.1.1,mtu=1500")
        #expect(PathSpecification(tun.description) == tun)
    }

    @Test(
        "the kernel's end is the subnet's first other address",
        arguments: [
            ("10.9.1.2/24", "10.9.1.1"), ("10.9.1.1/24", "10.9.1.2"), ("10.9.1.9/30", "10.9.1.10"),
            ("10.9.1.4/31", "10.9.1.5"), ("10.9.1.5/31", "10.9.1.4"), ("fd00::2/64", "fd00::1"),
            ("fd00::1/64", "fd00::2"), ("fd00::/127", "fd00::1"), ("fd00::ffff:1/120", "fd00::ffff:2"),
        ])
    func defaultGateway(address: String, gateway: String) throws {
        guard case .tun(let tun) = try PathSpecification(parsing: "tun:t,address=\(address)") else {
            Issue.record("no TUN")
            return
        }
        #expect(tun.assignments.map(\.gateway) == [IPAddress(gateway)!])
    }

    @Test("gateways go to the addresses of their family and subnet")
    func namedGateways() throws {
        let text = "tun:t,address=10.0.0.2/24,address=10.1.0.2/24,address=fd00::2/64,gateway=10.1.0.7,gateway=fd00::9"
        guard case .tun(let tun) = try PathSpecification(parsing: text) else { return }
        #expect(tun.assignments.map { "\($0.gateway)" } == ["10.1.0.7", "10.1.0.7", "fd00::9"])
        #expect(tun.assignments.map(\.sharesSubnet) == [false, true, true])
    }

    @Test(
        "what makes no sense is refused with its reason",
        arguments: [
            ("", "missing"), ("a name", "no spaces"), ("interface-too-long", "15 bytes"), ("../x", "no spaces"),
            ("tun:", "missing"), ("tun:a%d,address=10.0.0.1/24", "percent"), ("tun:t", "needs address="),
            ("tun:t,address=10.0.0.1", "ADDRESS/PREFIX"), ("tun:t,address=10.0.0.1/33", "ADDRESS/PREFIX"),
            ("tun:t,address=224.0.0.1/24", "ADDRESS/PREFIX"), ("tun:t,address=10.0.0.1/32", "gateway="),
            ("tun:t,address=10.0.0.1/24,gateway=10.0.0.1", "both"), ("tun:t,address=10.0.0.1/24,mtu=60", "between"),
            ("tun:t,address=10.0.0.1/24,mtu=65536", "between"), ("tun:t,address=fd00::1/64,mtu=1279", "1280"),
            ("tun:t,address=10.0.0.1/24,gateway=fd00::1", "family"), ("tun:t,address=10.0.0.1/24,color=red", "none of"),
            ("tun:t,address=10.0.0.1/24,", "none of"), ("udp:nowhere", "udp:ADDRESS"),
        ])
    func refused(text: String, reason: String) {
        do {
            _ = try PathSpecification(parsing: text)
            Issue.record("\(text) was taken")
        } catch {
            #expect("\(error)".contains(reason), "\(error)")
            #expect(error.exitStatus == 2)
        }
    }
}
