public import TransportValues

/// What one direction of a link does to the packets it carries.
public struct LinkConfiguration: Hashable, Sendable {
    /// How fast the transmitter works. IP bytes count; there is no framing.
    public var rate: BitRate
    /// From the end of a packet's transmission to its arrival; not negative.
    public var delay: TimeSpan
    /// Bytes that may wait for the transmitter, the packet in transmission included; nil: no limit. A packet that
    /// finds the transmitter idle always enters.
    public var queueBytes: Int?
    /// Packets that may wait for the transmitter, the one in transmission included; nil: no limit.
    public var queuePackets: Int?
    /// Probability (0…1) that a packet is lost on the wire, after it has taken its transmission time.
    public var loss: Double
    /// Probability (0…1) that a packet arrives ``reorderingDelay`` late, so that later ones overtake it.
    public var reordering: Double
    public var reorderingDelay: TimeSpan
    /// Probability (0…1) that a packet arrives twice.
    public var duplication: Double
    /// Probability (0…1) that one bit of a packet is inverted.
    public var corruption: Double
    /// The longest packet that the link takes, in bytes (1…65,535).
    public var mtu: Int

    public init(
        rate: BitRate = .unlimited, delay: TimeSpan = .zero, queueBytes: Int? = nil, queuePackets: Int? = nil,
        loss: Double = 0, reordering: Double = 0, reorderingDelay: TimeSpan = .milliseconds(5),
        duplication: Double = 0, corruption: Double = 0, mtu: Int = 1500
    ) {
        self.rate = rate
        self.delay = delay
        self.queueBytes = queueBytes
        self.queuePackets = queuePackets
        self.loss = loss
        self.reordering = reordering
        self.reorderingDelay = reorderingDelay
        self.duplication = duplication
        self.corruption = corruption
        self.mtu = mtu
    }
}

/// Why a link did not carry a packet.
public enum LinkDrop: UInt8, CaseIterable, Sendable {
    /// The queue before the transmitter was full.
    case queueFull
    /// Lost on the wire, by ``LinkConfiguration/loss``.
    case lost
    /// The link was down when the packet was offered, or went down before it had arrived.
    case linkDown
    /// Longer than ``LinkConfiguration/mtu``, or empty.
    case badSize
    /// The link already held ``LinkModel/memoryLimit`` bytes of packets.
    case memory
}

/// What one direction of a link has done so far.
public struct LinkCounters: Hashable, Sendable {
    public var offeredPackets: UInt64 = 0
    public var offeredBytes: UInt64 = 0
    public var deliveredPackets: UInt64 = 0
    public var deliveredBytes: UInt64 = 0
    /// Copies that the link made itself.
    public var duplicated: UInt64 = 0
    public var corrupted: UInt64 = 0
    public var reordered: UInt64 = 0
    /// The most bytes that ever waited for the transmitter.
    public var peakQueueBytes: Int = 0
    private var drops: InlineArray<5, UInt64> = InlineArray(repeating: 0)

    public init() {}

    public subscript(_ reason: LinkDrop) -> UInt64 {
        get { drops[Int(reason.rawValue)] }
        set { drops[Int(reason.rawValue)] = newValue }
    }

    /// Packets dropped for any reason.
    public var droppedPackets: UInt64 { LinkDrop.allCases.reduce(0) { $0 + self[$1] } }

    /// Every counter under the name that reports give it.
    public var all: [(name: String, value: UInt64)] {
        [
            ("offeredPackets", offeredPackets), ("offeredBytes", offeredBytes),
            ("deliveredPackets", deliveredPackets), ("deliveredBytes", deliveredBytes),
            ("duplicated", duplicated), ("corrupted", corrupted), ("reordered", reordered),
            ("peakQueueBytes", UInt64(clamping: peakQueueBytes)),
        ] + LinkDrop.allCases.map { ("dropped.\($0)", self[$0]) }
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.all.elementsEqual(right.all) { $0.value == $1.value }
    }

    public func hash(into hasher: inout Hasher) {
        for counter in all { hasher.combine(counter.value) }
    }
}
