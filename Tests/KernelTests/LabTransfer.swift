import Glibc
import LabSupport

/// Which side of a transfer our stack is.
enum OurRole: String, CaseIterable, Sendable, CustomStringConvertible {
    case client = "our client, kernel listener"
    case listener = "kernel client, our listener"
    case both = "ours to ours"
    var description: String { rawValue }
}

/// One cell of the matrix.
struct TransferCase: Sendable, CustomStringConvertible {
    var role: OurRole
    var backend: BackendKind
    var family: AddressFamily
    var checksum: Bool

    var description: String { "\(role), \(backend), \(family), checksum \(checksum ? "on" : "off")" }

    static let all: [TransferCase] = OurRole.allCases.flatMap { role in
        BackendKind.allCases.flatMap { backend in
            AddressFamily.allCases.flatMap { family in
                [false, true].map { TransferCase(role: role, backend: backend, family: family, checksum: $0) }
            }
        }
    }
}

/// What both ends said of one finished connection.
struct TransferOutcome {
    /// Ours: the client when both are.
    var ours: ToolRun
    var report: ToolReport
    /// The far end when it is ours too.
    var otherReport: ToolReport?
    /// SHA-256 of what arrived at each end.
    var arrivedNear: String
    var arrivedFar: String
    var statuses: [ExitStatus]
    var farSeconds: Double
    /// nil when both ends are ours.
    var peer: PeerResult?
    var errorOutput: String
}

extension TwoLinkLab {
    /// One connection between `near` and `far`, each end sending its file (nil: nothing) at once, to its end.
    ///
    /// - Parameter options: more options for our tool at both ends.
    func transfer(
        _ role: OurRole, nearSends: TransferFile?, farSends: TransferFile?, port: Int = 4000,
        nearOptions: [String] = [], options: [String] = [], peerOptions: [String] = [], timeout: Double = 60
    ) throws -> TransferOutcome {
        let portText = String(port)
        let farFile = farSends.map { ["--send", $0.path] } ?? []
        switch role {
        case .client:
            let listener = try KernelPeer(
                listenIn: far, address: family.wildcard, port: port, farFile + peerOptions)
            let ours = try ToolRun(
                in: near, ["cat"] + nearPaths + nearOptions + options + [farAddress(1), portText],
                input: nearSends?.path)
            return try kernelOutcome(ours, listener, receives: farSends?.count ?? 0, timeout: timeout)
        case .listener:
            let ours = try startListener(in: near, nearPaths + nearOptions + options, portText, input: nearSends?.path)
            let client = try KernelPeer(connectFrom: far, to: nearStack(1), port: port, farFile + peerOptions)
            return try kernelOutcome(ours, client, receives: farSends?.count ?? 0, timeout: timeout)
        case .both:
            let listener = try startListener(in: far, farPaths + options, portText, input: farSends?.path)
            let ours = try ToolRun(
                in: near, ["cat"] + nearPaths + nearOptions + options + [farStack(1), portText],
                input: nearSends?.path)
            // Whoever receives only lets go of its input once it has all: that end first.
            let receiver = nearSends == nil ? ours : listener
            let sender = nearSends == nil ? listener : ours
            let expected = nearSends == nil ? farSends?.count ?? 0 : nearSends?.count ?? 0
            let receiverStatus = try receiver.wait(received: expected, timeout: timeout)
            let senderStatus = try sender.wait(received: 0, timeout: timeout)
            let (status, otherStatus) =
                nearSends == nil ? (receiverStatus, senderStatus) : (senderStatus, receiverStatus)
            return TransferOutcome(
                ours: ours, report: try ours.report(), otherReport: try listener.report(),
                arrivedNear: ours.outputSHA256, arrivedFar: listener.outputSHA256,
                statuses: [status, otherStatus], farSeconds: listener.child.seconds, peer: nil,
                errorOutput: ours.child.errorOutput + listener.child.errorOutput)
        }
    }

    private func kernelOutcome(
        _ ours: ToolRun, _ peer: KernelPeer, receives: Int, timeout: Double
    ) throws -> TransferOutcome {
        let status = try ours.wait(received: receives, timeout: timeout)
        let result = try peer.result(timeout: timeout)
        return TransferOutcome(
            ours: ours, report: try ours.report(), otherReport: nil, arrivedNear: ours.outputSHA256,
            arrivedFar: result.receivedSHA256 ?? "nothing", statuses: [status, peer.child.status ?? .exited(-1)],
            farSeconds: result.seconds ?? 0, peer: result, errorOutput: ours.child.errorOutput)
    }
}
