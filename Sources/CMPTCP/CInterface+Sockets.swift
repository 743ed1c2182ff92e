// swift-format-ignore-file: AlwaysUseLowerCamelCase
public import CMPTCPHeader
public import Glibc
import TransportValues

// The socket calls of cmptcp.h: each is its BSD namesake's, on a non-blocking socket.

@c @implementation
public func cmptcp_socket(_ host: OpaquePointer!, _ domain: CInt, _ type: CInt, _ number: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.open(domain: domain, type: type, protocolNumber: number)
    }
}

@c @implementation
public func cmptcp_bind(
    _ host: OpaquePointer!, _ socket: CInt, _ address: UnsafePointer<sockaddr>!, _ length: socklen_t
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        _ = try host.socket(socket)
        let endpoint = try unsafe SocketAddress.read(address, length: length)
        try host.bind(socket, endpoint, isIPv6: unsafe SocketAddress.isIPv6(address))
        return 0
    }
}

@c @implementation
public func cmptcp_listen(_ host: OpaquePointer!, _ socket: CInt, _ backlog: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.listen(socket, backlog: backlog)
        return 0
    }
}

@c @implementation
public func cmptcp_accept(
    _ host: OpaquePointer!, _ socket: CInt, _ address: UnsafeMutablePointer<sockaddr>!,
    _ length: UnsafeMutablePointer<socklen_t>!
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        let listener = try host.socket(socket)
        // Looked at before a connection is taken, so that none is lost to a bad argument.
        if unsafe address != nil {
            guard let length = unsafe length else { throw ErrorCode(EFAULT) }
            guard unsafe length.pointee <= UInt32(CInt.max) else { throw ErrorCode(EINVAL) }
        }
        let (fresh, peer) = try host.accept(socket)
        if unsafe address != nil {
            try unsafe SocketAddress.write(peer, asIPv6: listener.isIPv6, to: address, length: length)
        }
        return fresh
    }
}

@c @implementation
public func cmptcp_connect(
    _ host: OpaquePointer!, _ socket: CInt, _ address: UnsafePointer<sockaddr>!, _ length: socklen_t
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        _ = try host.socket(socket)
        let endpoint = try unsafe SocketAddress.read(address, length: length)
        try host.connect(socket, to: endpoint, isIPv6: unsafe SocketAddress.isIPv6(address))
        return 0
    }
}

@c @implementation
public func cmptcp_recv(
    _ host: OpaquePointer!, _ socket: CInt, _ buffer: UnsafeMutableRawPointer!, _ length: Int, _ flags: CInt
) -> Int {
    unsafe call(host) { host throws(ErrorCode) -> Int in
        _ = try host.socket(socket)
        guard length >= 0 else { throw ErrorCode(EINVAL) }
        guard unsafe buffer != nil || length == 0 else { throw ErrorCode(EFAULT) }
        return try unsafe host.receive(
            socket, into: UnsafeMutableRawBufferPointer(start: buffer, count: length), flags: flags)
    }
}

@c @implementation
public func cmptcp_send(
    _ host: OpaquePointer!, _ socket: CInt, _ buffer: UnsafeRawPointer!, _ length: Int, _ flags: CInt
) -> Int {
    unsafe call(host) { host throws(ErrorCode) -> Int in
        _ = try host.socket(socket)
        guard length >= 0 else { throw ErrorCode(EINVAL) }
        guard unsafe buffer != nil || length == 0 else { throw ErrorCode(EFAULT) }
        return try unsafe host.send(socket, UnsafeRawBufferPointer(start: buffer, count: length), flags: flags)
    }
}

@c @implementation
public func cmptcp_shutdown(_ host: OpaquePointer!, _ socket: CInt, _ how: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.shutdown(socket, how: how)
        return 0
    }
}

@c @implementation
public func cmptcp_close(_ host: OpaquePointer!, _ socket: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.close(socket)
        return 0
    }
}

@c @implementation
public func cmptcp_getsockopt(
    _ host: OpaquePointer!, _ socket: CInt, _ level: CInt, _ name: CInt, _ value: UnsafeMutableRawPointer!,
    _ length: UnsafeMutablePointer<socklen_t>!
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        _ = try host.socket(socket)
        guard let value = unsafe value, let length = unsafe length else { throw ErrorCode(EFAULT) }
        guard unsafe length.pointee <= UInt32(CInt.max) else { throw ErrorCode(EINVAL) }
        let bytes = try host.option(socket, level: level, name: name)
        let count = min(bytes.count, unsafe Int(length.pointee))
        for index in 0..<count { unsafe value.storeBytes(of: bytes[index], toByteOffset: index, as: UInt8.self) }
        unsafe length.pointee = socklen_t(count)
        return 0
    }
}

@c @implementation
public func cmptcp_setsockopt(
    _ host: OpaquePointer!, _ socket: CInt, _ level: CInt, _ name: CInt, _ value: UnsafeRawPointer!,
    _ length: socklen_t
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        _ = try host.socket(socket)
        guard let value = unsafe value else { throw ErrorCode(EFAULT) }
        guard length <= UInt32(CInt.max) else { throw ErrorCode(EINVAL) }
        try unsafe host.setOption(
            socket, level: level, name: name, UnsafeRawBufferPointer(start: value, count: min(Int(length), 64)))
        return 0
    }
}

@c @implementation
public func cmptcp_getsockname(
    _ host: OpaquePointer!, _ socket: CInt, _ address: UnsafeMutablePointer<sockaddr>!,
    _ length: UnsafeMutablePointer<socklen_t>!
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        let isIPv6 = try host.socket(socket).isIPv6
        try unsafe SocketAddress.write(try host.localEndpoint(socket), asIPv6: isIPv6, to: address, length: length)
        return 0
    }
}

@c @implementation
public func cmptcp_getpeername(
    _ host: OpaquePointer!, _ socket: CInt, _ address: UnsafeMutablePointer<sockaddr>!,
    _ length: UnsafeMutablePointer<socklen_t>!
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        let isIPv6 = try host.socket(socket).isIPv6
        try unsafe SocketAddress.write(try host.remoteEndpoint(socket), asIPv6: isIPv6, to: address, length: length)
        return 0
    }
}

@c @implementation
public func cmptcp_poll(_ host: OpaquePointer!, _ sockets: UnsafeMutablePointer<pollfd>!, _ count: nfds_t) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        guard count <= DrivenHost.socketLimit else { throw ErrorCode(EINVAL) }
        if count == 0 { return 0 }
        guard let sockets = unsafe sockets else { throw ErrorCode(EFAULT) }
        let always = CInt(POLLERR | POLLHUP | POLLNVAL)
        var ready: CInt = 0
        for index in 0..<Int(count) {
            let asked = unsafe sockets[index]
            let events = asked.fd < 0 ? 0 : host.readyEvents(asked.fd) & (CInt(asked.events) | always)
            unsafe sockets[index].revents = Int16(truncatingIfNeeded: events)
            if events != 0 { ready += 1 }
        }
        return ready
    }
}
