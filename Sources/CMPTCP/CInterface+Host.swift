// swift-format-ignore-file: AlwaysUseLowerCamelCase
public import CMPTCPHeader
import Glibc
import HostStack
import MPTCPConnection
import TransportValues

// The functions of cmptcp.h about hosts, packets and time. What they mean stands there.

@c @implementation
public func cmptcp_host_create(_ config: UnsafePointer<cmptcp_config>!, _ now: Int64) -> OpaquePointer! {
    guard let config = unsafe config else {
        errno = EFAULT
        return unsafe OpaquePointer(bitPattern: 0)
    }
    do throws(ErrorCode) {
        // `size` comes first: a shorter structure is older than this header, a longer one is read as far as it is known.
        let size = unsafe UnsafeRawPointer(config).loadUnaligned(as: Int.self)
        guard unsafe size >= MemoryLayout<cmptcp_config>.size, size <= 4096 else { throw ErrorCode(EINVAL) }
        let values = unsafe UnsafeRawPointer(config).loadUnaligned(as: cmptcp_config.self)
        let settings = try unsafe ConnectionConfiguration(values)
        let host = DrivenHost(settings, seed: unsafe values.seed, now: try DrivenHost.instant(now))
        return unsafe HostTable.insert(host)
    } catch {
        errno = error.code
        return unsafe OpaquePointer(bitPattern: 0)
    }
}

@c @implementation
public func cmptcp_host_destroy(_ host: OpaquePointer!) { unsafe HostTable.remove(host) }

@c @implementation
public func cmptcp_interface_add(_ host: OpaquePointer!, _ interface: CInt, _ mtu: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.addInterface(interface, mtu: mtu)
        return 0
    }
}

@c @implementation
public func cmptcp_address_add(
    _ host: OpaquePointer!, _ interface: CInt, _ address: UnsafePointer<sockaddr>!, _ prefix: CInt
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.addAddress(try unsafe SocketAddress.read(address).address, prefix: prefix, to: interface)
        return 0
    }
}

@c @implementation
public func cmptcp_address_remove(_ host: OpaquePointer!, _ address: UnsafePointer<sockaddr>!) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.removeAddress(try unsafe SocketAddress.read(address).address)
        return 0
    }
}

@c @implementation
public func cmptcp_endpoint_add(
    _ host: OpaquePointer!, _ id: CInt, _ address: UnsafePointer<sockaddr>!, _ flags: CInt
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.addEndpoint(id, try unsafe SocketAddress.read(address), flags: flags)
        return 0
    }
}

@c @implementation
public func cmptcp_endpoint_remove(_ host: OpaquePointer!, _ id: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.removeEndpoint(id)
        return 0
    }
}

@c @implementation
public func cmptcp_limits(_ host: OpaquePointer!, _ subflows: CInt, _ accepted: CInt) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        // Further subflows, the first not counted, as `ip mptcp limits` has it.
        guard (0...31).contains(subflows), (0...32).contains(accepted) else { throw ErrorCode(EINVAL) }
        host.template.maximumSubflows = Int(subflows) + 1
        host.template.acceptedAddresses = Int(accepted)
        return 0
    }
}

@c @implementation
public func cmptcp_option(_ host: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ value: Int64) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        guard let text = try unsafe ConnectionConfiguration.name(name) else { throw ErrorCode(EFAULT) }
        guard let setting = SettingName(rawValue: text) else { throw ErrorCode(ENOENT) }
        guard setting.set(value, in: &host.template) else { throw ErrorCode(EINVAL) }
        return 0
    }
}

// MARK: Packets and time

@c @implementation
public func cmptcp_packet_in(
    _ host: OpaquePointer!, _ interface: CInt, _ packet: UnsafeRawPointer!, _ length: Int, _ now: Int64
) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        guard length >= 0, length <= 65_575 else { throw ErrorCode(EMSGSIZE) }
        guard let packet = unsafe packet else { throw ErrorCode(EFAULT) }
        try host.receive(unsafe RawSpan(_unsafeStart: packet, byteCount: length), on: interface, at: now)
        return 0
    }
}

@c @implementation
public func cmptcp_packet_out(
    _ host: OpaquePointer!, _ interface: UnsafeMutablePointer<CInt>!, _ packet: UnsafeMutableRawPointer!,
    _ capacity: Int, _ now: Int64
) -> Int {
    unsafe call(host) { host throws(ErrorCode) -> Int in
        guard let packet = unsafe packet else { throw ErrorCode(EFAULT) }
        guard capacity >= 0 else { throw ErrorCode(EINVAL) }
        let sent = try unsafe host.transmit(capacity: capacity, at: now, into: packet)
        if sent.length > 0, let interface = unsafe interface { unsafe interface.pointee = sent.interface }
        return sent.length
    }
}

@c @implementation
public func cmptcp_advance(_ host: OpaquePointer!, _ now: Int64) -> CInt {
    unsafe call(host) { host throws(ErrorCode) -> CInt in
        try host.move(to: now)
        return 0
    }
}

@c @implementation
public func cmptcp_next_deadline(_ host: OpaquePointer!) -> Int64 {
    guard let host = unsafe HostTable.find(host) else {
        // Never due: a loop that waits for it waits, and does not spin.
        errno = EINVAL
        return .max
    }
    return host.nextDeadline
}

@c @implementation
public func cmptcp_counter(_ host: OpaquePointer!, _ name: UnsafePointer<CChar>!) -> Int64 {
    unsafe call(host) { host throws(ErrorCode) -> Int64 in
        guard let text = try unsafe ConnectionConfiguration.name(name) else { throw ErrorCode(EFAULT) }
        guard let value = host.counter(text) else { throw ErrorCode(ENOENT) }
        return Int64(clamping: value)
    }
}
