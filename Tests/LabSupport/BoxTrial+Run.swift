import Foundation
import NetworkSimulation

/// One end of a trial: our tool or a program on kernel sockets.
private enum BoxEnd {
    case ours(ToolRun)
    case kernel(KernelPeer, output: String)

    var child: ChildProcess {
        switch self {
        case .ours(let run): run.child
        case .kernel(let peer, _): peer.child
        }
    }

    /// The file that has what was received.
    var output: String {
        switch self {
        case .ours(let run): run.output
        case .kernel(_, let output): output
        }
    }

    var isMultipath: Bool? {
        switch self {
        case .ours(let run): (try? run.report())?.multipath
        case .kernel(let peer, _): (try? peer.result(timeout: 1))?.multipath
        }
    }

    func letGo() {
        if case .ours(let run) = self { run.endInput() }
    }
}

extension BoxTrial {
    /// Makes two namespaces and the links, moves the bytes, and judges.
    /// - Parameter capture: a pcapng file for our tool's packets.
    public func run(capture: String? = nil) throws -> BoxResult {
        let (profiles, outages) = plan
        let lab = try TwoLinkLab(
            family: .v4, backend: .packetSocket, links: profiles.map { .emulated($0) }, kernelChecksum: row.damages)
        if paths > 1, !ends.serverIsOurs { try lab.announceFarAddresses() }
        let file = try TransferFile(bytes: bytes, seed: 97, at: lab.scratch.path("file"))
        let server = try start(lab, isClient: false, file, capture)
        let began = ContinuousClock.now
        let client = try start(lab, isClient: true, file, capture)
        let (sender, receiver) = direction == .upload ? (client, server) : (server, client)
        let silence = try follow(sender, receiver, lab, outages, began)
        let seconds = (ContinuousClock.now - began).seconds
        let hanging = [sender, receiver].map(\.child.isRunning)
        var result = try judge(sender, receiver, hanging, file)
        (result.silence, result.seconds) = (silence, seconds)
        if result.outcome != .multipath, result.outcome != .plain {
            result.details += "; " + [sender, receiver].map { Self.words(of: $0) }.joined(separator: "; ")
        }
        return result
    }

    private func start(_ lab: TwoLinkLab, isClient: Bool, _ file: TransferFile, _ capture: String?) throws -> BoxEnd {
        let isOurs = isClient ? ends.clientIsOurs : ends.serverIsOurs
        let sends = isClient == (direction == .upload)
        let space = isClient ? lab.near : lab.far
        if isOurs {
            var arguments = isClient ? lab.nearPaths : lab.farPaths
            arguments += (row.damages ? ["--checksum"] : []) + (capture.map { ["--capture", $0] } ?? []) + options
            let input = sends ? file.path : nil
            if !isClient { return .ours(try lab.startListener(in: space, arguments, "4000", input: input)) }
            return .ours(
                try ToolRun(
                    in: space, ["cat"] + arguments + [target(lab), "4000"], input: input, limit: Int(limit) + 200))
        }
        let output = lab.scratch.path(isClient ? "client" : "server")
        // A kernel whose side is closed refuses joins from then on.
        let arguments =
            sends
            ? ["--send", file.path, "--timeout", "\(limit)"] + (paths > 1 ? ["--hold", "0.5"] : [])
            : ["--output", output, "--timeout", "\(limit)"]
        let peer =
            isClient
            ? try KernelPeer(connectFrom: space, to: target(lab), port: 4000, arguments)
            : try KernelPeer(listenIn: space, address: "0.0.0.0", port: 4000, arguments)
        return .kernel(peer, output: output)
    }

    /// Waits for both ends, takes the first link away and brings it back, and returns the receiver's longest silence.
    private func follow(
        _ sender: BoxEnd, _ receiver: BoxEnd, _ lab: TwoLinkLab, _ outages: [ClosedRange<Double>],
        _ began: ContinuousClock.Instant
    ) throws -> Double {
        var events = outages.flatMap { [($0.lowerBound, false), ($0.upperBound, true)] }
        var (count, silence) = (0, 0.0)
        var last: ContinuousClock.Instant?
        var senderEnd: Double?
        var firstEnd: Double?
        while true {
            let now = ContinuousClock.now
            let time = (now - began).seconds
            while let event = events.first, event.0 <= time {
                try lab.links[0]?.setUp(event.1)
                events.removeFirst()
            }
            let arrived = Self.size(receiver.output)
            if arrived > count {
                if let last { silence = max(silence, (now - last).seconds) }
                (count, last) = (arrived, now)
            }
            if !sender.child.isRunning { senderEnd = senderEnd ?? time }
            if !sender.child.isRunning, !receiver.child.isRunning { return silence }
            // Once it has all, or nothing more can come, the receiver may close its own direction.
            if arrived >= bytes || (senderEnd.map { time - $0 > 2 } ?? false) { receiver.letGo() }
            if !receiver.child.isRunning { sender.letGo() }
            if !sender.child.isRunning || !receiver.child.isRunning { firstEnd = firstEnd ?? time }
            // Twenty seconds behind the other an end is not going to notice any more.
            if time > limit || (firstEnd.map { time - $0 > 20 } ?? false) { return silence }
            usleep(5_000)
        }
    }

    private static func size(_ path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }

    private func judge(
        _ sender: BoxEnd, _ receiver: BoxEnd, _ hanging: [Bool], _ file: TransferFile
    ) throws -> BoxResult {
        var result = BoxResult(outcome: .hang, oursIsToBlame: false, details: "\(self)", silence: 0, seconds: 0)
        let wanted = FileManager.default.contents(atPath: file.path) ?? Data()
        let arrived = FileManager.default.contents(atPath: receiver.output) ?? Data()
        let isPrefix = arrived.count <= wanted.count && arrived == wanted.prefix(arrived.count)
        let isWhole = arrived == wanted
        let succeeded = [sender, receiver].map { $0.child.status == .exited(0) }
        if !isPrefix || (!isWhole && (succeeded[0] || succeeded[1])) {
            result.outcome = .wrong
            let first = zip(arrived, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            result.details += first.map { ": wrong from byte \($0)" } ?? ": \(arrived.count) of \(wanted.count) bytes"
            // Without checksums nothing tells an end what the other one's data level sends twice.
            if let first, !row.damages, !senderIsOurs, Self.isRepeated(arrived, wanted, first) {
                result.kernelRepeats = true
                result.details += " (the kernel sent bytes twice)"
            }
            // What a kernel hands up is the kernel's; a success that was none is that end's own.
            result.oursIsToBlame =
                !result.kernelRepeats && receiverIsOurs && (!isPrefix || (succeeded[1] && !isWhole))
                || senderIsOurs && succeeded[0] && isPrefix && !isWhole
        } else if hanging[0] || hanging[1] {
            result.details +=
                ": \(hanging[0] ? "sender" : "receiver") not over, \(arrived.count) of \(wanted.count) bytes"
            // An end whose peer is a kernel that waits for ever is to end all the same.
            // A receiver waits as long as its sender is there.
            result.oursIsToBlame = senderIsOurs && hanging[0] || receiverIsOurs && hanging[1] && !hanging[0]
            result.kernelHangsAlone = !result.oursIsToBlame && (senderIsOurs || receiverIsOurs)
        } else if isWhole {
            let multipath = [sender, receiver].compactMap(\.isMultipath)
            result.outcome =
                succeeded == [true, true] ? (multipath.allSatisfy { $0 } ? .multipath : .plain) : .unconfirmed
        } else {
            result.outcome = .refused
        }
        for case .ours(let run) in [sender, receiver] { result.fallback = (try? run.report())?.fallback }
        return result
    }

    /// Whether what stands at a wrong place had come before.
    private static func isRepeated(_ arrived: Data, _ wanted: Data, _ first: Int) -> Bool {
        let piece = arrived[first..<min(first + 64, arrived.count)]
        return wanted.prefix(first).range(of: piece) != nil
    }

    private static func words(of end: BoxEnd) -> String {
        let said = end.child.errorOutput.split(separator: "\n").last.map(String.init) ?? ""
        switch end {
        case .ours: return "ours: \(end.child.status.map(\.description) ?? "running") \(said)"
        case .kernel(let peer, _):
            let error = end.child.isRunning ? "running" : (try? peer.result(timeout: 1))?.error ?? "no error"
            return "kernel: \(error)"
        }
    }

    /// Whether the row may end so, where ours is one of the ends.
    public func accepts(_ result: BoxResult) -> Bool {
        switch result.outcome {
        case .multipath, .plain: true
        case .unconfirmed: row.tolerance != .intactOnly
        case .refused: row.tolerance == .refusal
        // What the kernel does to itself; ours has ended with an error.
        case .hang where result.kernelHangsAlone && !senderIsOurs: true
        case .wrong, .hang: !result.oursIsToBlame && (result.kernelRepeats || row.damages || row.tolerance == .refusal)
        }
    }
}
