public import TransportValues
import WireFormats

/// Which end of the first handshake this host is.
public enum ConnectionRole: Sendable { case initiator, listener }

/// What protocol the connection speaks.
enum ProtocolState: Equatable {
    /// TCP by choice.
    case plain
    /// MP_CAPABLE was sent; the answer decides.
    case offered
    /// Both keys are known. Not confirmed until a DATA_ACK shows that the peer knows both too (RFC 8684 §3.1).
    case multipath(confirmed: Bool)
    case fallenBack(FallbackReason)

    var isMultipath: Bool {
        if case .multipath = self { return true }
        return false
    }

    /// TCP's own acknowledgements and FIN count, not DATA_ACK and DATA_FIN.
    var isTCP: Bool {
        switch self {
        case .plain, .fallenBack: true
        case .offered, .multipath: false
        }
    }
}

/// Life of the whole connection, above its subflows.
enum ConnectionPhase: Equatable {
    case handshake
    case open
    /// Both directions have ended; subflows close.
    case draining
    case closed(ConnectionCloseReason)

    var isClosed: Bool {
        if case .closed = self { return true }
        return false
    }
}

/// The sending direction's end (RFC 8684 §3.3.3).
enum SendEnd: Equatable {
    case open
    /// The application has finished; the DATA_FIN (or FIN) waits for the data before it.
    case queued
    case sent
    case acknowledged
}

/// How far a subflow's Multipath TCP handshake is; the first subflow's is the connection's ``ProtocolState``.
enum SubflowHandshake {
    case initial
    /// MP_JOIN SYN sent with this nonce.
    case joinSynSent(nonce: UInt32)
    /// MP_JOIN SYN/ACK sent.
    case joinSynReceived(localNonce: UInt32, remoteNonce: UInt32)
    /// MP_JOIN ACK sent, repeated until the fourth ACK; no data before it (RFC 8684 §3.2).
    case joinAckSent(hmac: HMAC160, retryAt: MonotonicInstant, tries: Int)
    case joined
}

/// Keys and what follows from them; zero until known.
struct ConnectionKeys {
    var local: UInt64
    var remote: UInt64 = 0
    var localToken: UInt32
    var remoteToken: UInt32 = 0
    var localIDSN: DataSequenceNumber
    var remoteIDSN = DataSequenceNumber(0)
    var version: MultipathVersion

    init(local: UInt64, version: MultipathVersion) {
        self.local = local
        self.version = version
        localToken = KeyMaterial.token(of: local, version: version)
        localIDSN = DataSequenceNumber(KeyMaterial.initialDataSequence(of: local, version: version))
    }

    mutating func learn(remote key: UInt64) {
        remote = key
        remoteToken = KeyMaterial.token(of: key, version: version)
        remoteIDSN = DataSequenceNumber(KeyMaterial.initialDataSequence(of: key, version: version))
    }
}

/// What the connection has to tell the host after a call.
public struct ConnectionEvents: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let connected = Self(rawValue: 1)
    public static let readable = Self(rawValue: 2)
    public static let writable = Self(rawValue: 4)
    public static let finished = Self(rawValue: 8)
    public static let closed = Self(rawValue: 16)
    /// A passive connection completed its handshake: it belongs in the accept queue.
    public static let accepted = Self(rawValue: 32)
    /// Some subflow closed: its four-tuple is free.
    public static let subflowClosed = Self(rawValue: 64)
    /// A join of ours was answered with the right HMAC: see ``Connection/answeredTarget``.
    public static let joinAnswered = Self(rawValue: 128)
}

/// What became of a SYN with MP_JOIN.
public enum JoinAcceptance: Sendable, Equatable {
    /// The subflow's index.
    case accepted(Int)
    /// To be answered with RST.
    case refused
    /// Too many are half open: no answer.
    case dropped
}

/// What the host decides for a subflow before it begins.
public struct SubflowSetup: Sendable {
    public var tuple: FourTuple
    public var interface: InterfaceID
    public var mtu: Int
    /// Largest IP packet that may be handed to the interface: `mtu`, or up to 65,535 where it segments.
    public var maximumPacket: Int
    public var checksumOffload: Bool
    public var initialSequence: SequenceNumber
    public var timestampOffset: UInt32
    public var localAddressID: AddressID
    public var isBackup = false
    /// Its share of the data for `WeightedScheduler`, relative to the other subflows'.
    public var weight = 1
    /// Payload of this many bytes and more stays in its ring for an interface that gathers it (`.max`: never).
    public var lendsFrom = Int.max
    /// The interface segments what it is given.
    var isSegmenting: Bool { maximumPacket > mtu }

    public init(
        tuple: FourTuple, interface: InterfaceID, mtu: Int, maximumPacket: Int, checksumOffload: Bool,
        initialSequence: SequenceNumber, timestampOffset: UInt32, localAddressID: AddressID
    ) {
        self.tuple = tuple
        self.interface = interface
        self.mtu = mtu
        self.maximumPacket = maximumPacket
        self.checksumOffload = checksumOffload
        self.initialSequence = initialSequence
        self.timestampOffset = timestampOffset
        self.localAddressID = localAddressID
    }
}
