import Foundation

public enum AddressFamily: String, CaseIterable, Sendable, CustomStringConvertible {
    case v4 = "IPv4"
    case v6 = "IPv6"
    public var description: String { rawValue }
    public var wildcard: String { self == .v4 ? "0.0.0.0" : "::" }
}

/// How our stack reaches the links.
public enum BackendKind: String, CaseIterable, Sendable, CustomStringConvertible {
    /// Packet sockets on the links' own interfaces.
    case packetSocket = "packet socket"
    /// TUN devices of our own; the namespace's kernel routes between them and the links.
    case tun = "TUN"
    public var description: String { rawValue }
}

/// Two namespaces and two links between them, each its own subnet: `near` (where our stack usually is) and `far`.
///
/// Link i joins near's `out<i>` (10.71.i.1, fd71:i::1) and far's `in<i>` (10.71.i.2, fd71:i::2). Both kernels have a
/// default route over each link, the second with a worse metric, as a machine with two uplinks has. In TUN mode near's
/// stack has 10.72.i.2 (fd72:i::2) behind `stack<i>`, and far's (when ours too) 10.73.i.2; near sends what comes from
/// `stack<i>` over link i, and far returns it over the link of the destination's subnet.
public final class TwoLinkLab {
    public let near: Namespace
    public let far: Namespace
    public let family: AddressFamily
    public let backend: BackendKind
    public private(set) var links: [Link?] = []
    public let scratch: ScratchFolder

    public init(
        family: AddressFamily, backend: BackendKind, links kinds: [LinkKind], kernelChecksum: Bool = false
    ) throws {
        self.family = family
        self.backend = backend
        scratch = try ScratchFolder(prefix: "lab")
        near = try Namespace("near")
        far = try Namespace("far")
        for space in [near, far] {
            try space.setSysctl("net.mptcp.checksum_enabled", kernelChecksum ? 1 : 0)
            try space.setSysctl("net.ipv4.ip_forward", 1)
            try space.setSysctl("net.ipv6.conf.all.forwarding", 1)
            try space.ip("mptcp limits set subflows 8 add_addr_accepted 8")
        }
        for (index, kind) in kinds.enumerated() {
            try addLink(index + 1, kind)
        }
    }

    // MARK: Addresses

    /// The near kernel's address on link `index` (from 1).
    public func nearAddress(_ index: Int) -> String { address(71, index, 1) }
    public func farAddress(_ index: Int) -> String { address(71, index, 2) }
    /// Where our stack in `near` is reached over link `index`.
    public func nearStack(_ index: Int) -> String { backend == .tun ? address(72, index, 2) : nearAddress(index) }
    /// Where our stack in `far` is reached.
    public func farStack(_ index: Int) -> String { backend == .tun ? address(73, index, 2) : farAddress(index) }

    /// `--path …` for our stack in `near`, the first link first.
    public var nearPaths: [String] { paths(block: 72, device: "out", count: links.count) }
    /// `--path …` for our stack in `far`.
    public var farPaths: [String] { paths(block: 73, device: "in", count: links.count) }

    private func address(_ block: Int, _ link: Int, _ host: Int) -> String {
        family == .v4 ? "10.\(block).\(link).\(host)" : "fd\(block):\(link)::\(host)"
    }

    private func subnet(_ block: Int, _ link: Int) -> String {
        family == .v4 ? "10.\(block).\(link).0/24" : "fd\(block):\(link)::/64"
    }

    private var prefix: Int { family == .v4 ? 24 : 64 }
    private var ipFamily: String { family == .v4 ? "-4" : "-6" }

    private func paths(block: Int, device: String, count: Int) -> [String] {
        (1...count).flatMap { index -> [String] in
            switch backend {
            case .packetSocket:
                return ["--path", "\(device)\(index)"]
            case .tun:
                let own = address(block, index, 2)
                let kernel = address(block, index, 1)
                return ["--path", "tun:stack\(index),address=\(own)/\(prefix),gateway=\(kernel)"]
            }
        }
    }

    // MARK: Set-up

    /// Makes link `index`, one more than there are.
    public func addLink(_ index: Int, _ kind: LinkKind) throws {
        let (out, into) = ("out\(index)", "in\(index)")
        links.append(
            try Link(
                kind, from: near, out, ["\(nearAddress(index))/\(prefix)"],
                to: far, into, ["\(farAddress(index))/\(prefix)"]))
        let metric = 100 * index
        try near.ip("\(ipFamily) route add default via \(farAddress(index)) dev \(out) metric \(metric)")
        try far.ip("\(ipFamily) route add default via \(nearAddress(index)) dev \(into) metric \(metric)")
        if backend == .tun {
            // Out by the device that it came from; back by the destination's subnet.
            try near.ip("\(ipFamily) route add default via \(farAddress(index)) dev \(out) table \(100 + index)")
            try near.ip("\(ipFamily) rule add pref \(100 + index) iif stack\(index) lookup \(100 + index)")
            try far.ip("\(ipFamily) route add \(subnet(72, index)) via \(nearAddress(index)) dev \(into)")
        }
    }

    /// Far's kernel announces its address on every link but the first (ADD_ADDR).
    public func announceFarAddresses() throws {
        for index in 2...max(2, links.count) where index <= links.count {
            try far.ip("mptcp endpoint add \(farAddress(index)) dev in\(index) signal")
        }
    }

    // MARK: Our listener

    /// `mptcp cat --listen`, returned once it listens.
    ///
    /// Like nc it says nothing by then, so the lab looks at what the namespace shows: the port that is reserved in the
    /// kernel, or the TUN devices that are up.
    public func startListener(
        in space: Namespace, _ options: [String], _ port: String, input: String?
    ) throws -> ToolRun {
        let run = try ToolRun(in: space, ["cat"] + options + ["--listen", port], input: input)
        let deadline = ContinuousClock.now + .seconds(10)
        while try !isListening(in: space, port) {
            guard run.child.isRunning, ContinuousClock.now < deadline else {
                throw LabError("does not listen: \(run.child.summary)")
            }
            usleep(20_000)
        }
        usleep(100_000)
        return run
    }

    private func isListening(in space: Namespace, _ port: String) throws -> Bool {
        switch backend {
        case .packetSocket:
            return try space.run(inside: "ss -Hltn").contains(":\(port) ")
        case .tun:
            let devices = try space.ip("-brief link show up")
            return links.indices.allSatisfy { devices.contains("stack\($0 + 1)") }
        }
    }

    // MARK: Faults

    /// Stops an emulated link: its devices stay up, and nothing passes any more.
    public func freezeEmulator(_ index: Int) throws {
        guard let link = links[index - 1] else { throw LabError("no link \(index)") }
        try link.freeze()
    }

    /// Cuts an emulated link: both its devices vanish.
    public func dropEmulator(_ index: Int) {
        links[index - 1] = nil
    }

    public func setNearDevice(_ index: Int, up: Bool) throws {
        try near.ip("link set out\(index) \(up ? "up" : "down")")
    }

    public func setFarDevice(_ index: Int, up: Bool) throws {
        try far.ip("link set in\(index) \(up ? "up" : "down")")
    }

    /// The interface is gone, as when a USB modem is pulled.
    public func deleteNearDevice(_ index: Int) throws {
        try near.ip("link delete out\(index)")
    }

    /// A veth pair that was deleted is there again, with other hardware addresses and the same IP addresses.
    public func restoreLink(_ index: Int, _ kind: LinkKind) throws {
        let old = links.count
        try addLink(index, kind)
        links[index - 1] = links.remove(at: old)
    }

    /// Takes an address off link `index`'s near device or puts it there, with the default route that a host has with it.
    public func setNearAddress(_ address: String, on index: Int, present: Bool) throws {
        try near.ip("address \(present ? "add" : "del") \(address)/\(prefix) dev out\(index)")
        if present {
            try near.ip(
                "\(ipFamily) route replace default via \(farAddress(index)) dev out\(index) metric \(100 * index)")
        }
    }
}
