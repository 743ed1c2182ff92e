public import TransportValues

extension Middlebox: CustomStringConvertible {
    /// The text that ``init(parsing:)`` reads back to the same box.
    public var description: String {
        ([action.name] + action.settings.map { "\($0.key)=\($0.value)" } + (inside == .b ? ["inside=to"] : []))
            .joined(separator: ",")
    }
}

extension Middlebox.Action {
    fileprivate var name: String {
        switch self {
        case .translateAddresses: "nat"
        case .strip: "strip"
        case .dropSYN: "drop-syn"
        case .shiftSequence: "shift-sequence"
        case .split: "split"
        case .coalesce: "coalesce"
        case .clampMSS: "clamp"
        case .rewrite: "rewrite"
        case .acknowledgeEarly: "early-ack"
        case .dropUnseenAcks: "drop-unseen-acks"
        case .blockHoles: "block-holes"
        case .reset: "reset"
        case .blackHole: "black-hole"
        }
    }

    fileprivate var settings: [(key: String, value: String)] {
        switch self {
        case .translateAddresses(let outside, let timeout, let target):
            [("outside", "\(outside)"), ("timeout", timeout.shortText)] + (target.map { [("forward", "\($0)")] } ?? [])
        case .strip(let strip):
            [
                ("option", strip.options.text), ("on", strip.segments.rawValue),
                ("direction", strip.direction.rawValue), ("after", "\(strip.after)"),
                ("with", strip.replacement.rawValue),
            ]
        case .dropSYN(let options, let direction): [("option", options.text), ("direction", direction.rawValue)]
        case .shiftSequence, .dropUnseenAcks, .blockHoles: []
        case .split(let size, let copiesOptions): [("size", "\(size)"), ("options", copiesOptions ? "all" : "first")]
        case .coalesce(let limit, let hold): [("limit", "\(limit)"), ("hold", hold.shortText)]
        case .clampMSS(let size): [("mss", "\(size)")]
        case .rewrite(let kind, let every, let direction):
            [("change", kind.rawValue), ("every", "\(every)"), ("direction", direction.rawValue)]
        case .acknowledgeEarly(let direction): [("direction", direction.rawValue)]
        case .reset(let after, let flows): [("after", "\(after)"), ("flows", "\(flows)")]
        case .blackHole(let mtu): [("mtu", "\(mtu)")]
        }
    }
}

extension OptionChoice {
    fileprivate var text: String {
        switch self {
        case .multipath: "mptcp"
        case .unknown: "unknown"
        case .subtype(let number):
            Int(number) < Self.subtypeNames.count ? Self.subtypeNames[Int(number)] : "subtype \(number)"
        }
    }
}

extension TimeSpan {
    /// As ``init(text:)`` reads it back, in the largest unit that has no fraction.
    public var shortText: String {
        for (size, unit) in [(1_000_000_000 as Int64, "s"), (1_000_000, "ms"), (1000, "us")]
        where nanoseconds % size == 0 {
            return "\(nanoseconds / size)\(unit)"
        }
        return "\(nanoseconds)ns"
    }
}
