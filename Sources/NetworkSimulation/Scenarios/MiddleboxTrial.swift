public import MPTCPConnection
public import TransportValues

/// One transfer through middleboxes: a cell of the table and a seed.
public struct MiddleboxTrial: Sendable, CustomStringConvertible {
    public enum Outcome: Hashable, Sendable {
        /// Every byte arrived, the close was orderly, and Multipath TCP was in use to the end.
        case multipath
        /// The same as plain TCP.
        case plain
        /// Every byte and the end of the stream arrived, but a sender was told of an error: its confirmation was lost.
        case unconfirmed(String)
        /// No wrong byte was handed up, and the application was told of an error.
        case refused(String)
        case wrongByte(String)
        case hang(String)
        case broken(String)
    }

    public var box: MiddleboxCase
    public var mode: MultipathMode
    /// Which end is inside: a is the client's.
    public var inside: LinkEnd
    public var pathCount: Int
    public var seed: UInt64
    public var bytes: Int64 = 1_000_000
    /// Virtual time that a transfer may take: the pathless and user time-outs and some time to work.
    public var timeLimit = TimeSpan.seconds(300 as Int64)

    public init(box: MiddleboxCase, mode: MultipathMode, inside: LinkEnd, pathCount: Int, seed: UInt64) {
        self.box = box
        self.mode = mode
        self.inside = inside
        self.pathCount = pathCount
        self.seed = seed
    }

    public var description: String {
        "\(box.name), \(mode), \(inside == .a ? "client" : "server") inside, \(pathCount) path(s), seed \(seed)"
    }

    /// The seed chooses the links, who sends, the family, and on which of two paths the boxes stand.
    public var scenario: TwoPathScenario {
        var randomness = RandomSource(seed: seed &* 0x9e37_79b9 &+ 17)
        let isIPv6 = seed % 4 == 3
        let affected: Set<Int> = pathCount == 1 ? [0] : [[0], [1], [0, 1]][Int(seed / 3 % 3)]
        let paths = (0..<pathCount).map { path in
            var spec = PathSpec(
                rate: .megabits(Int64.random(in: 5...50, using: &randomness)),
                roundTrip: .milliseconds(Int64.random(in: 5...60, using: &randomness)),
                loss: seed % 2 == 1 ? 0.005 : 0)
            guard affected.contains(path) else { return spec }
            spec.boxes = box.boxes(inside, path, isIPv6)
            box.adjust?(&spec)
            return spec
        }
        let exchange: TwoPathScenario.Exchange = [.upload, .download, .both][Int(seed % 3)]
        var scenario = TwoPathScenario(
            seed: seed, paths: paths, bytes: bytes, exchange: exchange, ipv6: isIPv6, checksum: box.damages,
            multipath: mode)
        // Version 0 proves no announcement, and each path here is a subnet of its own.
        scenario.client.acceptUnprovenAddresses = true
        if box.damages {
            scenario.client.refusesDamage = true
            scenario.server.refusesDamage = true
        }
        scenario.tellsStreamsByPort = false
        if box.hidesServer, inside == .b, affected.contains(0) {
            scenario.serverAddress = MiddleboxCase.outside(path: 0, isIPv6: isIPv6)
        }
        scenario.timeLimit = timeLimit
        return scenario
    }

    /// Whether the outcome is one that this row may have.
    public func accepts(_ outcome: Outcome) -> Bool {
        switch outcome {
        case .multipath, .plain: true
        case .unconfirmed: box.tolerance != .intactOnly
        case .refused: box.tolerance == .refusal
        case .wrongByte, .hang, .broken: false
        }
    }

    /// - Parameter tap: told of every packet, see ``Network/tap``.
    public func run(
        tap: ((RawSpan, Network.Sighting) -> Void)? = nil
    ) -> (outcome: Outcome, result: ScenarioOutcome) {
        let result = scenario.run(tap: tap)
        return (Self.judge(result), result)
    }

    private static func judge(_ result: ScenarioOutcome) -> Outcome {
        if result.streams.contains(where: { $0.firstMismatch != nil }) {
            return .wrongByte(result.streams.compactMap(\.problem).joined(separator: "; "))
        }
        switch result.end {
        case .violated: return .broken(result.problems.first ?? "")
        case .timeReached, .idle: return .hang(result.problems.joined(separator: "; "))
        case .conditionMet: break
        }
        if result.isIntact {
            return result.streams.allSatisfy { $0.snapshot?.isMultipath == true } ? .multipath : .plain
        }
        // Both ends must know: one that believes all is well although the other lost bytes has been lied to.
        let problems = result.streams.compactMap(\.problem)
        if result.streams.isEmpty { return .broken(result.problems.first ?? "") }
        if let liar = result.streams.first(where: { $0.problem == nil }), liar.sent > 0,
            result.streams.contains(where: { $0.isClient != liar.isClient && $0.received < $0.plan.expects })
        {
            return .wrongByte("one end believes that all arrived: " + problems.joined(separator: "; "))
        }
        let allArrived = result.streams.allSatisfy { $0.received == $0.plan.expects && $0.peerFinished }
        return allArrived ? .unconfirmed(problems.joined(separator: "; ")) : .refused(problems.joined(separator: "; "))
    }
}
