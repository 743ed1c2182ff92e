public import TransportPolicies
public import TransportValues

/// How a subflow behaves. Values outside a stated range are clamped, never refused.
public struct SubflowConfiguration: Sendable {
    /// When an idle subflow is probed (RFC 9293 §3.8.4).
    public struct Keepalive: Sendable, BitwiseCopyable {
        /// Silence before the first probe.
        public var idle: TimeSpan
        /// Between probes that are not answered.
        public var interval: TimeSpan
        /// How many may go unanswered before the subflow fails.
        public var probes: Int

        public init(
            idle: TimeSpan = .seconds(7_200 as Int64), interval: TimeSpan = .seconds(75 as Int64), probes: Int = 9
        ) {
            self.idle = idle
            self.interval = interval
            self.probes = probes
        }
    }

    /// No segment is planned smaller than this, options included, whatever the peer announces (Linux's floor too): it
    /// leaves at least 48 payload bytes beside 40 bytes of options.
    public static let minimumSegmentSize = 88

    /// What we announce in the SYN: MTU less the fixed IP and TCP headers (RFC 9293 §3.7.1), 88…65,535 bytes.
    public var maximumSegmentSize: Int
    /// The shift that we announce for our window, 0…14 (RFC 7323 §2.3).
    public var windowScale: UInt8
    /// Offer window scaling at all.
    public var offersWindowScale = true
    /// Offer timestamps (RFC 7323).
    public var timestamps = true
    /// Offer selective acknowledgements (RFC 2018).
    public var sack = true
    public var congestion: CongestionAlgorithm = .cubic
    /// Initial window in segments (RFC 6928).
    public var initialWindowSegments = 10
    /// Offer ECN (RFC 3168). Off by default, as Linux has it for connections that it opens: some paths still drop or
    /// bleach what carries it, and only queues that mark make it of use.
    public var explicitCongestionNotification = false
    /// Spread what is sent over the round trip. BBR is paced in any case.
    public var paces = true
    /// The largest payload of one emitted packet in bytes, up to 65,000 when the device segments; 1: a segment each.
    public var maximumBurst: Int
    /// How long an acknowledgement may wait, below 500 ms (RFC 9293 §3.8.6.3, MUST-40).
    public var delayedAcknowledgement = TimeSpan.milliseconds(40)
    /// How often a SYN or SYN/ACK is sent again before the handshake fails.
    public var synRetries = 6
    /// How many retransmission timeouts in a row fail the subflow (RFC 9293 §3.8.3, R2).
    public var dataRetries = 15
    /// The longest retransmission timeout of a subflow of several, or of one that others may join: a path that comes back
    /// is found within that time.
    ///
    /// Deviation from RFC 6298 §2 rule 2.5, which asks for 60 s at least, as Linux's TCP_RTO_MAX_MS allows: on a path
    /// that is silent one segment each two seconds, until ``userTimeout``, is no congestion.
    public var sharedTimeoutLimit = TimeSpan.seconds(2 as Int64)
    /// How long data may stay unacknowledged (RFC 9293 §3.10.8, RFC 5482); nil: only ``dataRetries`` bounds it.
    public var userTimeout: TimeSpan?
    public var keepalive: Keepalive?
    /// 2 MSL. RFC 9293 §3.4.2 takes MSL as 2 minutes; like other stacks we wait 60 s in all.
    public var timeWait = TimeSpan.seconds(60 as Int64)
    /// Largest payload that the sender keeps in sent records: how many, whatever the windows allow.
    public var maximumSentRecords = 65_536
    public var wire = WireProfile()

    public init(maximumSegmentSize: Int, windowScale: UInt8 = 7, maximumBurst: Int? = nil) {
        self.maximumSegmentSize = maximumSegmentSize
        self.windowScale = windowScale
        self.maximumBurst = maximumBurst ?? maximumSegmentSize
    }

    /// The same with every value in its range.
    var clamped: SubflowConfiguration {
        var copy = self
        copy.maximumSegmentSize = min(max(maximumSegmentSize, Self.minimumSegmentSize), 65_535)
        copy.windowScale = min(windowScale, 14)
        copy.maximumBurst = min(max(maximumBurst, 1), 65_535)
        copy.initialWindowSegments = min(max(initialWindowSegments, 1), 1_000)
        copy.delayedAcknowledgement = min(max(delayedAcknowledgement, .zero), .milliseconds(499))
        copy.synRetries = min(max(synRetries, 0), 30)
        copy.dataRetries = min(max(dataRetries, 1), 100)
        copy.timeWait = max(timeWait, .zero)
        copy.maximumSentRecords = min(max(maximumSentRecords, 16), 1 << 20)
        return copy
    }
}
