import Foundation
public import NetworkSimulation
import TransportValues

/// Who stands at the ends: the client is the end that connects.
public enum BoxEnds: String, CaseIterable, Sendable {
    case oursToKernel = "ours→kernel"
    case kernelToOurs = "kernel→ours"
    /// The comparison: what the boxes do to kernels alone.
    case kernelToKernel = "kernel→kernel"

    var clientIsOurs: Bool { self == .oursToKernel }
    var serverIsOurs: Bool { self == .kernelToOurs }
}

/// One transfer through a row of ``MiddleboxCase`` in real time.
public struct BoxTrial: Sendable, CustomStringConvertible {
    public enum Direction: String, CaseIterable, Sendable {
        /// The client sends.
        case upload
        case download
    }

    public var row: MiddleboxCase
    public var ends: BoxEnds
    public var direction: Direction
    /// 1 or 2; of two, the boxes stand on the first.
    public var paths: Int
    /// Which end is inside: a is the client's.
    public var inside = LinkEnd.a
    public var bytes = 1_000_000
    /// Seconds after which a transfer that isn't over hangs.
    public var limit = 60.0
    /// More options for our tool. Its time-outs of minutes are shortened, so that a trial shows how they end.
    public var options = ["--keepalive", "5", "--user-timeout", "20", "--keep-pathless", "10"]

    public init(row: MiddleboxCase, ends: BoxEnds, direction: Direction, paths: Int) {
        self.row = row
        self.ends = ends
        self.direction = direction
        self.paths = paths
    }

    public var description: String {
        "\(row.name), \(ends.rawValue), \(direction.rawValue), \(paths) path(s)"
    }

    var senderIsOurs: Bool { direction == .upload ? ends.clientIsOurs : ends.serverIsOurs }
    var receiverIsOurs: Bool { direction == .upload ? ends.serverIsOurs : ends.clientIsOurs }

    /// What the links are made of, and when they are away, in seconds after the client's start.
    var plan: (links: [LinkProfile], outages: [ClosedRange<Double>]) {
        var outages: [ClosedRange<Double>] = []
        let links = (0..<paths).map { path in
            var spec = PathSpec(rate: .megabits(10), roundTrip: .milliseconds(20))
            var options: [String] = []
            if path == 0 {
                row.adjust?(&spec)
                // Time for a program to start, so that the first outage meets the transfer.
                outages = spec.outages.map {
                    let start = Double($0.lowerBound.nanoseconds) / 1e9 + 0.3
                    return start...(start + ($0.upperBound - $0.lowerBound).seconds)
                }
                for box in row.boxes(inside, path, false) { options += ["--box", Self.localize(box).description] }
            }
            options += [
                "--reverse-rate", "\(spec.backward.rate)", "--reverse-delay", spec.backward.delay.shortText,
            ]
            return LinkProfile(
                megabits: Int(spec.forward.rate.bitsPerSecond / 1_000_000),
                delay: Double(spec.forward.delay.nanoseconds) / 1e6, seed: UInt64(path + 1), options: options)
        }
        return (links, outages)
    }

    /// The lab's addresses instead of the simulator's.
    private static func localize(_ box: Middlebox) -> Middlebox {
        guard case .translateAddresses(_, let timeout, let target) = box.action else { return box }
        return Middlebox(
            .translateAddresses(
                outside: .init(10, 71, 1, 77), timeout: timeout, forwardsTo: target.map { _ in .init(10, 71, 1, 2) }),
            inside: box.inside)
    }

    /// Where the client connects to.
    func target(_ lab: TwoLinkLab) -> String {
        row.hidesServer && inside == .b ? "10.71.1.77" : lab.farAddress(1)
    }
}

/// What a trial came to.
public struct BoxResult: Sendable {
    public enum Outcome: Hashable, Sendable {
        /// Every byte arrived, the close was orderly, and Multipath TCP was in use to the end.
        case multipath
        case plain
        /// Every byte arrived, and an end was told of an error all the same.
        case unconfirmed
        /// No wrong byte, and both ends know that something is missing.
        case refused
        /// Wrong bytes, or too few without an error.
        case wrong
        case hang
    }

    public var outcome: Outcome
    /// Which ends are to blame: wrong bytes that it handed up, a success that was none, or no end.
    public var oursIsToBlame: Bool
    public var details: String
    /// Of an end of ours and a kernel's, only the kernel's was not over.
    public var kernelHangsAlone = false
    /// Wrong since the kernel's end sent some of its bytes twice, without mappings or checksums to tell.
    public var kernelRepeats = false
    /// The longest time between two bytes that arrived, seconds.
    public var silence: Double
    public var seconds: Double
    public var fallback: String?

    public var mark: String {
        switch outcome {
        case .multipath: "MP"
        case .plain: "TCP"
        case .unconfirmed: "unc"
        case .refused: "err"
        case .wrong: kernelRepeats ? "twice" : "WRONG"
        case .hang: kernelHangsAlone ? "khang" : "HANG"
        }
    }
}
