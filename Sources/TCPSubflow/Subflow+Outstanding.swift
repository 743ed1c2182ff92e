import DequeModule
public import TransportValues

/// Mapped payload that was sent and is acknowledged neither cumulatively nor selectively.
public struct OutstandingPiece: BitwiseCopyable, Sendable {
    /// Connection-level offset of the first byte.
    public var dataOffset: Int64
    /// Bytes.
    public var length: Int
    /// When it was last sent.
    public var sentAt: MonotonicInstant
    /// Presumed lost, at least once.
    public var wasLost: Bool
    /// Stream offset of the byte after it on this subflow.
    public var end: Int64
}

extension Subflow {
    /// The first outstanding piece that reaches beyond stream offset `from`; looks at 64 records at the most.
    public borrowing func firstOutstanding(from: Int64) -> OutstandingPiece? {
        guard !sent.isEmpty else { return nil }
        let first = sent.index(of: from)
        for index in first..<min(first + 64, sent.records.count) {
            let record = sent.records[index]
            guard record.end > from, record.length > 0, record.mapping.length > 0, !record.marks.contains(.sacked) else {
                continue
            }
            return OutstandingPiece(
                dataOffset: record.dataOffset, length: Int(record.length), sentAt: record.sentAt,
                wasLost: !record.marks.intersection([.lost, .retransmitted]).isEmpty, end: record.end)
        }
        return nil
    }
}
