public import TransportValues

/// What stands in the path and does more than carry packets. Boxes are values; they compose on any link, in the
/// simulator and in real time (`mptcp link --box`).
///
/// A box has an inside and an outside. Packets that leave the inside are *outward*.
public struct Middlebox: Hashable, Sendable {
    public var action: Action
    /// The end of the link that is on its inside.
    public var inside: LinkEnd

    public init(_ action: Action, inside: LinkEnd = .a) {
        self.action = action
        self.inside = inside
    }

    /// Which packets of a connection are meant, by the way they go.
    public enum Direction: String, CaseIterable, Hashable, Sendable {
        case outward = "out"
        case inward = "in"
        case both
    }

    public enum Action: Hashable, Sendable {
        /// Translates the inside's addresses and ports to `outside`; each connection has a mapping of its own
        /// (address- and port-dependent, RFC 4787 §4.1: the hardest kind), gone after `timeout` without packets.
        /// - `forwardsTo`: the inside address that gets SYNs from the outside; nil: they are dropped.
        case translateAddresses(outside: IPAddress, timeout: TimeSpan, forwardsTo: IPAddress?)
        /// Takes options away.
        case strip(OptionStrip)
        /// Drops SYNs, with or without ACK, that carry the options.
        case dropSYN(OptionChoice, Direction)
        /// Shifts the sequence numbers of each direction by a number of its own, as firewalls do that randomize them.
        case shiftSequence
        /// Cuts payloads into pieces of at most `size` bytes; the options go onto all pieces, or the Multipath TCP
        /// options only onto the first.
        case split(size: Int, copiesOptions: Bool)
        /// Joins segments that follow one another to packets of at most `limit` bytes, with the first one's options;
        /// a segment waits for its successor for `hold`.
        case coalesce(limit: Int, hold: TimeSpan)
        /// Lowers the MSS option of SYNs to `size` bytes, as access routers do.
        case clampMSS(Int)
        /// Changes the payload at one place of every `every`th data segment, and the TCP checksum with it.
        case rewrite(Rewrite, every: Int, Direction)
        /// Acknowledges data before the receiver has it, and repeats what is lost behind it.
        case acknowledgeEarly(Direction)
        /// Drops segments that acknowledge data which the box has not seen.
        case dropUnseenAcks
        /// Drops data that follows a hole.
        case blockHoles
        /// Sends resets to both ends of a connection after its `after`th data segment, for the first `flows`
        /// connections.
        case reset(after: Int, flows: Int)
        /// Drops packets longer than `mtu` bytes, and says nothing.
        case blackHole(mtu: Int)
    }

    public enum Rewrite: String, CaseIterable, Hashable, Sendable {
        /// One byte becomes another.
        case same
        /// Four bytes are put in; sequence numbers are shifted to match, as an FTP gateway does.
        case grow
        /// One byte is taken out.
        case shrink
    }
}

/// Which options a box means.
public enum OptionChoice: Hashable, Sendable {
    /// Multipath TCP's, kind 30.
    case multipath
    /// One subtype of Multipath TCP (0 MP_CAPABLE, 1 MP_JOIN, 2 DSS, 3 ADD_ADDR, 4 REMOVE_ADDR, 5 MP_PRIO, 6 MP_FAIL,
    /// 7 MP_FASTCLOSE, 8 MP_TCPRST).
    case subtype(UInt8)
    /// Everything that a box of the nineties does not know: not EOL, NOP, MSS, window scale, SACK or timestamps.
    case unknown

    static let subtypeNames = [
        "capable", "join", "dss", "add-addr", "remove-addr", "prio", "fail", "fastclose", "tcprst",
    ]

    func contains(kind: UInt8, subtype: UInt8) -> Bool {
        switch self {
        case .multipath: kind == 30
        case .subtype(let wanted): kind == 30 && subtype == wanted
        case .unknown: ![0, 1, 2, 3, 4, 5, 8].contains(kind)
        }
    }
}

/// How options are taken away, and from which segments.
public struct OptionStrip: Hashable, Sendable {
    public enum Segments: String, CaseIterable, Hashable, Sendable {
        case all, syn
        case synAck = "synack"
        /// The first segment of the connecting side after its SYN.
        case thirdAck = "ack"
        /// With payload.
        case data
        /// Everything but SYNs.
        case established
    }

    public enum Replacement: String, CaseIterable, Hashable, Sendable {
        case nop
        /// From the first such option on, everything is end-of-options.
        case eol
        /// The header gets shorter.
        case removed = "remove"
    }

    public var options: OptionChoice
    public var segments: Segments
    public var direction: Middlebox.Direction
    /// Packets of a connection, both directions together, that pass unchanged before.
    public var after: Int
    public var replacement: Replacement

    public init(
        _ options: OptionChoice = .multipath, from segments: Segments = .all, direction: Middlebox.Direction = .both,
        after: Int = 0, replacement: Replacement = .nop
    ) {
        self.options = options
        self.segments = segments
        self.direction = direction
        self.after = after
        self.replacement = replacement
    }
}
