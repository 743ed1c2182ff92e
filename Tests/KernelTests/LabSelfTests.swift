import LabSupport
import Testing

/// The lab itself, kernel to kernel: what the other tests rely on when they say "the kernel agrees".
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct LabSelfTests {
    @Test(arguments: AddressFamily.allCases, [false, true])
    func kernelToKernelUsesBothLinks(family: AddressFamily, checksum: Bool) throws {
        let lab = try TwoLinkLab(
            family: family, backend: .packetSocket, links: [.veth(megabits: 200), .veth(megabits: 200)],
            kernelChecksum: checksum)
        try lab.announceFarAddresses()
        let file = try TransferFile(bytes: 8 << 20, seed: 1, at: lab.scratch.path("data"))
        let before = try KernelCounters(lab.far)
        let listener = try KernelPeer(listenIn: lab.far, address: family.wildcard, port: 4000)
        let client = try KernelPeer(
            connectFrom: lab.near, to: lab.farAddress(1), port: 4000, ["--send", file.path])
        let sent = try client.result(timeout: 30)
        let received = try listener.result(timeout: 30)
        #expect(client.child.status == .exited(0))
        #expect(listener.child.status == .exited(0))
        #expect(sent.error == nil)
        #expect(received.receivedSHA256 == file.sha256)
        #expect(received.multipath == true)
        #expect(received.kernel?.checksum == checksum)
        #expect(received.kernel?.subflows.count == 2)
        let shares = received.kernel?.subflows.map { Double($0.bytesReceived) / Double(file.count) } ?? []
        #expect(shares.allSatisfy { $0 > 0.2 }, "\(shares)")
        let moved = try KernelCounters(lab.far).since(before)
        #expect(moved["MPJoinAckRx"] == 1)
        #expect(moved.troubles == [])
    }

    /// A peer that dies with bytes unread leaves traces: a check that never sees one would prove nothing.
    @Test func troublesAreSeen() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: 50), .veth(megabits: 50)])
        try lab.announceFarAddresses()
        let before = try KernelCounters(lab.far)
        let listener = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--pause", "0.5"])
        let client = try KernelPeer(
            connectFrom: lab.near, to: lab.farAddress(1), port: 4000, ["--send-bytes", "50000000"])
        #expect(client.child.wait(upTo: 1.5) == nil)
        listener.child.kill(9)
        let result = try client.result(timeout: 10)
        #expect(result.error != nil)
        #expect(client.child.status == .exited(1))
        #expect(try !KernelCounters(lab.far).since(before).troubles.isEmpty)
    }

    @Test func plainClientFallsBack() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.veth(megabits: nil), .veth(megabits: nil)])
        let listener = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000, ["--echo"])
        let client = try KernelPeer(
            connectFrom: lab.near, to: lab.farAddress(1), port: 4000, ["--plain", "--send-bytes", "3000000"])
        let sent = try client.result(timeout: 10)
        let received = try listener.result(timeout: 10)
        #expect(sent.receivedSHA256 == sent.sentSHA256)
        #expect(received.multipath == false)
    }

    @Test(.enabled(if: CaptureCheck.isAvailable, "needs tshark"))
    func tsharkFindsWhatIsMalformed() throws {
        let scratch = try ScratchFolder()
        let good = scratch.path("good.pcap")
        let bad = scratch.path("bad.pcap")
        try CaptureSamples.write(optionLength: 12, to: good)
        // A DSS that ends in the middle of its data sequence number.
        try CaptureSamples.write(optionLength: 9, to: bad)
        #expect(try CaptureCheck.complaints(about: good) == [])
        #expect(try CaptureCheck.count("tcp.options.mptcp.subtype == 2", in: good) == 1)
        #expect(try CaptureCheck.complaints(about: bad) != [])
    }
}
