import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
import WireFormats

/// What one subflow is and did; closed ones stay listed.
public struct SubflowSnapshot: Sendable {
    public var local: Endpoint
    public var remote: Endpoint
    public var interface: InterfaceID
    /// Payload bytes sent, retransmissions not counted again.
    public var bytesSent: UInt64
    /// Payload bytes that were new when they arrived.
    public var bytesReceived: UInt64
    public var segmentsRetransmitted: UInt64
    /// Smoothed; nil before the first measurement.
    public var roundTrip: TimeSpan?
    /// In bytes.
    public var congestionWindow: Int
    public var backup: Bool
    public var state: String
    public var closeReason: String?
}

/// What one connection is and did, for reports and displays.
public struct ConnectionSnapshot: Sendable {
    public var local: Endpoint
    public var remote: Endpoint
    public var isMultipath: Bool
    /// 0 or 1, or nil where Multipath TCP is not in use.
    public var version: Int?
    public var fallback: String?
    public var checksum: Bool
    public var state: String
    /// Bytes that the application wrote; those that it read.
    public var bytesSent: UInt64
    public var bytesReceived: UInt64
    /// Bytes written that the peer has acknowledged.
    public var bytesAcknowledged: UInt64
    public var closeReason: ConnectionCloseReason?
    public var subflows: [SubflowSnapshot]
}

extension Connection {
    public func snapshot() -> ConnectionSnapshot {
        var subflows = closedSubflows
        for index in contexts.indices where !contexts[index].isRetired { subflows.append(snapshot(of: index)) }
        var fallback: String?
        if case .fallenBack(let reason) = state { fallback = reason.rawValue }
        if let reversionReason { fallback = reversionReason.rawValue }
        return ConnectionSnapshot(
            local: initialTuple.local, remote: initialTuple.remote, isMultipath: isFullyMultipath,
            version: isFullyMultipath ? Int(keys.version.rawValue) : nil, fallback: fallback,
            checksum: useChecksum && isFullyMultipath,
            state: phase.name, bytesSent: totals.bytesWritten, bytesReceived: totals.bytesRead,
            bytesAcknowledged: UInt64(send.acknowledged - 1), closeReason: closeReason, subflows: subflows)
    }

    func snapshot(of index: Int) -> SubflowSnapshot {
        let statistics = contexts[index].tcp.statistics
        return SubflowSnapshot(
            local: contexts[index].setup.tuple.local, remote: contexts[index].setup.tuple.remote,
            interface: contexts[index].setup.interface, bytesSent: statistics.bytesSent,
            bytesReceived: statistics.bytesReceived, segmentsRetransmitted: statistics.segmentsRetransmitted,
            roundTrip: contexts[index].tcp.roundTrip.hasSample ? contexts[index].tcp.roundTrip.smoothed : nil,
            congestionWindow: contexts[index].tcp.congestionWindow,
            backup: contexts[index].peerWantsBackup || contexts[index].setup.isBackup,
            state: "\(contexts[index].tcp.phase)", closeReason: contexts[index].closeReason)
    }
}

extension ConnectionPhase {
    var name: String {
        switch self {
        case .handshake: "handshake"
        case .open: "open"
        case .draining: "draining"
        case .closed: "closed"
        }
    }
}
