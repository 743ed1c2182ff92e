import Foundation

/// What this machine lets the lab do.
public enum LabEnvironment {
    /// nil when kernel tests can run here; else one line for a person who wonders why they did not.
    public static let unavailable: String? = {
        if geteuid() != 0 {
            return "needs root (network namespaces); run `sudo make test`"
        }
        if !FileManager.default.isWritableFile(atPath: "/dev/net/tun") {
            return "needs /dev/net/tun (load the tun module)"
        }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 262)
        if descriptor < 0 {
            return "this kernel has no Multipath TCP (CONFIG_MPTCP) or net.mptcp.enabled is 0"
        }
        close(descriptor)
        for program in ["ip", "tc", "nstat", "python3", "timeout", "sysctl"] where !has(program) {
            return "needs \(program); `make test` installs it as root"
        }
        let name = "mptcplab-probe-\(getpid())"
        guard (try? run("ip netns add \(name)")) != nil else {
            return "may not create network namespaces here"
        }
        _ = try? run("ip netns delete \(name)")
        return nil
    }()

    public static var isAvailable: Bool { unavailable == nil }

    public static func has(_ program: String) -> Bool {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return (folders + ["/usr/sbin", "/sbin"]).contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }

    /// MPTCP_LAB_FULL=1: 100 MB each way instead of 40.
    public static let isFull = ProcessInfo.processInfo.environment["MPTCP_LAB_FULL"] == "1"

    /// The package's folder.
    public static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The tool under test: MPTCP_TOOL, or the one that this build made.
    public static let tool: String = {
        if let named = ProcessInfo.processInfo.environment["MPTCP_TOOL"] { return named }
        return packageRoot + "/.build/release/mptcp"
    }()

    /// Another program of this package, from the same build.
    public static func program(_ name: String) -> String { packageRoot + "/.build/release/" + name }

    public static let peerScript = packageRoot + "/Tests/KernelTests/Peers/peer.py"
}
