import TransportPolicies
import TransportValues

/// One emission that is not yet acknowledged: a range of the subflow's sequence space, perhaps a super-frame, with the
/// one mapping that covers its payload. 88 bytes.
struct SentRecord: BitwiseCopyable {
    struct Marks: OptionSet, BitwiseCopyable {
        var rawValue: UInt8
        /// Acknowledged selectively.
        static var sacked: Marks { Marks(rawValue: 1) }
        /// Presumed lost (RFC 6675 IsLost, or a timeout).
        static var lost: Marks { Marks(rawValue: 2) }
        /// Sent again since it was last presumed lost.
        static var retransmitted: Marks { Marks(rawValue: 4) }
        /// Sent more than once, ever: it gives no round-trip sample (Karn, RFC 6298 §3).
        static var ambiguous: Marks { Marks(rawValue: 8) }
        /// A FIN stands behind the payload.
        static var fin: Marks { Marks(rawValue: 16) }
        /// PSH stood on the last of it, and is to be repeated.
        static var push: Marks { Marks(rawValue: 32) }
    }

    /// Stream offset of the first byte.
    var start: Int64
    /// When it was last sent.
    var sentAt: MonotonicInstant
    var mapping: SentMapping
    /// The delivery rate estimator's counters when it was last sent.
    var stamp = DeliveryRateEstimator.Stamp()
    /// Payload bytes.
    var length: Int32
    var marks: Marks

    /// Sequence numbers that it takes.
    var span: Int64 { Int64(length) &+ (marks.contains(.fin) ? 1 : 0) }
    var end: Int64 { start &+ span }

    /// Octets that RFC 6675's SetPipe counts for it.
    var pipe: Int {
        if marks.contains(.sacked) { return 0 }
        let copies = (marks.contains(.lost) ? 0 : 1) &+ (marks.contains(.retransmitted) ? 1 : 0)
        return Int(span) &* copies
    }

    /// Presumed lost and not sent again since.
    var needsRetransmission: Bool { marks.intersection([.sacked, .lost, .retransmitted]) == .lost }

    /// Connection-level offset of the first byte.
    var dataOffset: Int64 { mapping.dataOffset &+ (start &- mapping.subflowOffset) }

    func range(from offset: Int64, limit: Int) -> RetransmissionRange {
        let skipped = offset &- start
        let rest = Int(Int64(length) &- skipped)
        let count = min(rest, max(1, limit))
        return RetransmissionRange(
            subflowOffset: offset, length: count, mapping: mapping, dataOffset: dataOffset &+ skipped,
            fin: marks.contains(.fin) && count == rest, push: marks.contains(.push) && count == rest)
    }
}
