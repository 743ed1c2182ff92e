import TransportValues

/// The sending direction at the data level: one ring, freed by DATA_ACK only (RFC 8684 §3.3.2).
struct SendStream: ~Copyable {
    var ring = ByteRing(start: 1)
    /// One past the last byte that the application wrote; the DATA_FIN's place.
    private(set) var end: Int64 = 1
    /// The first byte that was never sent on any subflow.
    private(set) var next: Int64 = 1
    /// The first byte that the peer has not acknowledged at the data level.
    private(set) var acknowledged: Int64 = 1
    /// The peer's window: the first byte that must not be sent (RFC 8684 §3.3.5). Never moves back.
    private(set) var peerEdge: Int64 = 1
    /// The widest window that the peer ever gave: sender's silly-window avoidance (RFC 9293 §3.8.6.2.1).
    private(set) var largestWindow: Int = 0
    var finish: SendEnd = .open
    /// Data that goes out once more, on another subflow.
    var reinjections = IntervalSet()
    let limit: Int
    /// The most bytes that wait without having been sent once: what lies longer has left the cache when its turn comes,
    /// and only delays what the application says next.
    let unsentLimit: Int

    init(limit: Int, unsentLimit: Int) {
        self.limit = max(limit, 4096)
        self.unsentLimit = min(max(unsentLimit, 4096), self.limit)
    }

    /// Bytes that ``write(_:)`` would take.
    var room: Int {
        finish == .open ? max(0, min(limit - Int(end - acknowledged), unsentLimit - Int(end - next))) : 0
    }

    var hasUnsent: Bool { next < end }

    /// Whether taking `count` bytes more needs ``reclaim(below:)`` first.
    func needsReclaim(_ count: Int) -> Bool {
        // What ``write(_:)`` may fill ends before a ring whose size was rounded up does.
        end + Int64(min(count, room)) > min(ring.limit, ring.start + 2 * Int64(limit))
    }

    //= RFC 8684 §3.3.2, §3.3.6 nothing is freed before DATA_ACK and before every subflow that carried it has it acknowledged
    /// Frees what is acknowledged, but for the bytes from `pinned` on, which a subflow may still have to repeat.
    mutating func reclaim(below pinned: Int64?) {
        ring.discard(below: min(acknowledged, pinned ?? acknowledged))
    }

    /// Copies what fits; pinned bytes may double the ring, never more: then writing waits for the slow subflow.
    mutating func write(_ bytes: RawSpan) -> Int {
        let count = min(bytes.byteCount, room, max(0, 2 * limit - Int(end - ring.start)))
        if count == 0 { return 0 }
        ring.reserve(Int(end - ring.start) + count, preserving: ring.start..<end)
        ring.write(bytes.extracting(first: count), at: end)
        end += Int64(count)
        return count
    }

    mutating func sent(through offset: Int64) { next = max(next, offset) }

    /// The first byte after the stream, counting a DATA_FIN that was sent.
    var sentEnd: Int64 { finish == .sent || finish == .acknowledged ? end + 1 : next }

    /// Whether the ring is full of bytes that only a slow subflow still needs.
    var isPinned: Bool { room > 0 && Int(end - ring.start) >= 2 * limit }

    /// Takes a DATA_ACK that was checked against ``sentEnd``. Returns the newly acknowledged bytes.
    mutating func acknowledge(upTo offset: Int64) -> Int64 {
        if finish == .sent, offset > end { finish = .acknowledged }
        let bytes = min(offset, end)
        guard bytes > acknowledged else { return 0 }
        let count = bytes - acknowledged
        acknowledged = bytes
        if next < bytes { next = bytes }
        reinjections.removeAll(below: bytes)
        return count
    }

    //= RFC 8684 §3.3.5, §4 the window changes only when its right edge (DATA_ACK + window) grows: the largest counts
    mutating func widen(to edge: Int64, window: Int) {
        largestWindow = max(largestWindow, window)
        peerEdge = max(peerEdge, edge)
    }

    /// Queues a range for another subflow, without what is acknowledged or was never sent.
    mutating func reinject(_ range: Range<Int64>) -> Bool {
        let low = max(range.lowerBound, acknowledged)
        let high = min(range.upperBound, next)
        guard low < high else { return false }
        return reinjections.insert(low..<high, limit: 1024)
    }

    mutating func releaseMemory() { ring.release() }
}

extension RawSpan {
    @_lifetime(copy self)
    func extracting(first count: Int) -> RawSpan { extracting(0..<Swift.min(count, byteCount)) }
}
