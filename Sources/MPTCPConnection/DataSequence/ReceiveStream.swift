import TransportValues

/// The receiving direction at the data level: bytes go to their place in one ring, in order or not.
struct ReceiveStream: ~Copyable {
    private(set) var ring = ByteRing(start: 1)
    /// RCV.NXT of the data level: what a DATA_ACK says; counts a consumed DATA_FIN.
    private(set) var next: Int64 = 1
    /// The next byte that the application reads.
    private(set) var readPosition: Int64 = 1
    private var outOfOrder = IntervalSet()
    /// Where the peer's DATA_FIN stands, once known.
    private(set) var finOffset: Int64?
    /// Right edge of the window that the peer was told (RFC 8684 §3.3.4: never shrinks).
    private(set) var edge: Int64
    /// The window's present size; grows by use up to ``maximum``.
    private(set) var limit: Int
    let maximum: Int
    private var tuningStart = MonotonicInstant.zero
    private var tuningRead: Int64 = 0

    init(initial: Int, maximum: Int) {
        self.maximum = max(maximum, 4096)
        limit = min(max(initial, 4096), self.maximum)
        edge = 1 + Int64(limit)
    }

    var isFinished: Bool { finOffset.map { next > $0 } ?? false }
    var hasOutOfOrder: Bool { !outOfOrder.isEmpty }
    var firstOutOfOrder: Range<Int64>? { outOfOrder.first }
    var lastOutOfOrder: Range<Int64>? { outOfOrder.last }
    var outOfOrderCount: Int { outOfOrder.ranges.count }
    /// Bytes that can be read now.
    var available: Int { Int((isFinished ? next - 1 : next) - readPosition) }

    enum Placement { case stored, duplicate, outsideWindow, full }

    /// Whether the bytes may be kept: inside the window that the peer was told.
    func admits(_ range: Range<Int64>, slack: Int) -> Bool {
        range.upperBound <= edge + Int64(slack) && (finOffset.map { range.upperBound <= $0 } ?? true)
    }

    //= RFC 8684 §3.3.1 what came first for a number is delivered, whatever comes later for it is ignored
    /// Copies bytes to their place; what is there already stays as it first came.
    mutating func place(_ bytes: RawSpan, at offset: Int64, slack: Int) -> Placement {
        let range = offset..<offset + Int64(bytes.byteCount)
        if range.upperBound <= next { return .duplicate }
        guard admits(range, slack: slack) else { return .outsideWindow }
        reserve(through: range.upperBound)
        let low = max(range.lowerBound, next)
        if low == next, outOfOrder.isEmpty {
            ring.write(bytes.extracting(Int(low - offset)..<bytes.byteCount), at: low)
            next = range.upperBound
            return .stored
        }
        return placeOutOfOrder(bytes, range: low..<range.upperBound, origin: offset)
    }

    private mutating func placeOutOfOrder(_ bytes: RawSpan, range: Range<Int64>, origin: Int64) -> Placement {
        if outOfOrder.contains(range) { return .duplicate }
        var position = range.lowerBound
        while position < range.upperBound {
            if let held = outOfOrder.range(containing: position) {
                position = held.upperBound
                continue
            }
            var end = range.upperBound
            for held in outOfOrder.ranges where held.lowerBound > position {
                end = min(end, held.lowerBound)
                break
            }
            ring.write(bytes.extracting(Int(position - origin)..<Int(end - origin)), at: position)
            position = end
        }
        // A peer that leaves a hole behind every byte is stopped here; it must resend.
        guard outOfOrder.insert(range, limit: 4096) else { return .full }
        if let first = outOfOrder.popFirst(startingUpTo: next) { next = max(next, first.upperBound) }
        return .stored
    }

    private mutating func reserve(through end: Int64) {
        if end <= ring.limit { return }
        let live = max(next, outOfOrder.last?.upperBound ?? next)
        ring.reserve(Int(end - ring.start), preserving: ring.start..<max(ring.start, min(live, ring.limit)))
    }

    /// Notes where the peer's stream ends. Returns false when that contradicts what is known.
    mutating func noteFin(at offset: Int64) -> Bool {
        if let known = finOffset { return known == offset }
        if offset < next { return false }
        if let last = outOfOrder.last, last.upperBound > offset { return false }
        finOffset = offset
        return true
    }

    /// The end that a DATA_FIN told does not count any more: the peer's direction ends with FIN now.
    mutating func forgetFin() {
        if !isFinished { finOffset = nil }
    }

    /// Consumes the DATA_FIN (or FIN) when everything before it is here. True when it was consumed now.
    mutating func consumeFin() -> Bool {
        guard let finOffset, next == finOffset else { return false }
        next += 1
        return true
    }

    /// Copies what is in order into `target` from `position` on; returns the number of bytes.
    mutating func read(into target: inout MutableRawSpan) -> Int {
        let count = min(available, target.byteCount)
        if count == 0 { return 0 }
        ring.copy(at: readPosition, count: count, into: &target, at: 0)
        consume(count)
        return count
    }

    /// The same without consuming them.
    func peek(into target: inout MutableRawSpan) -> Int {
        let count = min(available, target.byteCount)
        ring.copy(at: readPosition, count: count, into: &target, at: 0)
        return count
    }

    /// - Precondition: `count` is at most ``available``.
    mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= available)
        readPosition += Int64(count)
        tuningRead += Int64(count)
        ring.discard(below: readPosition)
    }

    /// Opens the window when a round trip's worth of reading fills half of it: what the application takes in one round
    /// trip is what may be on the way in the next.
    mutating func tune(roundTrip: TimeSpan, now: MonotonicInstant) {
        guard now - tuningStart >= roundTrip else { return }
        if tuningRead * 2 >= Int64(limit) {
            limit = min(maximum, max(limit, Int(min(tuningRead * 4, Int64(maximum)))))
        }
        tuningStart = now
        tuningRead = 0
    }

    /// The right edge that may be told now. Receiver's silly-window avoidance (RFC 9293 §3.8.6.2.2): it moves only by
    /// a full segment or half the buffer.
    func edgeToAdvertise(segment: Int) -> Int64 {
        let room = readPosition + Int64(limit)
        return room - edge >= Int64(min(segment, limit / 2)) ? room : edge
    }

    /// Bytes to put into the window field, counted from the DATA_ACK.
    mutating func advertise(segment: Int) -> Int {
        //= RFC 8684 §3.3.4 the right edge of the window never moves back
        edge = max(edge, edgeToAdvertise(segment: segment))
        return Int(max(0, edge - next))
    }

    /// Whether a window update is worth an ACK of its own: the window has shrunk to under half and can double.
    func wantsUpdate(segment: Int) -> Bool {
        let fresh = edgeToAdvertise(segment: segment)
        let told = edge - next
        return fresh - edge >= Int64(min(2 * segment, limit / 2)) && told <= Int64(limit) / 2
    }

    mutating func releaseMemory() {
        if available == 0 { ring.release() }
    }
}
