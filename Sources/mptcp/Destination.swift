import ArgumentParser
import Glibc
import TransportValues

/// HOST and PORT of a command, or `--listen PORT`.
struct DestinationArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("A name or an address; with --listen, none", valueName: "host"))
    var host: String?

    @Argument(help: ArgumentHelp("1...65535", valueName: "port"))
    var port: UInt16?

    @Option(
        help: ArgumentHelp("Accept a connection at this port of every address instead of making one", valueName: "port")
    )
    var listen: UInt16?

    func validate() throws {
        if let listen {
            if host != nil { throw ValidationError("--listen PORT takes no HOST") }
            if listen == 0 { throw ValidationError("--listen wants a port between 1 and 65535") }
            return
        }
        guard host != nil else { throw ValidationError("HOST PORT or --listen PORT is missing") }
        guard let port, port != 0 else { throw ValidationError("PORT is missing, a number between 1 and 65535") }
    }

    /// Where HOST PORT may be, best first.
    func endpoints() throws -> [Endpoint] {
        guard let host, let port else { throw ValidationError("HOST PORT is missing") }
        if let address = IPAddress(host) { return [Endpoint(address, port)] }
        return try resolve(host).map { Endpoint($0, port) }
    }
}

/// The addresses of a name, as the system's resolver orders them. Blocks.
private func resolve(_ name: String) throws(ToolFailure) -> [IPAddress] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else {
        let reason = unsafe gai_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
        throw ToolFailure(status: 1, "cannot resolve \(name): \(reason)")
    }
    defer { unsafe freeaddrinfo(list) }
    var result: [IPAddress] = []
    var entry = unsafe list
    while let one = unsafe entry {
        if let address = unsafe IPAddress(one.pointee.ai_addr), !result.contains(address) { result.append(address) }
        unsafe entry = one.pointee.ai_next
    }
    return result
}

extension IPAddress {
    /// The address in a `sockaddr_in` or `sockaddr_in6`.
    fileprivate init?(_ address: UnsafeMutablePointer<sockaddr>?) {
        guard let address = unsafe address else { return nil }
        switch Int32(unsafe address.pointee.sa_family) {
        case AF_INET:
            let value = unsafe UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
            self.init(ipv4: UInt32(bigEndian: value.sin_addr.s_addr))
        case AF_INET6:
            var value = unsafe UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in6.self)
            let halves = unsafe withUnsafeBytes(of: &value.sin6_addr) { bytes in
                unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self.init(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
        default: return nil
        }
    }
}
