import TransportValues

/// Addresses that peers have announced and that connections here join: one that never answers is not sent SYNs without
/// end, however many connections name it (RFC 6181 §3: a peer may announce a third party's address).
///
/// An address that has completed the handshake of a join is left alone; any other may be tried so often a minute, and all
/// such addresses together. Bounded: what has had no attempt for a minute is forgotten.
struct JoinTargets {
    private struct Record {
        /// The minute that ``attempts`` counts in begins here.
        var since: MonotonicInstant
        var attempts: Int
        /// Forgotten then; nil: has not answered.
        var answeredUntil: MonotonicInstant?
    }

    static let limit = 1024
    static let window = TimeSpan.seconds(60 as Int64)
    static let trust = TimeSpan.seconds(3600 as Int64)

    private let perAddress: Int
    private let inAll: Int
    private var records: [IPAddress: Record] = [:]
    private var total = 0
    private var totalSince: MonotonicInstant

    init(perAddress: Int, inAll: Int, now: MonotonicInstant) {
        self.perAddress = max(0, perAddress)
        self.inAll = max(0, inAll)
        totalSince = now
    }

    var count: Int { records.count }

    /// Whether a join to this address may begin now; it counts as begun.
    mutating func permits(_ address: IPAddress, now: MonotonicInstant) -> Bool {
        if let until = records[address]?.answeredUntil, now < until { return true }
        if now - totalSince >= Self.window {
            total = 0
            totalSince = now
        }
        guard total < inAll else { return false }
        var record = records[address] ?? Record(since: now, attempts: 0, answeredUntil: nil)
        if now - record.since >= Self.window { record = Record(since: now, attempts: 0, answeredUntil: nil) }
        guard record.attempts < perAddress else { return false }
        guard records[address] != nil || makeRoom(now: now) else { return false }
        record.attempts += 1
        record.answeredUntil = nil
        records[address] = record
        total += 1
        return true
    }

    mutating func noteAnswered(_ address: IPAddress, now: MonotonicInstant) {
        guard records[address] != nil || makeRoom(now: now) else { return }
        records[address] = Record(since: now, attempts: 0, answeredUntil: now + Self.trust)
    }

    private mutating func makeRoom(now: MonotonicInstant) -> Bool {
        if records.count < Self.limit { return true }
        records = records.filter { _, record in
            record.answeredUntil.map { now < $0 } ?? (now - record.since < Self.window)
        }
        // Those that answered can do so again.
        if records.count >= Self.limit { records = records.filter { $0.value.answeredUntil == nil } }
        return records.count < Self.limit
    }
}
