import ArgumentParser
import HostStack
import MPTCPSockets

/// `mptcp show`: what is remembered between runs.
struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show, or forget, what runs with --remember-peers have learnt of peers",
        discussion: """
            A peer that speaks only version 0, or to which SYNs with MP_CAPABLE do not get through, is begun with \
            accordingly the next time: for ten minutes at first, twice as long each time, at most ten hours, and only \
            in the same network (interface and subnet). It is kept in $XDG_STATE_HOME/mptcp/peers, by default \
            ~/.local/state/mptcp/peers.
            """)

    @Flag(help: "List the peers") var peers = false
    @Flag(help: "Forget them all") var forgetPeers = false

    func validate() throws {
        guard peers || forgetPeers else {
            throw ValidationError("nothing to show: --peers or --forget-peers is missing")
        }
    }

    func run() throws {
        let file = PeerFile.standard
        if peers {
            let known = file.read()
            for peer in known.sorted(by: { ($0.network, "\($0.peer)") < ($1.network, "\($1.peer)") }) {
                standardOutput(
                    "\(peer.network)  \(peer.peer)  \(Self.words(peer.kind)), for \(Int(peer.remaining)) s more"
                        + " (\(peer.times) in a row)\n")
            }
            if known.isEmpty { standardOutput("nothing is remembered in \(file.path)\n") }
        }
        if forgetPeers, !file.forget() { throw ToolFailure(status: 1, "cannot remove \(file.path)") }
    }

    private static func words(_ kind: PeerRecord.Kind) -> String {
        switch kind {
        case .triesVersionZero: "answered version 1 with plain TCP; version 0 is tried next"
        case .speaksVersionZero: "speaks version 0"
        case .plain: "answered both versions with plain TCP"
        case .capableVanishes: "SYNs with MP_CAPABLE vanish; plain TCP is used"
        }
    }
}
