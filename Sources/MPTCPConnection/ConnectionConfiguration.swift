public import TCPSubflow
public import TransportPolicies
public import TransportValues
public import WireFormats

/// Whether and how a connection offers Multipath TCP.
public enum MultipathMode: Sendable, Equatable {
    /// Plain TCP, no option of kind 30 ever.
    case off
    /// Multipath TCP version 1 (RFC 8684) alone.
    case version1
    /// Multipath TCP version 0 (RFC 6824) alone.
    case version0
    /// Both: a listener answers in the version that the peer begins with; a connection begins with version 1, and with
    /// version 0 where the peer is known to speak only that (RFC 8684 §3.1).
    case automatic

    /// Whether a SYN of this version is answered in it.
    public func serves(_ version: MultipathVersion) -> Bool {
        switch self {
        case .off: false
        case .version1: version == .one
        case .version0: version == .zero
        case .automatic: true
        }
    }
}

/// How the connecting side uses several paths together (RFC 8684 leaves it to the host).
public enum PathUse: String, Sendable, CaseIterable {
    /// All at once.
    case aggregate
    /// The first carries all; the others are joined as backup (RFC 8684 §3.3.8) and used while it fails.
    case handover
    /// Another is joined when one is stalled, loses more than 2 %, or has a round trip of four times its best.
    case interactive
    /// One at a time, the next joined only after the last has failed: break before make.
    case single
}

/// Settings of one connection; a listener's connections take the listener's.
public struct ConnectionConfiguration: Sendable {
    public var multipath: MultipathMode = .automatic
    /// Ask for DSS checksums (the A flag of MP_CAPABLE); they are used when either side asks.
    public var requestChecksum = false
    /// Ask for them in version 0 whatever ``requestChecksum`` says, as its specification expects (RFC 6824 §3.1).
    public var checksumInVersion0 = true
    /// Join addresses that a version 0 peer announces although nothing proves that they are its own (its ADD_ADDR has no
    /// HMAC; RFC 7430 §2): off, only further ports of addresses already in use are taken.
    public var acceptUnprovenAddresses = false
    /// What a failed checksum on the only subflow does, at either end. false: as RFC 8684 §3.7 says, the connection goes on
    /// as TCP, which hands up what the path makes of the data; true: the connection ends. With true, too, a subflow that
    /// loses its mappings in mid-connection is closed, and not taken for TCP (version 1).
    public var refusesDamage = false
    /// The most bytes that wait in the send buffer, acknowledged by nobody yet.
    ///
    ///= RFC 8684 §3.3.5 at least as large as the receive buffer (of a peer like this one)
    public var sendBuffer = 6 << 20
    /// The most bytes of them that were never sent: ``Connection/write(_:now:)`` takes no more, however wide the send
    /// buffer is (as Linux's TCP_NOTSENT_LOWAT).
    public var unsentBuffer = 512 << 10
    /// The most bytes that the receive window opens to; it begins at ``initialReceiveWindow`` and grows by use.
    public var receiveBuffer = 6 << 20
    public var initialReceiveWindow = 256 << 10
    public var congestion: CongestionAlgorithm = .cubic
    /// Offer and accept ECN (RFC 3168) on each subflow.
    public var explicitCongestionNotification = false
    public var scheduler: SchedulerAlgorithm = .earliest
    /// A scheduler of the program's own, in place of ``scheduler``.
    public var customScheduler: (any SchedulingPolicy)?
    /// What is under way on a slow subflow is repeated on a faster one that has nothing else to send, or that the peer's
    /// window holds up, where it would arrive sooner (opportunistic retransmission, NSDI'12 §4.2).
    public var repairsHeadOfLine = true
    /// Nagle's algorithm (RFC 9293 §3.7.4).
    public var nagle = true
    /// The most subflows at one time, the first included. 1...32
    public var maximumSubflows = 8
    /// The most addresses of the peer that are remembered. 0...32
    public var acceptedAddresses = 8
    /// Open subflows from every own address to every address of the peer (the connecting side's part).
    public var fullMesh = true
    public var pathUse = PathUse.aggregate
    /// How long a connection is kept whose last subflow has failed, while every path is tried again. Zero: not at all.
    public var pathlessTimeout: TimeSpan = .seconds(60)
    /// The same where the peer itself reset the last subflow, without saying that this is transient.
    public var pathlessTimeoutAfterReset: TimeSpan = .seconds(5)
    /// Announce own addresses with ADD_ADDR (the listening side's part).
    public var announceAddresses = true
    /// Ask the peer not to join this end's first address and port (the C flag, RFC 8684 §3.1): joins then go to announced
    /// addresses, to which the first subflow's own then belongs; a load balancer would take them elsewhere. Version 0 has
    /// no such flag.
    public var forbidsJoinsToInitialAddress = false
    /// A port that a listener's connections announce with every address, the first one too, and that takes joins alone
    /// (RFC 8684 §3.4.1); nil: addresses are announced without a port, and joins come to the listener's.
    public var joinPort: UInt16? = nil
    /// The most joins of one connection at a time whose third ACK is missing. 1...32
    public var maximumHalfOpenJoins = 4
    /// SYNs sent before an attempt to connect is given up. 1...20
    public var synRetries = 6
    /// How long a subflow may go without any progress before it is given up.
    public var userTimeout: TimeSpan = .seconds(120)
    /// How long a subflow of Multipath TCP waits at most between retransmissions on a silent path, and so how late it may
    /// notice that the path is back (RFC 6298 §2 rule 2.5 asks for at least 60 s; see
    /// ``SubflowConfiguration/sharedTimeoutLimit``).
    public var longestRetransmissionTimeout: TimeSpan = .seconds(2)
    /// A subflow is probed after this idle time, below the time-outs of most translators (RFC 5382 §5 asks them for 2 h,
    /// many forget after 5 minutes); nil: never.
    public var keepalive: TimeSpan? = .seconds(120)
    /// Between probes that are not answered, and how many may stay so before the subflow is given up.
    public var keepaliveInterval: TimeSpan = .seconds(10)
    public var keepaliveProbes = 6
    /// How long a subflow stays in TIME-WAIT (2 MSL, RFC 9293 §3.3.2).
    public var timeWait: TimeSpan = .seconds(60)
    /// Order of options, PSH, sizes: what the specifications leave open.
    public var wire = WireProfile()
    /// The shift announced for our window, 0...14; nil: the smallest that tells all of ``receiveBuffer``.
    public var fixedWindowScale: UInt8?

    public init() {}

    /// The smallest shift with which the largest window fits into 16 bits (RFC 7323 §2.3), or the one that was set.
    public var windowScale: UInt8 {
        if let fixedWindowScale { return min(fixedWindowScale, 14) }
        var shift: UInt8 = 0
        while shift < 14, receiveBuffer >> Int(shift) > 65_535 { shift += 1 }
        return shift
    }
}

/// Why Multipath TCP is not in use on a connection that was to have it.
public enum FallbackReason: String, Sendable {
    case peerSentNoCapable = "the peer's SYN carried no MP_CAPABLE"
    case synUnanswered = "SYNs with MP_CAPABLE got no answer"
    case synAckWithoutCapable = "the SYN/ACK carried no MP_CAPABLE"
    case thirdAckWithoutCapable = "the third ACK carried no MP_CAPABLE"
    case keyMismatch = "the third ACK carried keys that are not this connection's"
    case versionMismatch = "the peer speaks another version"
    case unsupportedCrypto = "the peer offers no HMAC that both speak"
    case extensibilityFlag = "MP_CAPABLE had the B flag set"
    case remembered = "Multipath TCP is known not to get through to this peer"
    case reflectedKey = "the peer echoed our own key"
    case simultaneousOpen = "both ends opened at once"
    case ackWithoutDataAck = "data was acknowledged without a DATA_ACK"
    case dataWithoutMapping = "data came without a mapping"
    case infiniteMapping = "the peer sent an infinite mapping"
    case checksumFailed = "a DSS checksum failed on the only subflow: something on the path changes the data"
    case peerSentFail = "the peer sent MP_FAIL: something on the path changes the data"
}

/// How a connection ended.
public enum ConnectionCloseReason: Sendable, Equatable {
    /// Both directions ended and everything was acknowledged.
    case finished
    /// The peer answered the first SYN with RST.
    case refused
    /// The peer reset the last subflow.
    case reset
    /// Nobody answered.
    case timedOut
    /// A router or host said that there is no way to the peer.
    case unreachable
    /// This end called abort.
    case aborted
    /// The peer sent MP_FASTCLOSE.
    case fastClosed
    /// No interface or address was left to send from.
    case noPath
    case protocolError(String)

    public var isClean: Bool { self == .finished }
}

extension ConnectionCloseReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .finished: "finished"
        case .refused: "connection refused"
        case .reset: "connection reset by peer"
        case .timedOut: "connection timed out"
        case .unreachable: "host unreachable"
        case .aborted: "aborted"
        case .fastClosed: "closed at once by the peer (MP_FASTCLOSE)"
        case .noPath: "no path is left"
        case .protocolError(let what): "protocol error: \(what)"
        }
    }
}
