import Glibc
import MPTCPConnection
import TCPSubflow
import TransportValues

/// Every name that `cmptcp_option` takes, with what its value means. They hold for sockets opened afterwards.
enum SettingName: String, CaseIterable {
    // The wire: what the profile begins with.
    /// ``WireProfile/push``: 0 where the send buffer ends, 1 also when that is repeated, 2 every segment with payload.
    case push
    /// Bytes of a DATA_ACK: 0 as RFC 8684 §3.3.2 (4 until an 8-byte number has come), 8 from the first on.
    case dataAckSize = "data_ack_size"
    /// Bytes of a data sequence number: 4 or 8.
    case dataSequenceSize = "data_sequence_size"
    /// 0 or 1, the rest of ``WireProfile`` likewise.
    case packedSyn = "packed_syn"
    case sackFirst = "sack_first"
    case dssFirst = "dss_first"
    case failFirst = "fail_first"
    case addAddressAlone = "add_addr_alone"
    case addAddressProvesKeys = "add_addr_proves_keys"
    case resetTimestamps = "reset_timestamps"
    case fastCloseReason = "fastclose_reason"
    case synWindowWholeSegments = "syn_window_whole_segments"
    // The connection.
    /// 0 or 1: ask for DSS checksums.
    case checksum
    /// -1 from the buffer's size, 0...14.
    case windowScale = "window_scale"
    /// Bytes, 4,096 to 2^30.
    case initialReceiveWindow = "initial_receive_window"
    /// 0 or 1.
    case nagle
    /// 0 or 1: open further subflows at all (the connecting side's part).
    case joins
    /// 0 or 1: join what a version 0 peer announces without proof.
    case acceptUnprovenAddresses = "accept_unproven_addresses"
    /// 0 or 1: a failed checksum on the only subflow ends the connection.
    case refuseDamage = "refuse_damage"
    /// SYNs before giving up, 1...20.
    case synRetries = "syn_retries"
    // Milliseconds, 0 to 2^31; 0 of keepalive: never.
    case userTimeout = "user_timeout_ms"
    case keepalive = "keepalive_ms"
    case pathlessTimeout = "pathless_timeout_ms"
    case timeWait = "time_wait_ms"

    /// Sets it; false: the value is out of range.
    func set(_ value: Int64, in settings: inout ConnectionConfiguration) -> Bool {
        switch self {
        case .push:
            guard let byte = UInt8(exactly: value), let push = WireProfile.Push(rawValue: byte) else { return false }
            settings.wire.push = push
        case .dataAckSize:
            guard value == 0 || value == 8 else { return false }
            settings.wire.longDataAck = value == 8
        case .dataSequenceSize:
            guard value == 4 || value == 8 else { return false }
            settings.wire.shortDataSequence = value == 4
        case .windowScale:
            guard (-1...14).contains(value) else { return false }
            settings.fixedWindowScale = value < 0 ? nil : UInt8(value)
        case .initialReceiveWindow:
            guard (4096...1 << 30).contains(value) else { return false }
            settings.initialReceiveWindow = Int(value)
        case .synRetries:
            guard (1...20).contains(value) else { return false }
            settings.synRetries = Int(value)
        case .userTimeout, .keepalive, .pathlessTimeout, .timeWait: return setTime(value, in: &settings)
        default:
            guard value == 0 || value == 1 else { return false }
            setSwitch(value == 1, in: &settings)
        }
        return true
    }

    private func setTime(_ value: Int64, in settings: inout ConnectionConfiguration) -> Bool {
        guard (0...1 << 31).contains(value) else { return false }
        let span = TimeSpan.milliseconds(value)
        switch self {
        case .userTimeout:
            guard value > 0 else { return false }
            settings.userTimeout = span
        case .keepalive: settings.keepalive = value == 0 ? nil : span
        case .pathlessTimeout: settings.pathlessTimeout = span
        case .timeWait: settings.timeWait = span
        default: return false
        }
        return true
    }

    private func setSwitch(_ isOn: Bool, in settings: inout ConnectionConfiguration) {
        switch self {
        case .packedSyn: settings.wire.packsSynchronize = isOn
        case .sackFirst: settings.wire.blocksFirst = isOn
        case .dssFirst: settings.wire.signalFirst = isOn
        case .failFirst: settings.wire.failFirst = isOn
        case .addAddressAlone: settings.wire.addressAlone = isOn
        case .addAddressProvesKeys: settings.wire.addressProvesKeys = isOn
        case .resetTimestamps: settings.wire.stampedResets = isOn
        case .fastCloseReason: settings.wire.fastCloseWithReason = isOn
        case .synWindowWholeSegments: settings.wire.synchronizesWholeSegments = isOn
        case .checksum:
            settings.requestChecksum = isOn
            settings.checksumInVersion0 = isOn
        case .nagle: settings.nagle = isOn
        case .joins: settings.fullMesh = isOn
        case .acceptUnprovenAddresses: settings.acceptUnprovenAddresses = isOn
        case .refuseDamage: settings.refusesDamage = isOn
        default: break
        }
    }
}
