import Glibc
import HostStack
import MPTCPConnection
import TransportValues

/// One descriptor of a driven host.
struct DrivenSocket {
    enum Role {
        /// Neither listening nor connecting.
        case idle
        case listener(ListenerID)
        case stream(ConnectionID)
    }

    var role = Role.idle
    var isIPv6: Bool
    /// For its connection, or for those that it accepts; its `multipath` tells the protocol.
    var settings: ConnectionConfiguration
    var isMultipathSocket: Bool
    /// What `bind` gave it.
    var bound: Endpoint?
    var reusesAddress = false
    var keepsAlive = false
    /// SO_LINGER with time zero: close aborts.
    var abortsOnClose = false
    var isReadShut = false
    var isWriteShut = false
    /// The connection's failure was told once; as with BSD sockets, not again.
    var isErrorTold = false

    /// What stands in `bound` when nothing was bound.
    var anyAddress: IPAddress { isIPv6 ? .anyIPv6 : .anyIPv4 }
}

extension ConnectionCloseReason {
    /// nil: the connection ended as it should.
    var errorCode: CInt? {
        switch self {
        case .finished: nil
        case .refused: ECONNREFUSED
        case .reset, .fastClosed: ECONNRESET
        case .timedOut: ETIMEDOUT
        case .unreachable: EHOSTUNREACH
        case .aborted: ECONNABORTED
        case .noPath: ENETDOWN
        case .protocolError: EPROTO
        }
    }
}

extension HostError {
    var errorCode: CInt {
        switch self {
        case .noRoute, .noAddress, .invalidAddress: ENETUNREACH
        case .notLocal, .noPorts: EADDRNOTAVAIL
        case .addressInUse: EADDRINUSE
        case .tooManyConnections: ENOBUFS
        }
    }
}
