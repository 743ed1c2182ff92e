import Glibc
import PacketBackends
import Testing
import TransportValues

/// For a run without privileges, for example: setpriv --bounding-set=-all --inh-caps=-all swift test
@Suite(.enabled(if: !Privilege.isThere, "for a process without privileges"))
struct PrivilegeTests {
    @Test("a missing privilege is said as such, and is the tool's status 3")
    func denied() throws {
        do {
            _ = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:mpt0,address=10.9.1.2/24"))
            Issue.record("a TUN device without privileges")
        } catch {
            // A machine without /dev/net/tun says that instead.
            var isMissing = false
            if case .missingFeature = error { isMissing = true }
            #expect(isMissing || (error.exitStatus == 3 && error.description.contains("CAP_NET_ADMIN")), "\(error)")
        }
        guard let ethernet = try NetworkInterface.all().first(where: { $0.kind == .ethernet }) else { return }
        do {
            _ = try AnyPacketBackend(opening: .interface(ethernet.name))
            Issue.record("a packet socket without privileges")
        } catch {
            #expect(error.exitStatus == 3, "\(error)")
        }
    }

    @Test("interfaces can be listed without privileges")
    func unprivileged() throws {
        #expect(try NetworkInterface.all().contains { $0.kind == .loopback })
    }
}
