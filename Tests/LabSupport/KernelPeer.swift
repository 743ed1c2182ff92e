import Foundation

/// One connection as the kernel peer reports it (Tests/KernelTests/Peers/peer.py).
public struct PeerResult: Decodable, Sendable {
    public struct Kernel: Decodable, Sendable {
        public var fallback: Bool
        public var token: UInt32
        public var checksum: Bool
        public var subflowsTotal: Int
        public var retransmits: Int
        public var subflows: [Subflow]
    }
    public struct Subflow: Decodable, Sendable {
        public var local: String
        public var remote: String
        public var bytesAcknowledged: UInt64
        public var bytesReceived: UInt64
    }
    public var connection: Int
    public var seconds: Double?
    public var sent: Int?
    public var sentSHA256: String?
    public var received: Int?
    public var receivedSHA256: String?
    /// The longest time between two bytes that arrived, seconds.
    public var silence: Double?
    public var error: String?
    public var multipath: Bool?
    public var kernel: Kernel?
}

/// A program on kernel sockets in a namespace.
public final class KernelPeer {
    public let child: ChildProcess

    /// Listens at `address` (the wildcard lets joins to announced addresses in) and returns once it does.
    public init(listenIn namespace: Namespace, address: String, port: Int, _ options: [String] = []) throws {
        child = try namespace.start(Self.command("listen", address, port, options))
        try child.waitForOutput("ready")
    }

    public init(connectFrom namespace: Namespace, to address: String, port: Int, _ options: [String] = []) throws {
        child = try namespace.start(Self.command("connect", address, port, options))
    }

    private static func command(_ role: String, _ address: String, _ port: Int, _ options: [String]) -> [String] {
        ["python3", LabEnvironment.peerScript, role, address, String(port)] + options
    }

    /// The results once it has ended, in the order of connections.
    public func results(timeout: Double) throws -> [PeerResult] {
        try child.wait(timeout: timeout)
        let decoder = JSONDecoder()
        let results = try child.output.split(separator: "\n").filter { $0.hasPrefix("{") }.map {
            try decoder.decode(PeerResult.self, from: Data($0.utf8))
        }
        guard !results.isEmpty else { throw LabError("the kernel peer reported nothing: \(child.summary)") }
        return results.sorted { $0.connection < $1.connection }
    }

    public func result(timeout: Double) throws -> PeerResult {
        try results(timeout: timeout)[0]
    }
}
