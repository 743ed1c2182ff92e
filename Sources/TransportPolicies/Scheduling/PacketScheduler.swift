/// A rule by which data is given to subflows: snapshots go in, a decision comes out. What it remembers between two
/// decisions lives in itself.
public protocol SchedulingPolicy: Sendable {
    /// The ``PathSnapshot/index`` of the path to send on next; nil: on none now, although one may have room. It is asked
    /// again when something was acknowledged or written.
    /// - Parameter paths: every path that is ready, those without room too.
    mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int?
}

/// The schedulers by name.
public enum SchedulerAlgorithm: String, CaseIterable, Sendable {
    case earliest
    case lowestRTT = "lowest-rtt"
    case roundRobin = "round-robin"
    case weighted
    case redundant
    case blest
    case ecf
    case sttf

    /// One line for help texts.
    public var summary: String {
        switch self {
        case .earliest:
            "where the data arrives first, waiting for a faster path where that is sooner or a slow one would block it; the default"
        case .lowestRTT: "the path with the lowest round trip that has room in its window"
        case .roundRobin: "each path with room in turn"
        case .weighted: "shares by weight, as far as the paths have room"
        case .redundant: "everything on every path: the lowest delay at the price of the sum"
        case .blest: "lowest-rtt, but a slow path waits where it would block the peer's window (Ferlin et al., 2016)"
        case .ecf: "earliest completion first: waits for the fast path where that ends sooner (Lim et al., 2017)"
        case .sttf: "shortest transfer time first: counts what must go out in later round trips (Hurtig et al., 2018)"
        }
    }
}

/// Decides which subflow carries the next data: one of the policies by name, or the program's own.
public enum PacketScheduler: Sendable {
    case earliest(EarliestScheduler)
    case lowestRTT(LowestRTTScheduler)
    case roundRobin(RoundRobinScheduler)
    case weighted(WeightedScheduler)
    case blest(BLESTScheduler)
    case ecf(ECFScheduler)
    case sttf(STTFScheduler)
    /// New data on the path that is fastest; the engine repeats it on the others.
    case redundant(LowestRTTScheduler)
    case custom(any SchedulingPolicy)

    public init(_ algorithm: SchedulerAlgorithm) {
        self =
            switch algorithm {
            case .earliest: .earliest(EarliestScheduler())
            case .lowestRTT: .lowestRTT(LowestRTTScheduler())
            case .roundRobin: .roundRobin(RoundRobinScheduler())
            case .weighted: .weighted(WeightedScheduler())
            case .redundant: .redundant(LowestRTTScheduler())
            case .blest: .blest(BLESTScheduler())
            case .ecf: .ecf(ECFScheduler())
            case .sttf: .sttf(STTFScheduler())
            }
    }

    /// Everything goes out on every path.
    public var isRedundant: Bool {
        if case .redundant = self { return true }
        return false
    }

    public mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
        switch self {
        case .earliest(var policy):
            defer { self = .earliest(policy) }
            return policy.choose(paths, for: work)
        case .lowestRTT(var policy), .redundant(var policy):
            return policy.choose(paths, for: work)
        case .roundRobin(var policy):
            defer { self = .roundRobin(policy) }
            return policy.choose(paths, for: work)
        case .weighted(var policy):
            return policy.choose(paths, for: work)
        case .blest(var policy):
            defer { self = .blest(policy) }
            return policy.choose(paths, for: work)
        case .ecf(var policy):
            defer { self = .ecf(policy) }
            return policy.choose(paths, for: work)
        case .sttf(var policy):
            return policy.choose(paths, for: work)
        case .custom(var policy):
            defer { self = .custom(policy) }
            return policy.choose(paths, for: work)
        }
    }
}

extension Span<PathSnapshot> {
    /// The best class that any path is in (``PathSnapshot/preference``).
    var bestPreference: Int {
        var best = Int.max
        for position in indices { best = Swift.min(best, self[position].preference) }
        return best
    }

    /// The path of the best class that goes before all others which meet `condition`.
    func first(of preference: Int, where condition: (PathSnapshot) -> Bool) -> PathSnapshot? {
        var best: PathSnapshot?
        for position in indices {
            let path = self[position]
            guard path.preference == preference, condition(path) else { continue }
            if let current = best, !path.precedes(current) { continue }
            best = path
        }
        return best
    }
}
