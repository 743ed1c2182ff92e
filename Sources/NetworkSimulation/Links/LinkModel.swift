import DequeModule
public import TransportValues

/// One direction of a link as a queueing discipline: packets go in with an instant, and come out when they arrive.
///
/// A packet waits in a drop-tail queue, takes its transmission time at the link's rate, then travels for the link's
/// delay. The model reads no clock: the same code runs in virtual time (``Network``) and in real time (`mptcp link`).
/// With the same seed and the same packets at the same instants it does exactly the same.
@safe
public struct LinkModel: ~Copyable {
    public enum Verdict: Hashable, Sendable {
        case accepted
        case dropped(LinkDrop)
    }

    // Not private: the compiler (6.3.1) breaks users of a noncopyable type whose storage names private types.
    struct Transmission: BitwiseCopyable {
        var end: MonotonicInstant
        var bytes: Int
    }

    struct Arrival: BitwiseCopyable {
        var slot: Int32
        var length: Int32
    }

    public private(set) var configuration: LinkConfiguration
    public private(set) var isUp = true
    public private(set) var counters = LinkCounters()
    /// Bytes of packets that the link holds at most, waiting and travelling; beyond it packets are dropped.
    public let memoryLimit: Int

    private var randomness: RandomSource
    private var pool: PacketPool
    /// Packets whose transmission has not ended, in order: the queue's occupancy.
    private var transmissions = UniqueDeque<Transmission>()
    private var queuedBytes = 0
    private var arrivals = EventQueue<Arrival>()
    private var heldBytes = 0
    private var busyUntil = MonotonicInstant(nanoseconds: .min)
    /// What the last transmission's length in whole nanoseconds left over, in bits × 10⁹ modulo the rate.
    private var remainder: Int64 = 0

    public init(_ configuration: LinkConfiguration, randomness: RandomSource, memoryLimit: Int = 512 << 20) {
        precondition((1...65_535).contains(configuration.mtu) && configuration.delay >= .zero)
        self.configuration = configuration
        self.randomness = randomness
        self.memoryLimit = memoryLimit
        pool = PacketPool(slotSize: configuration.mtu)
    }

    /// When the next packet arrives; `distantFuture` when the link is empty.
    public var nextDeparture: MonotonicInstant { arrivals.nextTime }

    /// Packets that the link holds, waiting or travelling.
    public var packetsHeld: Int { arrivals.count }

    /// Bytes that wait for the transmitter or are being transmitted at `now`.
    public mutating func queueLength(now: MonotonicInstant) -> Int {
        retire(now)
        return queuedBytes
    }

    /// Puts a packet onto the link. Its bytes are copied.
    public mutating func enqueue(_ packet: RawSpan, now: MonotonicInstant) -> Verdict {
        let length = packet.byteCount
        counters.offeredPackets += 1
        counters.offeredBytes += UInt64(length)
        guard isUp else { return drop(.linkDown) }
        guard length > 0, length <= configuration.mtu else { return drop(.badSize) }
        retire(now)
        guard hasQueueRoom(length) else { return drop(.queueFull) }
        guard heldBytes + length <= memoryLimit else { return drop(.memory) }

        let arrival = transmit(length, now: now) + configuration.delay
        if randomness.chance(configuration.loss) { return drop(.lost) }
        let slot = hold(packet)
        if randomness.chance(configuration.corruption) {
            counters.corrupted += 1
            pool.flip(bit: Int.random(in: 0..<(8 * length), using: &randomness), of: slot)
        }
        let isDuplicated = randomness.chance(configuration.duplication)
        var lateness = TimeSpan.zero
        if randomness.chance(configuration.reordering) {
            counters.reordered += 1
            lateness = configuration.reorderingDelay
        }
        arrivals.insert(Arrival(slot: slot, length: Int32(length)), at: arrival + lateness)
        if isDuplicated {
            counters.duplicated += 1
            arrivals.insert(Arrival(slot: hold(packet), length: Int32(length)), at: arrival)
        }
        return .accepted
    }

    /// Lends the next packet that has arrived by `now` to `body`; false when there is none.
    @inline(__always)
    public mutating func dequeue(now: MonotonicInstant, _ body: (RawSpan) -> Void) -> Bool {
        guard let (_, arrival) = arrivals.popFirst(dueAt: now) else { return false }
        let length = Int(arrival.length)
        counters.deliveredPackets += 1
        counters.deliveredBytes += UInt64(length)
        body(pool.bytes(of: arrival.slot, count: length))
        pool.release(arrival.slot)
        heldBytes -= length
        return true
    }

    /// Takes the link away, with every packet that is on it, or brings it back.
    public mutating func setUp(_ up: Bool, now: MonotonicInstant) {
        isUp = up
        if up { return }
        while let (_, arrival) = arrivals.popFirst(dueAt: .distantFuture) {
            _ = drop(.linkDown)
            pool.release(arrival.slot)
        }
        transmissions.removeAll()
        queuedBytes = 0
        heldBytes = 0
        busyUntil = now
        remainder = 0
    }

    /// Changes what the link does to packets offered from now on; those it holds keep their times.
    /// - Precondition: the MTU is no longer than the one the link was made with.
    public mutating func configure(_ configuration: LinkConfiguration) {
        precondition(configuration.mtu <= pool.slotSize && configuration.delay >= .zero)
        self.configuration = configuration
        remainder = 0
    }

    private mutating func drop(_ reason: LinkDrop) -> Verdict {
        counters[reason] += 1
        return .dropped(reason)
    }

    private func hasQueueRoom(_ length: Int) -> Bool {
        if transmissions.isEmpty { return true }
        if let limit = configuration.queueBytes, queuedBytes + length > limit { return false }
        if let limit = configuration.queuePackets, transmissions.count >= limit { return false }
        return true
    }

    private mutating func hold(_ packet: RawSpan) -> Int32 {
        let slot = pool.allocate()
        pool.fill(slot, with: packet)
        heldBytes += packet.byteCount
        return slot
    }

    /// Forgets the transmissions that have ended by `now`.
    private mutating func retire(_ now: MonotonicInstant) {
        while !transmissions.isEmpty, transmissions[0].end <= now {
            queuedBytes -= transmissions[0].bytes
            transmissions.removeFirst()
        }
    }

    /// Reserves the transmitter for a packet and returns when it will have been sent. Fractions of a nanosecond are
    /// carried from packet to packet, so that a busy link's rate is exact in the long run.
    private mutating func transmit(_ length: Int, now: MonotonicInstant) -> MonotonicInstant {
        if busyUntil < now {
            busyUntil = now
            remainder = 0
        }
        let rate = configuration.rate.bitsPerSecond
        if rate > 0 {
            let (whole, rest) = (Int64(length) * 8_000_000_000 + remainder).quotientAndRemainder(dividingBy: rate)
            busyUntil = busyUntil + TimeSpan(nanoseconds: whole)
            remainder = rest
        }
        if busyUntil > now {
            transmissions.append(Transmission(end: busyUntil, bytes: length))
            queuedBytes += length
            counters.peakQueueBytes = max(counters.peakQueueBytes, queuedBytes)
        }
        return busyUntil
    }
}
