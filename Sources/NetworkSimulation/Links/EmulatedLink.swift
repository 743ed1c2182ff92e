import DequeModule
public import TransportValues

/// Both directions of a link, with the boxes that stand at its end b. Like ``LinkModel`` it reads no clock, so it is
/// the same in the simulator and in real time.
public struct EmulatedLink: ~Copyable {
    struct Handover {
        var bytes: [UInt8]
        var time: MonotonicInstant
    }

    // Not public: setters of public noncopyable properties crash the compiler (6.3.1).
    /// From end a to end b.
    var forward: LinkModel
    var backward: LinkModel
    private var chain: MiddleboxChain?
    /// Packets that have passed the boxes on their way to end b.
    private var ready = UniqueDeque<Handover>()

    /// - Parameter boxes: in their order from end a to end b; the randomness is theirs.
    public init(
        forward: consuming LinkModel, backward: consuming LinkModel, boxes: [Middlebox] = [], randomness: RandomSource
    ) {
        self.forward = forward
        self.backward = backward
        chain = boxes.isEmpty ? nil : MiddleboxChain(boxes, randomness: randomness)
    }

    /// When there is something to hand over or to do; in the past when it is overdue.
    public var nextDeparture: MonotonicInstant {
        let link = min(forward.nextDeparture, backward.nextDeparture)
        guard let chain else { return link }
        return min(link, min(chain.deadline, ready.isEmpty ? .distantFuture : ready[0].time))
    }

    /// Packets that each box has dropped, changed or made, in the boxes' order.
    public var interventions: [UInt64] { chain?.interventions ?? [] }

    /// Replaces the boxes; what they held or knew is gone.
    public mutating func install(_ boxes: [Middlebox], randomness: RandomSource) {
        chain = boxes.isEmpty ? nil : MiddleboxChain(boxes, randomness: randomness)
    }

    public mutating func enqueue(_ packet: RawSpan, from end: LinkEnd, now: MonotonicInstant) {
        if end == .a {
            _ = forward.enqueue(packet, now: now)
        } else if chain == nil {
            _ = backward.enqueue(packet, now: now)
        } else {
            chain!.handle(packet, to: .a, now: now)
            distribute(now)
        }
    }

    /// Lends the next packet that has arrived at `end` by `now` to `body`; false when there is none.
    @inline(__always)
    public mutating func dequeue(to end: LinkEnd, now: MonotonicInstant, _ body: (RawSpan) -> Void) -> Bool {
        if chain != nil { return dequeueThroughBoxes(to: end, now: now, body) }
        return end == .a ? backward.dequeue(now: now, body) : forward.dequeue(now: now, body)
    }

    private mutating func dequeueThroughBoxes(
        to end: LinkEnd, now: MonotonicInstant, _ body: (RawSpan) -> Void
    ) -> Bool {
        if chain!.deadline <= now {
            chain!.advance(to: now)
            distribute(now)
        }
        if end == .a { return backward.dequeue(now: now, body) }
        while ready.isEmpty {
            var boxes = chain.take()!
            let arrived = forward.dequeue(now: now) { boxes.handle($0, to: .b, now: now) }
            chain = boxes
            if !arrived { return false }
            distribute(now)
        }
        let packet = ready.removeFirst()
        unsafe body(packet.bytes.span.bytes)
        return true
    }

    private mutating func distribute(_ now: MonotonicInstant) {
        for (bytes, end) in chain!.takeFinished() {
            if end == .b {
                ready.append(Handover(bytes: bytes, time: now))
            } else {
                _ = unsafe backward.enqueue(bytes.span.bytes, now: now)
            }
        }
    }

    /// What the direction that leaves `end` has done.
    public func counters(from end: LinkEnd) -> LinkCounters { end == .a ? forward.counters : backward.counters }

    /// Takes the link away, with every packet that is on it, or brings it back. Boxes keep what they know.
    public mutating func setUp(_ up: Bool, now: MonotonicInstant) {
        forward.setUp(up, now: now)
        backward.setUp(up, now: now)
        if !up { ready.removeAll() }
    }
}
