import CMPTCPHeader
import Glibc
import MPTCPConnection
import TCPSubflow
import TransportPolicies

extension ConnectionConfiguration {
    /// What a `cmptcp_config` asks for; a value out of its range is EINVAL.
    init(_ config: cmptcp_config) throws(ErrorCode) {
        self.init()
        switch unsafe config.mptcp_versions {
        case 0: multipath = .off
        case 1: multipath = .version0
        case 2: multipath = .version1
        case 3: multipath = .automatic
        default: throw ErrorCode(EINVAL)
        }
        requestChecksum = unsafe config.checksum != 0
        if let name = try unsafe Self.name(config.profile) {
            guard let profile = WireProfile(named: name) else { throw ErrorCode(EINVAL) }
            wire = profile
            if profile == .linux { takeLinuxSizes() }
        }
        guard unsafe (-1...14).contains(config.window_scale) else { throw ErrorCode(EINVAL) }
        if unsafe config.window_scale >= 0 { fixedWindowScale = unsafe UInt8(config.window_scale) }
        try unsafe takeBuffers(receive: config.receive_buffer, send: config.send_buffer)
        if let name = try unsafe Self.name(config.congestion) {
            guard let algorithm = CongestionAlgorithm(rawValue: name) else { throw ErrorCode(EINVAL) }
            congestion = algorithm
        }
        if let name = try unsafe Self.name(config.scheduler) {
            guard let algorithm = SchedulerAlgorithm(rawValue: name) else { throw ErrorCode(EINVAL) }
            scheduler = algorithm
        }
    }

    /// What Linux has as defaults where it shows on the wire: 64 KB of window at first (`tcp_rmem`), and the limits of
    /// `ip mptcp limits`, 2 further subflows and no announced address accepted.
    private mutating func takeLinuxSizes() {
        initialReceiveWindow = 65_535
        maximumSubflows = 3
        acceptedAddresses = 0
    }

    static let smallestBuffer = 4096
    static let largestBuffer = 1 << 30

    private mutating func takeBuffers(receive: Int, send: Int) throws(ErrorCode) {
        if receive != 0 {
            guard (Self.smallestBuffer...Self.largestBuffer).contains(receive) else { throw ErrorCode(EINVAL) }
            setReceiveBuffer(receive)
        }
        if send != 0 {
            guard (Self.smallestBuffer...Self.largestBuffer).contains(send) else { throw ErrorCode(EINVAL) }
            setSendBuffer(send)
        }
    }

    /// A size that was asked for is fixed: no growing.
    mutating func setReceiveBuffer(_ bytes: Int) {
        receiveBuffer = bytes
        initialReceiveWindow = bytes
    }

    mutating func setSendBuffer(_ bytes: Int) {
        sendBuffer = bytes
        unsentBuffer = bytes
    }

    /// A C string of at most 64 bytes; nil for NULL.
    static func name(_ pointer: UnsafePointer<CChar>?) throws(ErrorCode) -> String? {
        guard let pointer = unsafe pointer else { return nil }
        let length = unsafe strnlen(pointer, 65)
        guard length <= 64 else { throw ErrorCode(EINVAL) }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: pointer, count: length), as: UTF8.self)
    }
}
