import Glibc
import HostStack
import MPTCPConnection
import TransportValues

/// The socket calls, on a non-blocking socket.
extension DrivenHost {
    static let multipathProtocol: CInt = 262

    func open(domain: CInt, type: CInt, protocolNumber: CInt) throws(ErrorCode) -> CInt {
        guard domain == AF_INET || domain == AF_INET6 else { throw ErrorCode(EAFNOSUPPORT) }
        let hints = CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        guard type & ~hints == CInt(SOCK_STREAM.rawValue) else { throw ErrorCode(EPROTOTYPE) }
        var settings = template
        let isMultipath = protocolNumber == Self.multipathProtocol
        switch protocolNumber {
        case 0, CInt(IPPROTO_TCP): settings.multipath = .off
        case Self.multipathProtocol where template.multipath != .off: break
        default: throw ErrorCode(EPROTONOSUPPORT)
        }
        return try insert(
            DrivenSocket(isIPv6: domain == AF_INET6, settings: settings, isMultipathSocket: isMultipath))
    }

    /// - Parameter isIPv6: the family that the address structure named.
    func bind(_ descriptor: CInt, _ endpoint: Endpoint, isIPv6: Bool) throws(ErrorCode) {
        let socket = try socket(descriptor)
        guard case .idle = socket.role, socket.bound == nil else { throw ErrorCode(EINVAL) }
        guard socket.isIPv6 == isIPv6 else { throw ErrorCode(EAFNOSUPPORT) }
        guard endpoint.address.isUnspecified || stack.isLocal(endpoint.address) else { throw ErrorCode(EADDRNOTAVAIL) }
        // Chosen before the table is written to: choosing reads it.
        let free = try freeEndpoint(endpoint, reuse: socket.reusesAddress)
        sockets[descriptor]?.bound = free
    }

    /// The endpoint, with a port where it has none; throws where another socket has it.
    private func freeEndpoint(_ endpoint: Endpoint, reuse: Bool) throws(ErrorCode) -> Endpoint {
        if endpoint.port != 0 {
            guard !isTaken(endpoint, reuse: reuse) else { throw ErrorCode(EADDRINUSE) }
            return endpoint
        }
        for _ in 49_152...65_535 {
            lastPort = lastPort == 65_535 ? 49_152 : lastPort + 1
            let choice = Endpoint(endpoint.address, lastPort)
            if !isTaken(choice, reuse: false) { return choice }
        }
        throw ErrorCode(EADDRINUSE)
    }

    private func isTaken(_ endpoint: Endpoint, reuse: Bool) -> Bool {
        sockets.values.contains { other in
            guard let bound = other.bound, bound.port == endpoint.port else { return false }
            let overlaps =
                bound.address == endpoint.address || bound.address == .anyIPv6 || endpoint.address == .anyIPv6
                || (bound.address.isIPv6 == endpoint.address.isIPv6
                    && (bound.address.isUnspecified || endpoint.address.isUnspecified))
            if case .listener = other.role { return overlaps }
            return overlaps && !(reuse && other.reusesAddress)
        }
    }

    func listen(_ descriptor: CInt, backlog: CInt) throws(ErrorCode) {
        let socket = try socket(descriptor)
        switch socket.role {
        case .listener: return
        case .stream: throw ErrorCode(EINVAL)
        case .idle: break
        }
        let endpoint =
            if let bound = socket.bound { bound } else {
                try freeEndpoint(Endpoint(socket.anyAddress, 0), reuse: false)
            }
        // A negative backlog is the largest, as Linux takes it.
        let length = backlog < 0 ? 4096 : Int(min(max(backlog, 1), 4096))
        do throws(HostError) {
            let id = try stack.listen(on: endpoint, backlog: length, configuration: socket.settings, now: now)
            sockets[descriptor]?.role = .listener(id)
            sockets[descriptor]?.bound = endpoint
        } catch { throw ErrorCode(error.errorCode) }
    }

    func accept(_ descriptor: CInt) throws(ErrorCode) -> (descriptor: CInt, peer: Endpoint) {
        let socket = try socket(descriptor)
        guard case .listener(let listener) = socket.role else { throw ErrorCode(EINVAL) }
        guard stack.isAcceptable(listener) else { throw ErrorCode(EAGAIN) }
        guard sockets.count < Self.socketLimit else { throw ErrorCode(EMFILE) }
        guard let id = stack.accept(listener), let peer = stack.remoteEndpoint(id) else {
            throw ErrorCode(ECONNABORTED)
        }
        var fresh = DrivenSocket(
            isIPv6: socket.isIPv6, settings: socket.settings, isMultipathSocket: socket.isMultipathSocket)
        fresh.role = .stream(id)
        fresh.keepsAlive = socket.keepsAlive
        return (try insert(fresh), peer)
    }

    func connect(_ descriptor: CInt, to remote: Endpoint, isIPv6: Bool) throws(ErrorCode) {
        var socket = try socket(descriptor)
        guard socket.isIPv6 == isIPv6 else { throw ErrorCode(EAFNOSUPPORT) }
        switch socket.role {
        case .listener: throw ErrorCode(EISCONN)
        case .idle: break
        case .stream(let id):
            let readiness = try stream(descriptor).readiness
            if readiness.wasEstablished { throw ErrorCode(EISCONN) }
            if readiness.closeReason == nil { throw ErrorCode(EALREADY) }
            try tellError(descriptor, readiness)
            // The attempt failed and the caller knows: the socket may try again.
            stack.release(id, now: now)
            socket.role = .idle
        }
        guard remote.port != 0 else { throw ErrorCode(EADDRNOTAVAIL) }
        let from = socket.bound.flatMap { $0.address.isUnspecified ? nil : $0.address }
        do throws(HostError) {
            let id = try stack.connect(
                to: remote, from: from, localPort: socket.bound?.port, configuration: socket.settings, now: now)
            socket.role = .stream(id)
        } catch { throw ErrorCode(error.errorCode) }
        socket.isErrorTold = false
        sockets[descriptor] = socket
        dropEvents()
        throw ErrorCode(EINPROGRESS)
    }

    func shutdown(_ descriptor: CInt, how: CInt) throws(ErrorCode) {
        let socket = try socket(descriptor)
        guard how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR else { throw ErrorCode(EINVAL) }
        if case .listener = socket.role { throw ErrorCode(ENOTCONN) }
        let (id, readiness) = try stream(descriptor)
        guard readiness.wasEstablished, readiness.closeReason == nil || readiness.closeReason == .finished else {
            throw ErrorCode(ENOTCONN)
        }
        if how != SHUT_WR { sockets[descriptor]?.isReadShut = true }
        if how != SHUT_RD {
            sockets[descriptor]?.isWriteShut = true
            stack.finishWriting(id, now: now)
            dropEvents()
        }
    }

    func close(_ descriptor: CInt) throws(ErrorCode) {
        let socket = try socket(descriptor)
        sockets[descriptor] = nil
        switch socket.role {
        case .idle: break
        case .listener(let id): stack.closeListener(id, now: now)
        case .stream(let id):
            //= RFC 9293 §3.6.1 SHLD-3 a close with received data unread SHOULD send a RST
            if socket.abortsOnClose || stack.readiness(id)?.readable ?? 0 > 0 { stack.abort(id, now: now) }
            stack.release(id, now: now)
        }
        dropEvents()
    }

    // MARK: The stream

    func receive(_ descriptor: CInt, into target: UnsafeMutableRawBufferPointer, flags: CInt) throws(ErrorCode) -> Int {
        let known = CInt(MSG_PEEK) | CInt(MSG_DONTWAIT) | CInt(MSG_WAITALL) | CInt(MSG_NOSIGNAL)
        guard flags & ~known == 0 else { throw ErrorCode(flags & CInt(MSG_OOB) != 0 ? EINVAL : EOPNOTSUPP) }
        let (id, readiness) = try stream(descriptor)
        if unsafe target.isEmpty, readiness.wasEstablished { return 0 }
        if readiness.readable > 0 {
            let count = min(target.count, readiness.readable)
            var span = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
            if flags & CInt(MSG_PEEK) != 0 { return stack.peek(id, into: &span) }
            guard case .bytes(let read) = stack.read(id, into: &span, now: now) else { throw ErrorCode(EAGAIN) }
            dropEvents()
            return read
        }
        if readiness.isEndOfStream { return 0 }
        try tellError(descriptor, readiness)
        if readiness.closeReason != nil || sockets[descriptor]?.isReadShut == true { return 0 }
        throw ErrorCode(EAGAIN)
    }

    func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, flags: CInt) throws(ErrorCode) -> Int {
        let known = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL) | CInt(MSG_MORE)
        guard flags & ~known == 0 else { throw ErrorCode(EOPNOTSUPP) }
        let (id, readiness) = try stream(descriptor)
        try tellError(descriptor, readiness)
        guard sockets[descriptor]?.isWriteShut == false, readiness.closeReason == nil else { throw ErrorCode(EPIPE) }
        guard readiness.wasEstablished else { throw ErrorCode(EAGAIN) }
        if unsafe bytes.isEmpty { return 0 }
        let count = min(bytes.count, readiness.writable)
        if count > 0 {
            let taken = unsafe stack.write(
                id, RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[..<count])), now: now)
            if taken > 0 { return taken }
        }
        throw ErrorCode(EAGAIN)
    }

    /// What `poll` would report of one descriptor, without regard to what was asked for.
    func readyEvents(_ descriptor: CInt) -> CInt {
        guard let socket = sockets[descriptor] else { return CInt(POLLNVAL) }
        switch socket.role {
        case .idle: return CInt(POLLOUT | POLLHUP)
        case .listener(let id): return stack.isAcceptable(id) ? CInt(POLLIN) | 0x040 : 0
        case .stream(let id):
            guard let readiness = stack.readiness(id) else { return CInt(POLLNVAL) }
            var events: CInt = 0
            let isOver = readiness.closeReason != nil
            let hasEnded = readiness.isEndOfStream || socket.isReadShut
            // POLLRDNORM 0x040, POLLWRNORM 0x100, POLLRDHUP 0x2000.
            if readiness.readable > 0 || hasEnded || isOver { events |= CInt(POLLIN) | 0x040 }
            if hasEnded || isOver { events |= 0x2000 }
            if isOver || hasEnded && socket.isWriteShut { events |= CInt(POLLHUP) }
            if readiness.writable > 0 || isOver || socket.isWriteShut { events |= CInt(POLLOUT) | 0x100 }
            if pendingError(descriptor, readiness) != nil { events |= CInt(POLLERR) }
            return events
        }
    }

    func localEndpoint(_ descriptor: CInt) throws(ErrorCode) -> Endpoint {
        let socket = try socket(descriptor)
        let nothing = socket.bound ?? Endpoint(socket.anyAddress, 0)
        guard case .stream(let id) = socket.role else { return nothing }
        return stack.localEndpoint(id) ?? nothing
    }

    func remoteEndpoint(_ descriptor: CInt) throws(ErrorCode) -> Endpoint {
        let (id, readiness) = try stream(descriptor)
        guard readiness.wasEstablished, readiness.closeReason == nil, let remote = stack.remoteEndpoint(id) else {
            throw ErrorCode(ENOTCONN)
        }
        return remote
    }
}
