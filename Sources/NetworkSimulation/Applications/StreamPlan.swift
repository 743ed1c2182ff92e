public import HostStack
public import MPTCPConnection
public import TransportValues

/// What an application does with one connection: both directions, declared.
public struct StreamPlan: Sendable {
    /// How much of what is to be sent may be written, given what has been received.
    public enum Pace: Sendable, Hashable {
        /// Everything at once; both directions run together.
        case atOnce
        /// Nothing before the peer has ended its direction (half close).
        case afterPeerFinished
        /// A request of `size` bytes, then the next when its reply of `replySize` bytes is there.
        case requests(size: Int64, replySize: Int64)
        /// A reply of `size` bytes to each request of `requestSize` bytes.
        case replies(requestSize: Int64, size: Int64)
    }

    /// How received bytes are read.
    public enum Reading: Sendable, Hashable {
        case eager
        /// At most `bytes` every `interval`: a slow reader, whose receive window closes.
        case paced(bytes: Int, interval: TimeSpan)
    }

    /// Bytes to send before this end finishes its direction.
    public var sends: Int64
    /// Bytes that must arrive before the peer's end of stream.
    public var expects: Int64
    public var pace = Pace.atOnce
    public var reading = Reading.eager
    /// Abort the connection when this many bytes have been received; nil: never.
    public var abortsAfterReceiving: Int64?

    public init(
        sends: Int64 = 0, expects: Int64 = 0, pace: Pace = .atOnce, reading: Reading = .eager,
        abortsAfterReceiving: Int64? = nil
    ) {
        self.sends = sends
        self.expects = expects
        self.pace = pace
        self.reading = reading
        self.abortsAfterReceiving = abortsAfterReceiving
    }

    /// Bytes that may have been written in all once `received` bytes have arrived.
    func credit(received: Int64, peerFinished: Bool) -> Int64 {
        let limit =
            switch pace {
            case .atOnce: Int64.max
            case .afterPeerFinished: peerFinished ? Int64.max : 0
            case .requests(let size, let replySize): (received / max(1, replySize) + 1) * size
            case .replies(let requestSize, let size): received / max(1, requestSize) * size
            }
        return min(sends, limit)
    }
}

/// What became of one end of one connection.
public struct StreamResult: Sendable {
    public var plan: StreamPlan
    public var hostName: String
    public var isClient: Bool
    public var sent: Int64 = 0
    public var received: Int64 = 0
    /// The first offset at which a received byte was not the pattern's.
    public var firstMismatch: Int64?
    /// The peer's end of stream was read.
    public var peerFinished = false
    /// Our bytes and our end of stream are acknowledged.
    public var finished = false
    public var closeReason: ConnectionCloseReason?
    public var openError: HostError?
    public var begun: MonotonicInstant
    public var connected: MonotonicInstant?
    public var firstByte: MonotonicInstant?
    public var lastByte: MonotonicInstant?
    public var closed: MonotonicInstant?
    /// The longest time between two arrivals of bytes at the application.
    public var longestSilence = TimeSpan.zero
    /// When that was over.
    public var silenceEnded: MonotonicInstant?
    /// Over all received bytes.
    public var digest = RunningDigest()
    /// As it was when the connection closed.
    public var snapshot: ConnectionSnapshot?

    init(plan: StreamPlan, hostName: String, isClient: Bool, begun: MonotonicInstant) {
        self.plan = plan
        self.hostName = hostName
        self.isClient = isClient
        self.begun = begun
    }

    /// Every byte arrived as it was sent, in both directions, and the connection ended cleanly.
    public var isIntact: Bool { problem == nil }

    /// What is wrong, in a sentence; nil when nothing is.
    public var problem: String? {
        let end = "\(hostName)'s \(isClient ? "client" : "server") end"
        if let openError { return "\(end) could not be opened: \(openError)" }
        if let firstMismatch { return "\(end) received a wrong byte at offset \(firstMismatch)" }
        if received > plan.expects { return "\(end) received \(received) bytes, expected only \(plan.expects)" }
        if plan.abortsAfterReceiving != nil { return closeReason == .aborted ? nil : "\(end) was not aborted" }
        guard let closeReason else {
            return "\(end) did not close (sent \(sent) of \(plan.sends), received \(received) of \(plan.expects))"
        }
        if !closeReason.isClean {
            return "\(end) closed with '\(closeReason)' (sent \(sent) of \(plan.sends), received \(received))"
        }
        if sent < plan.sends { return "\(end) sent only \(sent) of \(plan.sends) bytes" }
        if received < plan.expects { return "\(end) received only \(received) of \(plan.expects) bytes" }
        if !peerFinished { return "\(end) closed without the peer's end of stream" }
        if !finished { return "\(end) closed cleanly without having told that everything was acknowledged" }
        return nil
    }
}
