public import TransportValues

/// Both directions of one path between two hosts, and what happens to it in time.
public struct PathSpec: Sendable {
    /// From the client to the server.
    public var forward: LinkConfiguration
    /// From the server to the client.
    public var backward: LinkConfiguration
    /// What stands in the path, in the order from the client to the server.
    public var boxes: [Middlebox] = []
    /// Times, from the beginning, in which the path is away: what is on it is lost, and the hosts are not told.
    public var outages: [Range<MonotonicInstant>] = []
    /// When the client's interface is removed for good, with its host being told; nil: never.
    public var removedAt: MonotonicInstant?

    public init(forward: LinkConfiguration, backward: LinkConfiguration) {
        self.forward = forward
        self.backward = backward
    }

    /// The same in both directions. Without a queue limit given, a path's queue holds 100 ms at its rate, at least
    /// 64 KB.
    public init(
        rate: BitRate, roundTrip: TimeSpan, loss: Double = 0, reordering: Double = 0, duplication: Double = 0,
        corruption: Double = 0, queueBytes: Int? = nil, mtu: Int = 1500
    ) {
        let queue = queueBytes ?? max(64_000, Int(rate.bitsPerSecond / 80))
        let configuration = LinkConfiguration(
            rate: rate, delay: roundTrip / 2, queueBytes: queue, loss: loss, reordering: reordering,
            reorderingDelay: roundTrip / 4 + .milliseconds(1), duplication: duplication, corruption: corruption,
            mtu: mtu)
        self.init(forward: configuration, backward: configuration)
    }
}
