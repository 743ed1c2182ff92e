/// The states of RFC 9293 §3.3.2 that a subflow can be in; LISTEN is a listener's, not a subflow's.
public enum SubflowPhase: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
    case synSent
    case synReceived
    case established
    case finWait1
    case finWait2
    case closeWait
    case closing
    case lastAck
    case timeWait
    case closed

    /// ESTABLISHED or later: both initial sequence numbers are agreed.
    public var isSynchronized: Bool {
        switch self {
        case .synSent, .synReceived, .closed: false
        case .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait: true
        }
    }

    /// The peer's FIN has not been consumed, so it may still send data.
    public var mayReceiveData: Bool { self == .established || self == .finWait1 || self == .finWait2 }

    /// Our FIN may still have to go out.
    var maySendFin: Bool { self == .established || self == .closeWait }

    /// The state after our FIN was sent (RFC 9293 §3.10.4).
    var afterSendingFin: SubflowPhase { self == .closeWait ? .lastAck : .finWait1 }

    /// The state after the peer's FIN was consumed (RFC 9293 §3.10.7.4, eighth step).
    var afterReceivingFin: SubflowPhase {
        switch self {
        case .synReceived, .established: .closeWait
        case .finWait1: .closing
        case .finWait2: .timeWait
        case .synSent, .closeWait, .closing, .lastAck, .timeWait, .closed: self
        }
    }

    /// The state after our FIN was acknowledged (RFC 9293 §3.10.7.4, fifth step).
    var afterFinAcknowledged: SubflowPhase {
        switch self {
        case .finWait1: .finWait2
        case .closing: .timeWait
        case .lastAck: .closed
        case .synSent, .synReceived, .established, .finWait2, .closeWait, .timeWait, .closed: self
        }
    }
}
