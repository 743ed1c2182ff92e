import Foundation
import Synchronization

/// A network namespace of its own name, removed with its processes when this object goes away or the process exits.
public final class Namespace {
    public let name: String

    /// - Parameter role: a short word that ends the name, for a person who looks with `ip netns`.
    public init(_ role: String) throws {
        Self.sweep()
        let number = Registry.shared.counter.withLock { value in
            value += 1
            return value
        }
        name = "mptcplab-\(getpid())-\(number)-\(role)"
        try run("ip netns add \(name)")
        Registry.shared.names.withLock { _ = $0.insert(name) }
        try run("ip -n \(name) link set lo up")
        // Duplicate address detection would hold every new IPv6 address back for a second. Reverse path filters
        // would refuse an address of one link that arrives over the other.
        try setSysctl("net.ipv6.conf.default.accept_dad", 0)
        try setSysctl("net.ipv6.conf.all.accept_dad", 0)
        try setSysctl("net.ipv4.conf.all.rp_filter", 0)
        try setSysctl("net.ipv4.conf.default.rp_filter", 0)
    }

    deinit {
        remove()
    }

    /// Kills what runs inside and removes it; more than once is harmless.
    public func remove() {
        let known = Registry.shared.names.withLock { $0.remove(name) }
        if known != nil {
            Self.remove(name)
        }
    }

    /// Starts a command inside.
    public func start(
        _ command: [String], streams: ChildProcess.Streams = ChildProcess.Streams(), limit: Int = 120
    ) throws -> ChildProcess {
        try ChildProcess(["ip", "netns", "exec", name] + command, streams: streams, limit: limit)
    }

    /// Runs a command inside to its end; returns its output, throws unless it exits with 0.
    @discardableResult
    public func run(inside command: String, timeout: Double = 30) throws -> String {
        try run("ip netns exec \(name) \(command)", timeout: timeout)
    }

    /// `ip -n NAME …`
    @discardableResult
    public func ip(_ arguments: String) throws -> String {
        try run("ip -n \(name) \(arguments)")
    }

    public func setSysctl(_ key: String, _ value: Int) throws {
        try run("ip netns exec \(name) sysctl -qw \(key)=\(value)")
    }

    @discardableResult
    private func run(_ command: String, timeout: Double = 30) throws -> String {
        try LabSupport.run(command, timeout: timeout)
    }

    fileprivate static func remove(_ name: String) {
        let inside = (try? LabSupport.run("ip netns pids \(name)")) ?? ""
        for process in inside.split(separator: "\n").compactMap({ pid_t($0) }) {
            _ = kill(process, SIGKILL)
        }
        _ = try? LabSupport.run("ip netns delete \(name)")
    }

    /// Removes, once a process, what a killed run has left behind.
    private static func sweep() {
        guard Registry.shared.swept.exchange(true, ordering: .relaxed) == false else { return }
        _ = atexit { Registry.shared.removeAll() }
        for line in ((try? LabSupport.run("ip netns list")) ?? "").split(separator: "\n") {
            let name = String(line.prefix { $0 != " " })
            let parts = name.split(separator: "-")
            guard parts.count >= 3, parts[0] == "mptcplab", let owner = pid_t(parts[1]) else { continue }
            if kill(owner, 0) != 0 && errno == ESRCH {
                remove(name)
            }
        }
    }
}

/// What this process has made and not yet removed.
private final class Registry: Sendable {
    static let shared = Registry()
    let names = Mutex<Set<String>>([])
    let counter = Mutex(0)
    let swept = Atomic(false)

    func removeAll() {
        let left = names.withLock { names in
            defer { names = [] }
            return names
        }
        for name in left {
            Namespace.remove(name)
        }
    }
}
