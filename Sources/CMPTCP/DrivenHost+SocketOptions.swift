import Glibc
import HostStack
import MPTCPConnection
import TransportPolicies
import TransportValues

/// `getsockopt` and `setsockopt`, by Linux's numbers.
extension DrivenHost {
    private enum Option {
        // SOL_SOCKET (1)
        case reuseAddress, reusePort, type, error, sendBuffer, receiveBuffer, keepAlive, linger, acceptsConnections
        case protocolNumber, domain
        // IPPROTO_TCP (6)
        case noDelay, segmentSize, keepIdle, keepInterval, keepCount, synCount, congestion, userTimeout, unsentLow
        case isMultipath

        init?(level: CInt, name: CInt) {
            let found: Option? =
                switch (level, name) {
                case (1, 2): .reuseAddress
                case (1, 3): .type
                case (1, 4): .error
                case (1, 7): .sendBuffer
                case (1, 8): .receiveBuffer
                case (1, 9): .keepAlive
                case (1, 13): .linger
                case (1, 15): .reusePort
                case (1, 30): .acceptsConnections
                case (1, 38): .protocolNumber
                case (1, 39): .domain
                case (6, 1): .noDelay
                case (6, 2): .segmentSize
                case (6, 4): .keepIdle
                case (6, 5): .keepInterval
                case (6, 6): .keepCount
                case (6, 7): .synCount
                case (6, 13): .congestion
                case (6, 18): .userTimeout
                case (6, 25): .unsentLow
                case (6, 43): .isMultipath
                default: nil
                }
            guard let found else { return nil }
            self = found
        }
    }

    /// The option's value as bytes.
    func option(_ descriptor: CInt, level: CInt, name: CInt) throws(ErrorCode) -> [UInt8] {
        let socket = try socket(descriptor)
        guard let option = Option(level: level, name: name) else { throw ErrorCode(ENOPROTOOPT) }
        let settings = socket.settings
        switch option {
        case .error: return number(takeError(descriptor))
        case .type: return number(1)
        case .domain: return number(socket.isIPv6 ? AF_INET6 : AF_INET)
        case .protocolNumber: return number(socket.isMultipathSocket ? Self.multipathProtocol : CInt(IPPROTO_TCP))
        case .acceptsConnections: return number(isListener(socket) ? 1 : 0)
        case .reuseAddress, .reusePort: return number(socket.reusesAddress ? 1 : 0)
        case .keepAlive: return number(socket.keepsAlive ? 1 : 0)
        case .linger: return number(socket.abortsOnClose ? 1 : 0) + number(0)
        case .sendBuffer: return number(settings.sendBuffer)
        case .receiveBuffer: return number(settings.receiveBuffer)
        case .noDelay: return number(settings.nagle ? 0 : 1)
        //= RFC 9293 §3.7.1 MUST-15: 536 until the peer has said what it takes
        case .segmentSize: return number((try? stream(descriptor).readiness.segmentSize) ?? 536)
        case .keepIdle: return number(settings.keepalive.map { $0.nanoseconds / 1_000_000_000 } ?? 0)
        case .keepInterval: return number(settings.keepaliveInterval.nanoseconds / 1_000_000_000)
        case .keepCount: return number(settings.keepaliveProbes)
        case .synCount: return number(settings.synRetries)
        case .congestion: return Array(settings.congestion.rawValue.utf8) + [0]
        case .userTimeout: return number(settings.userTimeout.nanoseconds / 1_000_000)
        case .unsentLow: return number(settings.unsentBuffer)
        case .isMultipath: return number(isMultipath(socket) ? 1 : 0)
        }
    }

    func setOption(_ descriptor: CInt, level: CInt, name: CInt, _ value: UnsafeRawBufferPointer) throws(ErrorCode) {
        var socket = try socket(descriptor)
        guard let option = Option(level: level, name: name) else { throw ErrorCode(ENOPROTOOPT) }
        if case .congestion = option {
            let text = unsafe String(decoding: value.prefix { $0 != 0 }.prefix(16), as: UTF8.self)
            guard let algorithm = CongestionAlgorithm(rawValue: text) else { throw ErrorCode(ENOENT) }
            try requireIdle(socket)
            socket.settings.congestion = algorithm
            sockets[descriptor] = socket
            return
        }
        guard value.count >= 4 else { throw ErrorCode(EINVAL) }
        let number = Int(unsafe value.loadUnaligned(as: CInt.self))
        switch option {
        case .reuseAddress, .reusePort: socket.reusesAddress = number != 0
        case .linger:
            guard value.count >= 8 else { throw ErrorCode(EINVAL) }
            let seconds = unsafe value.loadUnaligned(fromByteOffset: 4, as: CInt.self)
            socket.abortsOnClose = number != 0 && seconds == 0
        case .noDelay:
            socket.settings.nagle = number == 0
            if case .stream(let id) = socket.role { stack.setNagle(id, number == 0, now: now) }
        default:
            try requireIdle(socket)
            try Self.set(option, number, in: &socket)
        }
        sockets[descriptor] = socket
        dropEvents()
    }

    /// What a connection takes when it begins, and does not change.
    private static func set(_ option: Option, _ value: Int, in socket: inout DrivenSocket) throws(ErrorCode) {
        func bounded(_ range: ClosedRange<Int>) throws(ErrorCode) -> Int {
            guard range.contains(value) else { throw ErrorCode(EINVAL) }
            return value
        }
        let smallest = ConnectionConfiguration.smallestBuffer
        let largest = ConnectionConfiguration.largestBuffer
        switch option {
        // Out of range is clamped, as by the BSD call.
        case .sendBuffer: socket.settings.setSendBuffer(min(max(value, smallest), largest))
        case .receiveBuffer: socket.settings.setReceiveBuffer(min(max(value, smallest), largest))
        case .keepAlive:
            socket.keepsAlive = value != 0
            socket.settings.keepalive = value != 0 ? socket.settings.keepalive ?? .seconds(7200) : nil
        case .keepIdle: socket.settings.keepalive = .seconds(Int64(try bounded(1...32_767)))
        case .keepInterval: socket.settings.keepaliveInterval = .seconds(Int64(try bounded(1...32_767)))
        case .keepCount: socket.settings.keepaliveProbes = try bounded(1...127)
        case .synCount: socket.settings.synRetries = try bounded(1...20)
        case .userTimeout: socket.settings.userTimeout = .milliseconds(Int64(try bounded(1...Int(CInt.max))))
        case .unsentLow: socket.settings.unsentBuffer = try bounded(1...largest)
        default: throw ErrorCode(ENOPROTOOPT)
        }
    }

    private func requireIdle(_ socket: DrivenSocket) throws(ErrorCode) {
        guard case .idle = socket.role else { throw ErrorCode(EISCONN) }
    }

    /// SO_ERROR: the connection's failure, told once.
    private func takeError(_ descriptor: CInt) -> CInt {
        guard let readiness = try? stream(descriptor).readiness, let code = pendingError(descriptor, readiness) else {
            return 0
        }
        sockets[descriptor]?.isErrorTold = true
        return code
    }

    private func isListener(_ socket: DrivenSocket) -> Bool {
        if case .listener = socket.role { return true }
        return false
    }

    /// Before a connection: whether it would be offered.
    private func isMultipath(_ socket: DrivenSocket) -> Bool {
        guard case .stream(let id) = socket.role else { return socket.isMultipathSocket }
        return stack.snapshot(id)?.isMultipath ?? false
    }

    private func number(_ value: some BinaryInteger) -> [UInt8] {
        let word = UInt32(bitPattern: CInt(clamping: value)).littleEndian
        return (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
}
