public import TransportValues
import WireFormats

/// RFC 7323's timestamps: our clock, and the peer's last one.
struct TimestampState: BitwiseCopyable {
    /// Added to the clock (RFC 7323 §5.4).
    let offset: UInt32
    /// Both SYNs carried the option.
    var enabled = false
    /// TS.Recent.
    var recent: UInt32 = 0
    /// When TS.Recent was taken.
    var recentAt = MonotonicInstant.zero
    /// Last.ACK.sent.
    var lastAcknowledgementSent: Int64 = 0
    /// The echo that gave the last sample of ``Subflow/receiverRoundTrip``: each is used once.
    var sampledEcho: UInt32?

    init(offset: UInt32) { self.offset = offset }

    func clock(_ now: MonotonicInstant) -> UInt32 { Subflow.timestamp(at: now, offset: offset) }
}

extension Subflow {
    /// Our timestamp: one tick a millisecond (RFC 7323 §5.4 asks for 1 ms to 1 s).
    public static func timestamp(at now: MonotonicInstant, offset: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000) &+ offset
    }

    /// Whether PAWS refuses the segment (RFC 7323 §5.3, R1).
    ///
    /// Deviation from RFC 7323 §3.2, by which a segment without timestamps SHOULD be dropped once they are negotiated:
    /// Linux leaves them out of an ADD_ADDR that would not fit beside them.
    func refusedByPAWS(_ segment: TCPSegment, _ now: MonotonicInstant) -> Bool {
        guard timestamps.enabled, let stamp = segment.options.timestamps, !segment.flags.contains(.rst) else {
            return false
        }
        guard Int32(bitPattern: stamp.value &- timestamps.recent) < 0 else { return false }
        //= RFC 7323 §5.5: a TS.Recent older than 24 days is invalid
        return now - timestamps.recentAt <= .seconds(24 * 86_400 as Int64)
    }

    /// A receiver of bulk data sends nothing that is timed; the echo in the data that its acknowledgements set off tells
    /// it the round trip, queues included (RFC 7323 §4.1), which its window must cover. Only whole segments: behind a
    /// short one the application was slow, not the path.
    mutating func sampleReceiverRoundTrip(_ segment: TCPSegment, _ now: MonotonicInstant) {
        guard timestamps.enabled, let stamp = segment.options.timestamps, stamp.echo != timestamps.sampledEcho,
            segment.payloadLength >= acknowledging.segmentEstimate
        else { return }
        let ticks = Int32(bitPattern: timestamps.clock(now) &- stamp.echo)
        guard ticks >= 0, ticks < 10_000 else { return }
        timestamps.sampledEcho = stamp.echo
        let sample = TimeSpan.milliseconds(Int64(max(ticks, 1)))
        receiverRoundTrip =
            receiverRoundTrip == .zero
            ? sample : TimeSpan(nanoseconds: (receiverRoundTrip.nanoseconds * 7 + sample.nanoseconds) / 8)
    }

    /// R2 and R3 of RFC 7323 §5.3.
    mutating func rememberTimestamp(_ segment: TCPSegment, sequence: Int64, _ now: MonotonicInstant) {
        guard timestamps.enabled, let stamp = segment.options.timestamps else { return }
        //= RFC 7323 §4.3 (2): SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent
        guard sequence <= timestamps.lastAcknowledgementSent else { return }
        if Int32(bitPattern: stamp.value &- timestamps.recent) >= 0
            || now - timestamps.recentAt > .seconds(24 * 86_400 as Int64)
        {
            timestamps.recent = stamp.value
            timestamps.recentAt = now
        }
    }
}
