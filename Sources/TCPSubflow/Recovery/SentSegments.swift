import DequeModule
import TransportPolicies
import TransportValues

/// The queue of what was sent and not acknowledged, oldest first, without gaps, with RFC 6675's scoreboard on it.
///
/// Everything is counted in sequence numbers, a FIN as one. Look-ups are binary searches; marking walks only over what
/// changes; only a timeout walks over everything.
struct SentSegments: ~Copyable {
    var records: UniqueDeque<SentRecord>
    /// Selectively acknowledged ranges above SND.UNA.
    var sacked = IntervalSet()
    /// RFC 6675's pipe.
    private(set) var pipe = 0
    /// Sequence numbers presumed lost and not sent again since.
    private(set) var pendingLost = 0
    /// Start of the first record that needs retransmission; meaningless while ``pendingLost`` is 0.
    private(set) var firstPendingLost: Int64 = 0
    /// Everything below is acknowledged, or was judged by IsLost.
    var judgedEdge: Int64 = 0
    /// Sequence numbers that are selectively acknowledged.
    private(set) var sackedBytes = 0
    /// What RACK knows of deliveries (RFC 8985 §6.1).
    var rack = DeliveryRecord()
    /// What the acknowledgement at hand delivers.
    var collection = DeliveryRateEstimator.Collection()
    /// What was found lost and not yet reported.
    var losses = LossLog()
    /// Retransmissions in the order in which they were sent; entries that mean nothing any more leave at the front.
    var retransmissions: UniqueDeque<Retransmission>
    let maximumRecords: Int
    /// SACK blocks, or parts, that found no room.
    var refused: UInt64 = 0

    /// More disjoint selectively acknowledged ranges than this are not kept.
    static let maximumRanges = 4_096

    init(maximumRecords: Int) {
        records = UniqueDeque(minimumCapacity: 0)
        retransmissions = UniqueDeque(minimumCapacity: 0)
        self.maximumRecords = maximumRecords
    }

    var isEmpty: Bool { records.isEmpty }
    var isFull: Bool { records.count >= maximumRecords }

    mutating func append(_ record: SentRecord) {
        records.append(record)
        pipe &+= record.pipe
    }

    mutating func removeAll() {
        records = UniqueDeque(minimumCapacity: 0)
        retransmissions = UniqueDeque(minimumCapacity: 0)
        sacked = IntervalSet()
        pipe = 0
        sackedBytes = 0
        pendingLost = 0
    }

    /// The index of the record that holds `offset`.
    /// - Precondition: the queue is not empty.
    func index(of offset: Int64) -> Int {
        var low = 0
        var high = records.count
        while high &- low > 1 {
            let middle = (low &+ high) >> 1
            if records[middle].start <= offset { low = middle } else { high = middle }
        }
        return low
    }

    // MARK: Changes that keep the sums

    /// Changes the record at `index`, keeping the sums.
    @inline(__always)
    mutating func update(_ index: Int, _ change: (inout SentRecord) -> Void) {
        var record = records[index]
        count(record, -1)
        change(&record)
        count(record, 1)
        records[index] = record
    }

    @inline(__always)
    private mutating func count(_ record: SentRecord, _ sign: Int) {
        pipe &+= sign &* record.pipe
        if record.needsRetransmission { pendingLost &+= sign &* Int(record.span) }
        if record.marks.contains(.sacked) { sackedBytes &+= sign &* Int(record.span) }
    }

    /// Cuts the record at `index` so that one begins at `offset`, inside its payload. False when the queue is full.
    mutating func split(_ index: Int, at offset: Int64) -> Bool {
        let whole = records[index]
        guard offset > whole.start, offset < whole.end else { return true }
        // A hostile peer chooses where blocks end: past the bound nothing is cut any more.
        guard records.count < maximumRecords else {
            refused &+= 1
            return false
        }
        let head = Int32(truncatingIfNeeded: offset &- whole.start)
        var front = whole
        front.length = min(head, whole.length)
        front.marks.subtract([.fin, .push])
        var back = whole
        back.start = whole.start &+ Int64(front.length)
        back.length = whole.length &- front.length
        records[index] = front
        records.insert(back, at: index &+ 1)
        return true
    }

    // MARK: Cumulative acknowledgement

    /// What ``acknowledge(to:)`` took off the queue.
    struct Acknowledged: BitwiseCopyable {
        /// Payload bytes.
        var payload: Int64 = 0
        /// Sequence numbers that were not counted as delivered by SACK before.
        var delivered = 0
        /// When the oldest of it was sent, if it was sent once and not selectively acknowledged.
        var sampleSentAt: MonotonicInstant?
        /// Some of it was sent more than once.
        var hasRetransmission = false
    }

    /// Takes off everything below `offset`, which must not lie beyond the queue's end.
    mutating func acknowledge(to offset: Int64) -> Acknowledged {
        var result = Acknowledged()
        var isFirst = true
        while !records.isEmpty {
            let record = records[0]
            if record.start >= offset { break }
            let taken = min(record.end, offset) &- record.start
            if !record.marks.contains(.sacked) {
                result.delivered &+= Int(taken)
                noteDelivered(record, through: record.start &+ taken, bytes: Int(taken))
            }
            if record.marks.contains(.ambiguous) {
                result.hasRetransmission = true
            } else if isFirst, !record.marks.contains(.sacked) {
                result.sampleSentAt = record.sentAt
            }
            isFirst = false
            result.payload &+= min(taken, Int64(record.length))
            if record.end <= offset {
                count(record, -1)
                records.removeFirst(1)
            } else {
                update(0) {
                    $0.start = offset
                    $0.length &-= Int32(truncatingIfNeeded: taken)
                }
                break
            }
        }
        if result.hasRetransmission { result.sampleSentAt = nil }
        while !retransmissions.isEmpty, retransmissions[0].end <= offset { retransmissions.removeFirst(1) }
        if !sacked.isEmpty { sacked.removeAll(below: offset) }
        if pendingLost > 0, firstPendingLost < offset { findPendingLost(from: offset) }
        return result
    }

    mutating func findPendingLost(from offset: Int64) {
        guard pendingLost > 0, !records.isEmpty else { return }
        var index = index(of: offset)
        while index < records.count {
            let record = records[index]
            if record.needsRetransmission {
                firstPendingLost = record.start
                return
            }
            index &+= 1
        }
    }

    /// After a mark was set or taken off the first pending record.
    mutating func refreshPendingLost() {
        guard pendingLost > 0, !records.isEmpty else { return }
        findPendingLost(from: records[0].start)
    }

    mutating func noteLost(_ record: SentRecord, hadPending: Bool) {
        if !hadPending || record.start < firstPendingLost { firstPendingLost = record.start }
    }

    /// Marks the record at `index` as lost, unless it is acknowledged or lost already.
    mutating func markLost(_ index: Int) {
        let record = records[index]
        guard record.marks.isDisjoint(with: [.sacked, .lost]) else { return }
        let hadPending = pendingLost > 0
        update(index) { $0.marks.insert(.lost) }
        losses.add(record)
        if records[index].needsRetransmission { noteLost(record, hadPending: hadPending) }
    }

    /// Marks at most `limit` bytes at the front as lost, to be sent again even if that happened before.
    mutating func markHeadLost(limit: Int) {
        guard !records.isEmpty, !records[0].marks.contains(.sacked) else { return }
        let head = records[0]
        if Int64(head.length) > Int64(limit) { _ = split(0, at: head.start &+ Int64(limit)) }
        let hadPending = pendingLost > 0
        update(0) {
            $0.marks.insert(.lost)
            $0.marks.remove(.retransmitted)
        }
        noteLost(records[0], hadPending: hadPending)
    }

    /// A timeout: everything that is not selectively acknowledged is lost and none of it on its way.
    mutating func markAllLost() {
        retransmissions = UniqueDeque(minimumCapacity: 0)
        for index in 0..<records.count {
            let record = records[index]
            if record.marks.contains(.sacked) { continue }
            if !record.needsRetransmission { losses.add(record) }
            update(index) {
                $0.marks.insert(.lost)
                $0.marks.remove(.retransmitted)
            }
        }
        findPendingLost(from: records.isEmpty ? 0 : records[0].start)
    }

    /// A timeout whose flight is partly younger than `limit`: the head is lost, and what was sent before that instant.
    ///
    ///= RFC 8985 §6.3: upon RTO a segment is marked lost if it is the first, or its time has passed
    mutating func markLost(sentBefore limit: MonotonicInstant) {
        for index in 0..<records.count {
            let record = records[index]
            if record.marks.contains(.sacked) || (index > 0 && record.sentAt > limit) { continue }
            if !record.needsRetransmission { losses.add(record) }
            update(index) {
                $0.marks.insert(.lost)
                $0.marks.remove(.retransmitted)
            }
        }
        findPendingLost(from: records.isEmpty ? 0 : records[0].start)
    }

    /// Takes back every mark of loss that has not led to a retransmission: the recovery was spurious.
    mutating func forgetLosses() {
        for index in 0..<records.count where records[index].needsRetransmission {
            update(index) { $0.marks.remove(.lost) }
        }
        judgedEdge = 0
    }

    /// `length` bytes (and a FIN, if `fin`) from `offset` on go out again.
    mutating func retransmitted(
        _ offset: Int64, length: Int, fin: Bool, stamp: DeliveryRateEstimator.Stamp, now: MonotonicInstant
    ) {
        guard !records.isEmpty else { return }
        var index = index(of: offset)
        if records[index].start < offset {
            if offset >= records[index].end { return }
            if split(index, at: offset) { index &+= 1 }
        }
        let end = offset &+ Int64(length) &+ (fin ? 1 : 0)
        if end < records[index].end { _ = split(index, at: end) }
        update(index) {
            $0.marks.insert([.retransmitted, .ambiguous])
            $0.sentAt = now
            $0.stamp = stamp
        }
        retransmissions.append(Retransmission(start: records[index].start, end: records[index].end, sentAt: now))
        if pendingLost > 0, firstPendingLost <= offset { findPendingLost(from: records[index].end) }
    }
}
