import Glibc
import LabSupport
import Testing

/// Loss, dying peers, vanishing interfaces, and ends that stop taking what they are given.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct LossAndFaultTests {
    /// 20 ms round trip and 1 % loss both ways on both links: five real runs, each way.
    @Test(.timeLimit(.minutes(3)), arguments: 1...5, [OurRole.client, .listener])
    func lossyLinksLoseNothing(run: Int, role: OurRole) throws {
        let profile = { (link: Int) in
            LinkKind.emulated(
                LinkProfile(megabits: 50, delay: 10, lossPercent: 1, seed: UInt64(run * 10 + link)))
        }
        // Runs take turns: addresses, backend and checksums differ between them.
        let lab = try TwoLinkLab(
            family: run % 2 == 0 ? .v6 : .v4, backend: run > 3 ? .tun : .packetSocket,
            links: [profile(1), profile(2)], kernelChecksum: run == 3)
        let up = try TransferFile(bytes: 6_000_000, seed: 31, at: lab.scratch.path("up"))
        let down = try TransferFile(bytes: 6_000_000, seed: 32, at: lab.scratch.path("down"))
        let outcome = try lab.transfer(role, nearSends: up, farSends: down)
        outcome.expectIntact(sends: up, receives: down)
        #expect(
            outcome.report.subflows.reduce(0) { $0 + $1.segmentsRetransmitted } > 0, "the links must have lost some")
    }

    /// Ours to ours over the same links.
    @Test(.timeLimit(.minutes(2)), arguments: BackendKind.allCases)
    func lossyLinksBetweenOurs(backend: BackendKind) throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: backend,
            links: [1, 2].map { .emulated(LinkProfile(megabits: 50, delay: 10, lossPercent: 1, seed: $0)) })
        let up = try TransferFile(bytes: 3_000_000, seed: 33, at: lab.scratch.path("up"))
        let down = try TransferFile(bytes: 3_000_000, seed: 34, at: lab.scratch.path("down"))
        try lab.transfer(.both, nearSends: up, farSends: down).expectIntact(sends: up, receives: down)
    }

    /// A peer that is killed with bytes unread resets (MP_FASTCLOSE): an error within seconds.
    ///
    /// One that had read everything is another matter, and the kernel's own clients wait before it too: its kernel sends
    /// DATA_FIN, as for a half close, stays in FIN-WAIT-2 whatever net.mptcp.close_timeout says, takes data until its
    /// receive buffer is full, and then answers zero-window probes.
    @Test(.timeLimit(.minutes(1)), arguments: BackendKind.allCases)
    func aKilledPeerIsAnErrorWithinSeconds(backend: BackendKind) throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: backend, links: [.veth(megabits: 50), .veth(megabits: 50)])
        let file = try TransferFile(bytes: 50_000_000, seed: 41, at: lab.scratch.path("up"))
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--pause", "0.5"])
        let ours = try ToolRun(in: lab.near, ["cat"] + lab.nearPaths + [lab.farAddress(1), "4000"], input: file.path)
        #expect(ours.child.wait(upTo: 1.5) == nil, "\(ours.child.summary)")
        peer.child.kill(SIGKILL)
        try expectClearError(ours, within: 5)
    }

    /// A listener of ours whose kernel client is killed while it sends and leaves bytes unread.
    @Test(.timeLimit(.minutes(1)))
    func aKilledClientIsAnErrorForTheListener() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: 50), .veth(megabits: 50)])
        let file = try TransferFile(bytes: 50_000_000, seed: 43, at: lab.scratch.path("down"))
        let ours = try lab.startListener(in: lab.near, lab.nearPaths, "4000", input: file.path)
        let peer = try KernelPeer(connectFrom: lab.far, to: lab.nearStack(1), port: 4000, ["--pause", "0.5"])
        #expect(ours.child.wait(upTo: 1.5) == nil, "\(ours.child.summary)")
        peer.child.kill(SIGKILL)
        try expectClearError(ours, within: 5)
    }

    @Test(.timeLimit(.minutes(1)), arguments: BackendKind.allCases)
    func nobodyListens(backend: BackendKind) throws {
        let lab = try TwoLinkLab(family: .v4, backend: backend, links: [.veth(megabits: nil), .veth(megabits: nil)])
        let ours = try ToolRun(
            in: lab.near, ["cat"] + lab.nearPaths + [lab.farAddress(1), "4009"], input: "/dev/null")
        try expectClearError(ours, within: 5)
    }

    /// One link is cut mid-transfer, in one of four ways: the other carries the rest, the lost bytes included.
    @Test(.timeLimit(.minutes(2)), arguments: LinkCut.allCases)
    func aLinkThatGoesCostsNoByte(cut: LinkCut) throws {
        let links: [LinkKind] = [1, 2].map {
            cut == .silent ? .emulated(LinkProfile(megabits: 40, delay: 5, seed: $0)) : .veth(megabits: 40)
        }
        let lab = try TwoLinkLab(family: .v4, backend: .packetSocket, links: links)
        let up = try TransferFile(bytes: 16_000_000, seed: 51, at: lab.scratch.path("up"))
        // A veth pair goes with both its ends: the peer must be known by its other address too.
        try lab.announceFarAddresses()
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
        let ours = try ToolRun(in: lab.near, ["cat"] + lab.nearPaths + [lab.farAddress(1), "4000"], input: up.path)
        #expect(ours.child.wait(upTo: 0.8) == nil, "\(ours.child.summary)")
        switch cut {
        case .interfaceVanishes: try lab.deleteNearDevice(2)
        case .firstInterfaceVanishes: try lab.deleteNearDevice(1)
        case .interfaceDown: try lab.setNearDevice(2, up: false)
        // The devices stay up and nothing passes any more.
        case .silent: try lab.freezeEmulator(2)
        }
        let status = try ours.child.wait(timeout: 60)
        let result = try peer.result(timeout: 10)
        #expect(status == .exited(0), "\(ours.child.errorOutput)")
        #expect(result.receivedSHA256 == up.sha256)
        #expect(result.error == nil)
        #expect(ours.child.seconds < 30, "16 MB over the 40 Mbit/s that are left are 4 s")
    }

    enum LinkCut: String, CaseIterable, Sendable {
        case interfaceVanishes, firstInterfaceVanishes, interfaceDown, silent
    }

    /// Every way to the peer is gone: a clear error, not silence.
    @Test(.timeLimit(.minutes(2)))
    func allLinksGone() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: 20), .veth(megabits: 20)])
        let up = try TransferFile(bytes: 50_000_000, seed: 52, at: lab.scratch.path("up"))
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
        let ours = try ToolRun(in: lab.near, ["cat"] + lab.nearPaths + [lab.farAddress(1), "4000"], input: up.path)
        #expect(ours.child.wait(upTo: 1) == nil, "\(ours.child.summary)")
        lab.far.remove()
        peer.child.kill(SIGKILL)
        // A silence: the user timeout (60 s) has the word.
        try expectClearError(ours, within: 75)
    }

    @Test(.timeLimit(.minutes(1)))
    func aFullDiskUnderTheCaptureIsSaid() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: 100), .veth(megabits: 100)])
        let folder = lab.scratch.path("full")
        try run("mkdir \(folder)")
        try run("mount -t tmpfs -o size=256k tmpfs \(folder)")
        defer { _ = try? run("umount -l \(folder)") }
        let up = try TransferFile(bytes: 4_000_000, seed: 53, at: lab.scratch.path("up"))
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
        let ours = try ToolRun(
            in: lab.near,
            ["cat"] + lab.nearPaths + ["--capture", folder + "/c.pcapng", lab.farAddress(1), "4000"], input: up.path)
        let status = try ours.child.wait(timeout: 30)
        let said = ours.child.errorOutput
        // Either the transfer goes on without its capture or it stops: in both cases a line says so, and status 0 is
        // for a transfer that is whole.
        #expect(said.lowercased().contains("capture"), "\(said)")
        if status == .exited(0) {
            #expect(try peer.result(timeout: 10).receivedSHA256 == up.sha256)
        } else {
            #expect(status == .exited(1), "\(ours.child.summary)")
        }
    }

    /// Standard output goes away: exit status 1 and a line, no hang, no signal, no bytes lost silently.
    @Test(.timeLimit(.minutes(1)))
    func aClosedStandardOutputIsAnError() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: 100), .veth(megabits: 100)])
        let down = try TransferFile(bytes: 8_000_000, seed: 54, at: lab.scratch.path("down"))
        let peer = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--send", down.path])
        let arguments = [LabEnvironment.tool, "cat"] + lab.nearPaths + [lab.farAddress(1), "4000"]
        let child = try lab.near.start(
            ["bash", "-c", "\"$@\" </dev/null | head -c 1000 >/dev/null; exit ${PIPESTATUS[0]}", "cat"] + arguments)
        #expect(try child.wait(timeout: 20) == .exited(1), "\(child.summary)")
        #expect(!child.errorOutput.isEmpty)
        _ = try? peer.result(timeout: 10)
    }

    private func expectClearError(
        _ ours: ToolRun, within seconds: Double, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let began = ContinuousClock.now
        let status = try ours.child.wait(timeout: seconds + 20)
        let taken = (ContinuousClock.now - began).seconds
        #expect(status == .exited(1), "\(ours.child.summary)", sourceLocation: sourceLocation)
        #expect(taken <= seconds, "took \(taken) s", sourceLocation: sourceLocation)
        let lines = ours.child.errorOutput.split(separator: "\n")
        #expect(lines.count >= 1, "says nothing", sourceLocation: sourceLocation)
    }
}
