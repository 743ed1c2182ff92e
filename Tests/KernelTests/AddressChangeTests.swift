import Glibc
import LabSupport
import Testing

/// Addresses and interfaces that come and go under a connection between our stack (packet sockets) and the kernel.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct AddressChangeTests {
    static let roles = [OurRole.client, .listener]
    private static let link = LinkKind.veth(megabits: 20)

    /// A transfer of ours to the kernel that is under way, and what is done to it meanwhile.
    private func transfer(
        _ role: OurRole, links: Int = 2, bytes: Int = 10_000_000, options: [String] = [],
        prepare: (TwoLinkLab) throws -> Void = { _ in }, meanwhile: (TwoLinkLab, ToolRun) throws -> Void
    ) throws -> (ours: ToolRun, peer: PeerResult, file: TransferFile, moved: KernelCounters) {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: Array(repeating: Self.link, count: links))
        try prepare(lab)
        let file = try TransferFile(bytes: bytes, seed: 71, at: lab.scratch.path("up"))
        let before = try KernelCounters(lab.far)
        let (ours, peer) = try start(role, lab, file, options)
        #expect(ours.child.wait(upTo: 0.8) == nil, "\(ours.child.summary)")
        try meanwhile(lab, ours)
        let status = try ours.child.wait(timeout: 60)
        #expect(status == .exited(0), "\(ours.child.errorOutput)")
        let result = try peer.result(timeout: 20)
        #expect(result.receivedSHA256 == file.sha256)
        #expect(result.error == nil)
        return (ours, result, file, try KernelCounters(lab.far).since(before))
    }

    private func start(
        _ role: OurRole, _ lab: TwoLinkLab, _ file: TransferFile, _ options: [String]
    ) throws -> (ToolRun, KernelPeer) {
        if role == .client {
            let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
            let arguments = ["cat"] + lab.nearPaths + options + [lab.farAddress(1), "4000"]
            return (try ToolRun(in: lab.near, arguments, input: file.path), peer)
        }
        let ours = try lab.startListener(in: lab.near, lab.nearPaths + options, "4000", input: file.path)
        return (ours, try KernelPeer(connectFrom: lab.far, to: lab.nearAddress(1), port: 4000))
    }

    /// The second interface has no address at first: when it gets one it is joined from, or announced; when that goes
    /// again the kernel is told (REMOVE_ADDR), and the first path carries the rest.
    @Test(.timeLimit(.minutes(2)), arguments: roles)
    func anAddressComesAndGoes(role: OurRole) throws {
        let outcome = try transfer(role) { lab in
            try lab.setNearAddress(lab.nearAddress(2), on: 2, present: false)
        } meanwhile: { lab, ours in
            try lab.setNearAddress(lab.nearAddress(2), on: 2, present: true)
            #expect(ours.child.wait(upTo: 1.2) == nil)
            try lab.setNearAddress(lab.nearAddress(2), on: 2, present: false)
        }
        let second = outcome.ours.reportedSubflows { $0.path == "out2" }
        #expect(second.contains { $0.bytesSent > 100_000 }, "\(second)")
        #expect(second.allSatisfy { $0.closeReason == "local address removed" }, "\(second)")
        #expect(outcome.moved["RmAddr"] >= 1)
        if role == .listener { #expect(outcome.moved["AddAddr"] >= 1) }
    }

    /// As DHCP does it: the address first, and only then the route by which the peer can be reached from it.
    @Test(.timeLimit(.minutes(1)))
    func aRouteThatComesAfterItsAddress() throws {
        let outcome = try transfer(.client) { lab in
            try lab.setNearAddress(lab.nearAddress(2), on: 2, present: false)
            // Only the server's first address is known, and link 2 is no way to it without a default route.
        } meanwhile: { lab, ours in
            try lab.near.ip("address add \(lab.nearAddress(2))/24 dev out2")
            #expect(ours.child.wait(upTo: 0.5) == nil)
            try lab.near.ip("-4 route replace default via \(lab.farAddress(2)) dev out2 metric 200")
        }
        #expect(outcome.ours.reportedSubflows { $0.path == "out2" }.contains { $0.bytesSent > 100_000 })
    }

    /// The only address is replaced by another one of the same network (break before make).
    @Test(.timeLimit(.minutes(1)))
    func theOnlyAddressChanges() throws {
        let outcome = try transfer(.client, links: 1, bytes: 5_000_000) { lab, ours in
            try lab.setNearAddress(lab.nearAddress(1), on: 1, present: false)
            #expect(ours.child.wait(upTo: 0.5) == nil, "\(ours.child.summary)")
            try lab.setNearAddress("10.71.1.9", on: 1, present: true)
        }
        #expect(outcome.ours.reportedSubflows { $0.local.hasPrefix("10.71.1.9:") }.contains { $0.bytesSent > 100_000 })
        #expect(try outcome.ours.report().multipath)
    }

    /// The only address is away for some seconds: the connection is kept, and goes on when it is back.
    @Test(.timeLimit(.minutes(1)), arguments: roles)
    func aConnectionWithoutAddressIsKept(role: OurRole) throws {
        let outcome = try transfer(role, links: 1, bytes: 5_000_000) { lab, ours in
            try lab.setNearAddress(lab.nearAddress(1), on: 1, present: false)
            #expect(ours.child.wait(upTo: 4) == nil, "\(ours.child.summary)")
            try lab.setNearAddress(lab.nearAddress(1), on: 1, present: true)
        }
        #expect(try outcome.ours.report().multipath)
        #expect(outcome.ours.child.seconds < 20, "took \(outcome.ours.child.seconds) s")
    }

    /// An interface is pulled and plugged in again, with a new index and hardware address.
    @Test(.timeLimit(.minutes(1)), arguments: roles)
    func anInterfaceComesBack(role: OurRole) throws {
        let outcome = try transfer(role, bytes: 14_000_000) { lab, ours in
            try lab.deleteNearDevice(2)
            #expect(ours.child.wait(upTo: 1) == nil, "\(ours.child.summary)")
            try lab.restoreLink(2, Self.link)
        }
        // Before and after it was away.
        let second = outcome.ours.reportedSubflows { $0.path == "out2" && $0.bytesSent > 100_000 }
        #expect(second.count >= (role == .client ? 2 : 1), "\(second)")
        #expect(second.contains { $0.closeReason != "local address removed" }, "\(second)")
    }

    /// The same for the only one there is.
    @Test(.timeLimit(.minutes(1)))
    func theOnlyInterfaceComesBack() throws {
        let outcome = try transfer(.client, links: 1, bytes: 5_000_000) { lab, ours in
            try lab.deleteNearDevice(1)
            #expect(ours.child.wait(upTo: 2) == nil, "\(ours.child.summary)")
            try lab.restoreLink(1, Self.link)
        }
        #expect(try outcome.ours.report().multipath)
    }

    /// With no path for longer than --keep-pathless the error is clear.
    @Test(.timeLimit(.minutes(1)), arguments: ["0", "2"])
    func aConnectionIsNotKeptForever(patience: String) throws {
        let lab = try TwoLinkLab(family: .v4, backend: .packetSocket, links: [Self.link])
        let file = try TransferFile(bytes: 10_000_000, seed: 72, at: lab.scratch.path("up"))
        let (ours, peer) = try start(.client, lab, file, ["--keep-pathless", patience])
        #expect(ours.child.wait(upTo: 0.8) == nil, "\(ours.child.summary)")
        try lab.setNearAddress(lab.nearAddress(1), on: 1, present: false)
        let began = ContinuousClock.now
        #expect(try ours.child.wait(timeout: 20) == .exited(1))
        let taken = (ContinuousClock.now - began).seconds
        let wanted = Double(patience) ?? 0
        #expect(taken >= wanted - 0.1 && taken < wanted + 2, "took \(taken) s")
        #expect(ours.child.errorOutput.contains("no path is left"), "\(ours.child.errorOutput)")
        peer.child.kill(SIGKILL)
    }

    /// Without --path, an interface that appears later is used as well.
    @Test(.timeLimit(.minutes(1)))
    func aNewInterfaceIsJoinedByDefault() throws {
        let lab = try TwoLinkLab(family: .v4, backend: .packetSocket, links: [Self.link])
        let file = try TransferFile(bytes: 10_000_000, seed: 73, at: lab.scratch.path("up"))
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
        let ours = try ToolRun(in: lab.near, ["cat", lab.farAddress(1), "4000"], input: file.path)
        #expect(ours.child.wait(upTo: 0.8) == nil, "\(ours.child.summary)")
        try lab.addLink(2, Self.link)
        #expect(try ours.child.wait(timeout: 30) == .exited(0), "\(ours.child.errorOutput)")
        #expect(try peer.result(timeout: 10).receivedSHA256 == file.sha256)
        #expect(ours.reportedSubflows { $0.path == "out2" }.contains { $0.bytesSent > 100_000 })
    }
}

extension ToolRun {
    fileprivate func reportedSubflows(where wanted: (ToolReport.Subflow) -> Bool) -> [ToolReport.Subflow] {
        (try? report())?.subflows.filter(wanted) ?? []
    }
}
