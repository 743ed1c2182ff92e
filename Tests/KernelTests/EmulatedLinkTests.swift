import LabSupport
import Testing

/// `mptcp link`, kernel to kernel: rate, delay and loss are what was asked for, so tests may rely on them.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct EmulatedLinkTests {
    @Test(.timeLimit(.minutes(1)))
    func delayIsAddedEachWay() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: [.emulated(LinkProfile(megabits: 100, delay: 10))])
        let text = try lab.near.run(inside: "ping -q -c 20 -i 0.05 \(lab.farAddress(1))")
        let average = try #require(text.split(separator: "/").dropFirst(4).first.flatMap { Double($0) }, "\(text)")
        #expect((20...24).contains(average), "\(text)")
    }

    @Test(.timeLimit(.minutes(1)))
    func rateIsKept() throws {
        let lab = try TwoLinkLab(
            family: .v6, backend: .packetSocket,
            links: [.emulated(LinkProfile(megabits: 40, delay: 5, queueKilobytes: 256))])
        let listener = try KernelPeer(listenIn: lab.far, address: "::", port: 4000)
        let client = try KernelPeer(
            connectFrom: lab.near, to: lab.farAddress(1), port: 4000, ["--plain", "--send-bytes", "10000000"])
        #expect(try client.result(timeout: 30).error == nil)
        let result = try listener.result(timeout: 10)
        let megabits = 80 / (result.seconds ?? 1)
        #expect((28...40).contains(megabits), "\(megabits) Mbit/s")
    }

    @Test(.timeLimit(.minutes(1)))
    func lossLosesAboutAsMuchAsAsked() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket,
            links: [.emulated(LinkProfile(megabits: 100, lossPercent: 5, seed: 9))])
        let text = try lab.near.run(inside: "ping -q -c 1000 -i 0.002 \(lab.farAddress(1))")
        let percent = try #require(
            text.split(separator: " ").first { $0.hasSuffix("%") }.flatMap { Double($0.dropLast()) }, "\(text)")
        // Request or reply: 1 − 0.95² = 9.75 %, standard deviation 0.94 for 1,000.
        #expect((6...14).contains(percent), "\(text)")
    }

    @Test(.timeLimit(.minutes(1)))
    func kernelToKernelOverLossyLinks() throws {
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket,
            links: [1, 2].map { .emulated(LinkProfile(megabits: 50, delay: 10, lossPercent: 1, seed: $0)) })
        // Not by ADD_ADDR: a kernel client resets a join whose SYN/ACK comes before its first DATA_ACK, and it may here.
        try lab.near.ip("mptcp endpoint add \(lab.nearAddress(2)) dev out2 subflow")
        // More than a send buffer: a kernel that has sent all and closed its side refuses joins too.
        let file = try TransferFile(bytes: 8_000_000, seed: 3, at: lab.scratch.path("data"))
        let listener = try KernelPeer(listenIn: lab.far, address: "0.0.0.0", port: 4000)
        let client = try KernelPeer(connectFrom: lab.near, to: lab.farAddress(1), port: 4000, ["--send", file.path])
        #expect(try client.result(timeout: 40).error == nil)
        let result = try listener.result(timeout: 10)
        #expect(result.receivedSHA256 == file.sha256)
        #expect(result.kernel?.subflows.count == 2)
    }
}
