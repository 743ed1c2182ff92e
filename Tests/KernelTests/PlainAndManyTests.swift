import LabSupport
import Testing

/// Peers without Multipath TCP, and many connections at once.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct PlainAndManyTests {
    private func lab(_ backend: BackendKind, _ family: AddressFamily = .v4) throws -> TwoLinkLab {
        try TwoLinkLab(family: family, backend: backend, links: [.veth(megabits: 400), .veth(megabits: 400)])
    }

    /// A peer that speaks plain TCP only, as listener and as client.
    @Test(.timeLimit(.minutes(1)), arguments: BackendKind.allCases, [OurRole.client, .listener])
    func aPlainPeerGetsPlainTCP(backend: BackendKind, role: OurRole) throws {
        let lab = try lab(backend)
        let up = try TransferFile(bytes: 5_000_000, seed: 61, at: lab.scratch.path("up"))
        let down = try TransferFile(bytes: 5_000_000, seed: 62, at: lab.scratch.path("down"))
        let outcome = try lab.transfer(role, nearSends: up, farSends: down, peerOptions: ["--plain"])
        outcome.expectIntact(sends: up, receives: down, multipath: false)
        #expect(outcome.report.version == nil)
        #expect(outcome.report.subflows.count == 1)
    }

    /// `--mptcp-version off` is plain TCP before a peer that would speak more.
    @Test(.timeLimit(.minutes(1)))
    func versionOffAsksForNothing() throws {
        let lab = try lab(.packetSocket, .v6)
        let before = try KernelCounters(lab.far)
        let up = try TransferFile(bytes: 2_000_000, seed: 63, at: lab.scratch.path("up"))
        let outcome = try lab.transfer(.client, nearSends: up, farSends: nil, options: ["--mptcp-version", "off"])
        outcome.expectIntact(sends: up, receives: nil, multipath: false)
        #expect(outcome.peer?.multipath == false)
        #expect(try KernelCounters(lab.far).since(before)["MPCapableSYNRX"] == 0)
    }

    /// `--checksum` asks for DSS checksums of a kernel that would not.
    @Test(.timeLimit(.minutes(1)))
    func checksumIsAskedFor() throws {
        let lab = try lab(.packetSocket)
        let up = try TransferFile(bytes: 2_000_000, seed: 64, at: lab.scratch.path("up"))
        let outcome = try lab.transfer(.client, nearSends: up, farSends: up, options: ["--checksum"])
        outcome.expectIntact(sends: up, receives: up, checksum: true)
        #expect(outcome.peer?.kernel?.checksum == true)
    }

    /// 64 connections at once through one stack of ours, over two paths.
    @Test(.timeLimit(.minutes(2)), arguments: BackendKind.allCases)
    func sixtyFourThroughOneStack(backend: BackendKind) throws {
        let lab = try lab(backend)
        let before = try KernelCounters(lab.far)
        let peer = try KernelPeer(
            listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--echo", "--connections", "64"])
        let specifications = lab.nearPaths.filter { $0 != "--path" }
        let child = try lab.near.start(
            [LabEnvironment.program("ManyConnections"), lab.farAddress(1), "4000", "64", "300000"] + specifications)
        #expect(try child.wait(timeout: 90) == .exited(0), "\(child.summary)")
        let results = try peer.results(timeout: 30)
        #expect(results.count == 64)
        #expect(results.allSatisfy { $0.error == nil && $0.multipath == true })
        #expect(try KernelCounters(lab.far).since(before)["MPJoinAckRx"] >= 64)
    }

    /// 64 connections at once before one kernel listener, each with bytes of its own.
    @Test(.timeLimit(.minutes(3)), arguments: [BackendKind.packetSocket])
    func sixtyFourAtOnce(backend: BackendKind) throws {
        let lab = try lab(backend)
        let count = 64
        let peer = try KernelPeer(
            listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--echo", "--connections", String(count)])
        let files = try (0..<count).map {
            try TransferFile(bytes: 200_000 + $0, seed: UInt64(100 + $0), at: lab.scratch.path("file\($0)"))
        }
        let runs = try files.map {
            try ToolRun(in: lab.near, ["cat"] + lab.nearPaths + [lab.farAddress(1), "4000"], input: $0.path)
        }
        for (run, file) in zip(runs, files) {
            #expect(try run.child.wait(timeout: 90) == .exited(0), "\(run.child.summary)")
            #expect(run.outputSHA256 == file.sha256)
            #expect(try run.report().multipath)
        }
        let results = try peer.results(timeout: 30)
        #expect(results.count == count)
        #expect(results.allSatisfy { $0.error == nil })
        #expect(Set(results.map { $0.receivedSHA256 }) == Set(files.map { $0.sha256 }))
    }
}
