import Foundation
import HostStack
import MPTCPSockets
import TransportValues

/// The memory of peers that outlives a run: a line a peer, `network peer kind until times`, the time in seconds since
/// 1970. It is a hint: what can't be read or written costs a handshake more, never the transfer.
struct PeerFile {
    static let limit = 1024
    let path: String

    /// `$XDG_STATE_HOME/mptcp/peers`, by default in `~/.local/state`.
    static var standard: PeerFile {
        let environment = ProcessInfo.processInfo.environment
        let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        return PeerFile(path: (state ?? (environment["HOME"] ?? "") + "/.local/state") + "/mptcp/peers")
    }

    func read() -> [KnownPeer] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return [] }
        let now = Date().timeIntervalSince1970
        return text.split(separator: "\n").prefix(Self.limit).compactMap { Self.parse($0, now: now) }
    }

    private static func parse(_ line: Substring, now: Double) -> KnownPeer? {
        let fields = line.split(separator: " ").map(String.init)
        guard fields.count == 5, let peer = IPAddress(fields[1]), let kind = PeerRecord.Kind(rawValue: fields[2]),
            let until = Double(fields[3]), let times = Int(fields[4]), (1...64).contains(times)
        else { return nil }
        let remaining = until - now
        // Ten hours and forty minutes is the longest that is ever meant: a clock that was set says nothing.
        guard remaining > 0, remaining <= 38_400 else { return nil }
        return KnownPeer(network: fields[0], peer: peer, kind: kind, remaining: remaining, times: times)
    }

    /// Replaces what is known of these networks.
    func merge(_ peers: [KnownPeer], networks: [String]) -> Bool {
        write(read().filter { !networks.contains($0.network) } + peers)
    }

    func write(_ peers: [KnownPeer]) -> Bool {
        let now = Date().timeIntervalSince1970
        let lines = peers.suffix(Self.limit).map {
            "\($0.network) \($0.peer) \($0.kind.rawValue) \(Int64(now + $0.remaining)) \($0.times)\n"
        }
        let folder = (path as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Written beside it and renamed: two runs at once leave one whole file.
        return (try? Data(lines.joined().utf8).write(to: URL(fileURLWithPath: path), options: .atomic)) != nil
    }

    func forget() -> Bool {
        !FileManager.default.fileExists(atPath: path) || (try? FileManager.default.removeItem(atPath: path)) != nil
    }
}
