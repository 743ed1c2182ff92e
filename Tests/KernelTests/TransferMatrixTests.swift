import LabSupport
import Testing

/// A file each way between our stack and the kernel, over two equal links, in every combination.
@Suite(.serialized, .enabled(if: LabEnvironment.isAvailable, "\(LabEnvironment.unavailable ?? "")"))
struct TransferMatrixTests {
    static let bytes = LabEnvironment.isFull ? 100_000_000 : 40_000_000
    static let links: [LinkKind] = [.veth(megabits: 200), .veth(megabits: 200)]

    @Test(.timeLimit(.minutes(3)), arguments: TransferCase.all)
    func everyByteArrivesOverBothLinks(_ cell: TransferCase) throws {
        let lab = try TwoLinkLab(
            family: cell.family, backend: cell.backend, links: Self.links, kernelChecksum: cell.checksum)
        if cell.role == .client {
            try lab.announceFarAddresses()
        }
        let up = try TransferFile(bytes: Self.bytes, seed: 11, at: lab.scratch.path("up"))
        let down = try TransferFile(bytes: Self.bytes, seed: 12, at: lab.scratch.path("down"))
        try transferOnce(lab, cell, sends: up, receives: nil, port: 4001)
        try transferOnce(lab, cell, sends: nil, receives: down, port: 4002)
    }

    /// Both directions at once, captured: tshark, a decoder that is not ours, finds nothing malformed.
    @Test(
        .timeLimit(.minutes(2)), .enabled(if: CaptureCheck.isAvailable, "needs tshark"),
        arguments: TransferCase.all.filter { $0.family == .v4 || $0.checksum })
    func capturesAreWellFormed(_ cell: TransferCase) throws {
        let lab = try TwoLinkLab(
            family: cell.family, backend: cell.backend, links: Self.links, kernelChecksum: cell.checksum)
        let up = try TransferFile(bytes: 1_500_001, seed: 21, at: lab.scratch.path("up"))
        let down = try TransferFile(bytes: 1_499_999, seed: 22, at: lab.scratch.path("down"))
        let capture = lab.scratch.path("capture.pcapng")
        try transferOnce(
            lab, cell, sends: up, receives: down, port: 4003, nearOptions: ["--capture", capture],
            peerOptions: ["--hold", "0.3"], minimumShare: nil)
        #expect(try CaptureCheck.complaints(about: capture) == [])
        // The capture is of this connection and whole: both handshakes and the end of data both ways are in it.
        #expect(try CaptureCheck.count("tcp.flags.syn == 1 && tcp.options.mptcp.subtype == 0", in: capture) >= 2)
        #expect(try CaptureCheck.count("tcp.options.mptcp.subtype == 1", in: capture) >= 3)
        #expect(try CaptureCheck.count("tcp.options.mptcp.datafin.flag == 1", in: capture) >= 2)
    }

    private func transferOnce(
        _ lab: TwoLinkLab, _ cell: TransferCase, sends: TransferFile?, receives: TransferFile?, port: Int,
        nearOptions: [String] = [], peerOptions: [String] = [], minimumShare: Double? = 0.2
    ) throws {
        let before = try KernelCounters(lab.far)
        let options = cell.checksum && cell.role == .both ? ["--checksum"] : []
        let outcome = try lab.transfer(
            cell.role, nearSends: sends, farSends: receives, port: port, nearOptions: nearOptions, options: options,
            peerOptions: peerOptions)
        outcome.expectIntact(sends: sends, receives: receives, checksum: cell.checksum)
        if let minimumShare {
            let share = outcome.report.smallestShare()
            #expect(share >= minimumShare, "shares by path: \(outcome.report.bytesByPath)")
            // A short transfer's second subflow may be over before the kernel is asked.
            if let peer = outcome.peer { #expect((peer.kernel?.subflowsTotal ?? 0) >= 2) }
        }
        if let peer = outcome.peer {
            expectKernelAgrees(peer, try KernelCounters(lab.far).since(before), cell)
        }
    }

    private func expectKernelAgrees(_ peer: PeerResult, _ moved: KernelCounters, _ cell: TransferCase) {
        #expect(peer.multipath == true)
        #expect(peer.kernel?.checksum == cell.checksum)
        switch cell.role {
        case .client: #expect(moved["MPJoinAckRx"] >= 1 && moved["MPJoinAckRx"] == moved["MPJoinSynRx"])
        case .listener: #expect(moved["MPJoinSynAckRx"] >= 1 && moved["MPJoinSynAckRx"] == moved["MPJoinSynTx"])
        case .both: break
        }
        #expect(moved.troubles == [])
    }
}

extension TransferOutcome {
    /// Equal hashes both ways, every exit status 0, nothing on standard error, a report that agrees.
    func expectIntact(
        sends: TransferFile?, receives: TransferFile?, checksum: Bool? = nil, multipath: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(arrivedFar == (sends?.sha256 ?? TransferFile.emptySHA256), sourceLocation: sourceLocation)
        #expect(arrivedNear == (receives?.sha256 ?? TransferFile.emptySHA256), sourceLocation: sourceLocation)
        #expect(statuses == [.exited(0), .exited(0)], "\(errorOutput)", sourceLocation: sourceLocation)
        if let peer {
            #expect(peer.error == nil, sourceLocation: sourceLocation)
        }
        #expect(report.bytesSent == UInt64(sends?.count ?? 0), sourceLocation: sourceLocation)
        #expect(report.bytesReceived == UInt64(receives?.count ?? 0), sourceLocation: sourceLocation)
        #expect(report.multipath == multipath, "\(report.fallback ?? "")", sourceLocation: sourceLocation)
        if let checksum {
            #expect(report.checksum == checksum, sourceLocation: sourceLocation)
        }
        if let otherReport {
            #expect(otherReport.bytesReceived == UInt64(sends?.count ?? 0), sourceLocation: sourceLocation)
            #expect(otherReport.bytesSent == UInt64(receives?.count ?? 0), sourceLocation: sourceLocation)
        }
    }
}
