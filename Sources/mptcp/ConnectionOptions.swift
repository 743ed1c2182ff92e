import ArgumentParser
import MPTCPConnection
import TransportValues

/// Time-outs, limits and policies of connections, beside the common options.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long a connection without any path is kept and tries again, 0 to 86400; 0: it fails at once",
            valueName: "seconds"))
    var keepPathless = 60.0

    @Option(
        help: ArgumentHelp(
            "How long a path may be silent with data under way before it is given up, 1 to 86400", valueName: "seconds")
    )
    var userTimeout = 120.0

    @Option(
        help: ArgumentHelp(
            "Probe a path that was idle for so long, below the time-outs of translators, 1 to 86400; 0: never",
            valueName: "seconds"))
    var keepalive = 120.0

    @Option(help: ArgumentHelp("The most paths (subflows) of a connection at one time, 1 to 32", valueName: "count"))
    var maxSubflows = 8

    @Option(help: ArgumentHelp("The most addresses that are taken from a peer, 0 to 32", valueName: "count"))
    var maxAddresses = 8

    @Flag(
        help: """
            Have peers join announced addresses only, not the one that they connected to (MP_CAPABLE's C flag): with \
            --listen, for a server behind a load balancer
            """)
    var denyInitialJoins = false

    @Flag(
        help: """
            Join addresses that a version 0 peer announces, although nothing proves that they are the peer's
            """)
    var allowUnprovenAddresses = false

    @Option(
        help: ArgumentHelp(
            "When a checksum fails on the only path",
            discussion: """
                refuse: the connection ends with an error
                accept: it goes on as TCP (RFC 8684 section 3.7), which hands up what the path makes of the data
                """))
    var damage = DamagePolicy.refuse

    @Flag(
        help: """
            Keep what is learnt of peers for later runs: those that speak only version 0, or to which MP_CAPABLE does not \
            get through; `mptcp show --peers` lists them, `mptcp show --forget-peers` forgets them
            """)
    var rememberPeers = false

    enum DamagePolicy: String, CaseIterable, ExpressibleByArgument {
        case refuse, accept
    }

    func validate() throws {
        try Self.check("--keep-pathless", keepPathless, 0...86_400)
        try Self.check("--user-timeout", userTimeout, 1...86_400)
        if keepalive != 0 { try Self.check("--keepalive", keepalive, 1...86_400, orZero: true) }
        try Self.check("--max-subflows", Double(maxSubflows), 1...32)
        try Self.check("--max-addresses", Double(maxAddresses), 0...32)
    }

    private static func check(_ name: String, _ value: Double, _ range: ClosedRange<Int>, orZero: Bool = false) throws {
        if value >= Double(range.lowerBound), value <= Double(range.upperBound) { return }
        throw ValidationError(
            "\(name) wants a number from \(range.lowerBound) to \(range.upperBound)\(orZero ? ", or 0" : "")")
    }

    func apply(to configuration: inout ConnectionConfiguration) {
        configuration.pathlessTimeout = TimeSpan(seconds: keepPathless)
        configuration.userTimeout = TimeSpan(seconds: userTimeout)
        configuration.keepalive = keepalive > 0 ? TimeSpan(seconds: keepalive) : nil
        configuration.maximumSubflows = maxSubflows
        configuration.acceptedAddresses = maxAddresses
        configuration.forbidsJoinsToInitialAddress = denyInitialJoins
        configuration.acceptUnprovenAddresses = allowUnprovenAddresses
        configuration.refusesDamage = damage == .refuse
    }
}
