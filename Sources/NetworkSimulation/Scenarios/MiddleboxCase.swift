import TransportValues

/// One way in which paths misbehave, as a row of the table of middleboxes.
public struct MiddleboxCase: Sendable, CustomStringConvertible {
    /// What a transfer over such a path may come to, beside arriving intact.
    public enum Tolerance: Sendable {
        case intactOnly
        /// The last DATA_ACKs may be lost with the options.
        case lostConfirmation
        /// Closing with an error: what the box does is more than a connection that has become plain TCP can repair.
        case refusal
    }

    public var name: String
    public var tolerance = Tolerance.intactOnly
    /// The payload is changed: checksums are on, and ends that can't repair it refuse it.
    public var damages = false
    /// The boxes, for the end that is inside, the path (from 0), and the address family.
    public var boxes: @Sendable (LinkEnd, Int, Bool) -> [Middlebox] = { _, _, _ in [] }
    /// Changes the links themselves.
    public var adjust: (@Sendable (inout PathSpec) -> Void)?
    /// The server's address is hidden behind the box when the server is inside.
    public var hidesServer = false

    public var description: String { name }

    /// The outside address of a translator in path `path`.
    static func outside(path: Int, isIPv6: Bool) -> IPAddress {
        isIPv6
            ? IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(path + 1), low: 77) : IPAddress(10, 0, UInt8(path + 1), 77)
    }

    private static func one(_ name: String, _ action: Middlebox.Action, _ tolerance: Tolerance = .intactOnly) -> Self {
        Self(name: name, tolerance: tolerance, boxes: { inside, _, _ in [Middlebox(action, inside: inside)] })
    }

    private static func strip(
        _ name: String, _ options: OptionChoice = .multipath, from segments: OptionStrip.Segments = .all,
        direction: Middlebox.Direction = .both, after: Int = 0, replacement: OptionStrip.Replacement = .nop
    ) -> Self {
        one(
            name,
            .strip(
                OptionStrip(options, from: segments, direction: direction, after: after, replacement: replacement)),
            after > 0 ? .lostConfirmation : .intactOnly)
    }

    private static func translator(_ name: String, timeout: TimeSpan, tolerance: Tolerance = .intactOnly) -> Self {
        Self(
            name: name, tolerance: tolerance,
            boxes: { inside, path, isIPv6 in
                let target = TwoPathScenario.address(path: path, isServer: true, isIPv6: isIPv6)
                return [
                    Middlebox(
                        .translateAddresses(
                            outside: outside(path: path, isIPv6: isIPv6), timeout: timeout,
                            forwardsTo: inside == .b ? target : nil), inside: inside)
                ]
            }, hidesServer: true)
    }

    private static func rewrite(_ kind: Middlebox.Rewrite) -> Self {
        Self(
            name: "payload: \(kind)", tolerance: .refusal, damages: true,
            boxes: { inside, _, _ in
                let rewriter = Middlebox(.rewrite(kind, every: 40, .both), inside: inside)
                // What gets longer must still fit.
                return kind == .grow ? [Middlebox(.clampMSS(1380)), rewriter] : [rewriter]
            })
    }

    private static var expiringTranslator: Self {
        var box = translator("NAT that forgets", timeout: .seconds(1 as Int64), tolerance: .refusal)
        // Long enough away for the mapping to go.
        box.adjust = {
            $0.outages = [MonotonicInstant(nanoseconds: 150_000_000)..<MonotonicInstant(nanoseconds: 3_000_000_000)]
        }
        return box
    }

    private static var asymmetric: Self {
        Self(
            name: "asymmetric path",
            adjust: {
                $0.backward.rate = BitRate(bitsPerSecond: max(500_000, $0.forward.rate.bitsPerSecond / 20))
                $0.backward.delay = $0.forward.delay * 5
            })
    }

    private static var flapping: Self {
        Self(
            name: "link that flaps",
            adjust: {
                $0.outages = (0..<40).map { turn in
                    let start = MonotonicInstant(nanoseconds: Int64(turn) * 1_500_000_000 + 300_000_000)
                    return start..<start + .milliseconds(700)
                }
            })
    }

    /// Several boxes on one link, in the order from the client.
    private static func several(
        _ name: String, _ actions: [Middlebox.Action], tolerance: Tolerance = .intactOnly, damages: Bool = false
    ) -> Self {
        Self(
            name: name, tolerance: tolerance, damages: damages,
            boxes: { inside, _, _ in actions.map { Middlebox($0, inside: inside) } })
    }

    private static var translatorAndFirewall: Self {
        var box = translator("NAT, firewall, MSS clamp", timeout: .seconds(60))
        let boxes = box.boxes
        box.boxes = { inside, path, isIPv6 in
            boxes(inside, path, isIPv6) + [
                Middlebox(.shiftSequence, inside: inside), Middlebox(.clampMSS(1200), inside: inside),
            ]
        }
        return box
    }

    /// Every row.
    public static let all: [Self] = [
        Self(name: "nothing in the way"),
        translator("NAT", timeout: .seconds(60 as Int64)),
        expiringTranslator,
        strip("all options stripped"),
        strip("stripped from SYN", from: .syn),
        strip("stripped from SYN/ACK", from: .synAck),
        strip("stripped from third ACK", from: .thirdAck),
        strip("stripped from data", from: .data),
        strip("stripped after the SYNs", from: .established),
        strip("stripped after 60 packets", after: 60),
        strip("…outward only", direction: .outward, after: 60),
        strip("…inward only", direction: .inward, after: 60),
        strip("DSS stripped", .subtype(2)),
        strip("MP_CAPABLE stripped", .subtype(0)),
        strip("MP_JOIN stripped", .subtype(1)),
        strip("ADD_ADDR stripped", .subtype(3)),
        strip("options become EOL", replacement: .eol),
        strip("options cut out", .unknown, replacement: .removed),
        one("SYN with option dropped", .dropSYN(.multipath, .both)),
        one("MP_JOIN SYN dropped", .dropSYN(.subtype(1), .both)),
        one("SYN/ACK with option dropped", .dropSYN(.multipath, .inward)),
        one("sequence numbers shifted", .shiftSequence),
        one("segments split, options copied", .split(size: 500, copiesOptions: true)),
        one("segments split, options once", .split(size: 500, copiesOptions: false)),
        Self(
            name: "segments coalesced",
            boxes: { inside, _, _ in
                [
                    Middlebox(.clampMSS(600), inside: inside),
                    Middlebox(.coalesce(limit: 1500, hold: .milliseconds(2)), inside: inside),
                ]
            }),
        rewrite(.same), rewrite(.grow), rewrite(.shrink),
        one("data acknowledged early", .acknowledgeEarly(.both)),
        one("unseen ACKs dropped", .dropUnseenAcks),
        one("data after a hole blocked", .blockHoles),
        one("reset injected", .reset(after: 60, flows: 1), .refusal),
        one("MTU black hole", .blackHole(mtu: 1300)),
        one("every flow reset", .reset(after: 60, flows: 1_000_000_000), .refusal),
        strip("unknown options become NOP", .unknown),
        strip("unknown options become EOL", .unknown, replacement: .eol),
        strip("REMOVE_ADDR stripped", .subtype(4)),
        strip("MP_FASTCLOSE stripped", .subtype(7)),
        translatorAndFirewall,
        several(
            "shifted, split, holes blocked",
            [.shiftSequence, .split(size: 400, copiesOptions: false), .blockHoles]),
        several(
            "split, coalesced again",
            [.split(size: 300, copiesOptions: true), .coalesce(limit: 1400, hold: .milliseconds(2))]),
        several(
            "MP_FAIL stripped, payload: same",
            [.rewrite(.same, every: 40, .both), .strip(OptionStrip(.subtype(6))), .strip(OptionStrip(.subtype(8)))],
            tolerance: .refusal, damages: true),
        several(
            "black hole, split, joins dropped",
            [.blackHole(mtu: 1300), .split(size: 500, copiesOptions: true), .dropSYN(.subtype(1), .both)]),
        asymmetric,
        flapping,
    ]
}
