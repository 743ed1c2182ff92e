import TransportValues

/// Why a box's text can't be read: a sentence for its user.
public struct MiddleboxTextError: Error, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

extension Middlebox {
    /// The forms that ``init(parsing:)`` reads, a line each, for a help text.
    public static let forms = [
        "nat,outside=IP[,timeout=30s][,forward=IP]",
        "strip[,option=mptcp|unknown|capable|join|dss|add-addr|…][,on=all|syn|synack|ack|data|established]"
            + "[,direction=out|in|both][,after=PACKETS][,with=nop|eol|remove]",
        "drop-syn[,option=…][,direction=…]",
        "shift-sequence",
        "split[,size=500][,options=all|first]",
        "coalesce[,limit=1500][,hold=2ms]",
        "clamp,mss=600",
        "rewrite[,change=same|grow|shrink][,every=20][,direction=…]",
        "early-ack[,direction=…]",
        "drop-unseen-acks",
        "block-holes",
        "reset[,after=50][,flows=1]",
        "black-hole[,mtu=1300]",
    ]

    /// Reads a box as `mptcp link --box` takes it: a name and settings, `strip,option=dss,on=data,inside=to`. Every
    /// form takes `inside=from|to`: the end of the link that is inside; `from` unless told.
    /// - Throws: ``MiddleboxTextError`` with what is wrong.
    public init(parsing text: String) throws(MiddleboxTextError) {
        var settings = try BoxSettings(text)
        let inside = try settings.choice("inside", ["from": LinkEnd.a, "to": .b], default: .a)
        let action = try Self.action(&settings)
        try settings.finish()
        self.init(action, inside: inside)
    }

    private static func action(_ settings: inout BoxSettings) throws(MiddleboxTextError) -> Action {
        switch settings.name {
        case "nat":
            guard let outside = try settings.address("outside") else {
                throw MiddleboxTextError("a nat needs its address: nat,outside=10.1.1.77")
            }
            let target = try settings.address("forward")
            if let target, target.isIPv6 != outside.isIPv6 {
                throw MiddleboxTextError("outside and forward are of different families")
            }
            let timeout = try settings.time("timeout", default: .seconds(30 as Int64))
            return .translateAddresses(outside: outside, timeout: timeout, forwardsTo: target)
        case "strip":
            return .strip(
                OptionStrip(
                    try settings.options(), from: try settings.named("on", default: OptionStrip.Segments.all),
                    direction: try settings.named("direction", default: Direction.both),
                    after: try settings.number("after", default: 0, in: 0...1_000_000_000),
                    replacement: try settings.named("with", default: OptionStrip.Replacement.nop)))
        case "drop-syn": return .dropSYN(try settings.options(), try settings.named("direction", default: Direction.both))
        case "shift-sequence": return .shiftSequence
        case "split":
            let copies = try settings.choice("options", ["all": true, "first": false], default: true)
            return .split(size: try settings.number("size", default: 500, in: 1...65_535), copiesOptions: copies)
        case "coalesce":
            let limit = try settings.number("limit", default: 1500, in: 100...65_535)
            return .coalesce(limit: limit, hold: try settings.time("hold", default: .milliseconds(2)))
        case "clamp": return .clampMSS(try settings.number("mss", default: 600, in: 88...65_535))
        case "rewrite":
            let kind = try settings.named("change", default: Rewrite.same)
            let every = try settings.number("every", default: 20, in: 1...1_000_000_000)
            return .rewrite(kind, every: every, try settings.named("direction", default: Direction.both))
        case "early-ack": return .acknowledgeEarly(try settings.named("direction", default: Direction.both))
        case "drop-unseen-acks": return .dropUnseenAcks
        case "block-holes": return .blockHoles
        case "reset":
            let after = try settings.number("after", default: 50, in: 1...1_000_000_000)
            return .reset(after: after, flows: try settings.number("flows", default: 1, in: 1...1_000_000_000))
        case "black-hole": return .blackHole(mtu: try settings.number("mtu", default: 1300, in: 68...65_535))
        default:
            let names = forms.map { String($0.prefix { $0 != "," && $0 != "[" }) }
            throw MiddleboxTextError("'\(settings.name)' is no middlebox; there are \(names.joined(separator: ", "))")
        }
    }
}

/// `name,key=value,…`: each setting is taken once, and what is left over is an error.
private struct BoxSettings {
    let name: String
    private var values: [String: String] = [:]

    init(_ text: String) throws(MiddleboxTextError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        name = parts[0]
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "="), equals != part.startIndex else {
                throw MiddleboxTextError("'\(part)' is no setting of a middlebox: write name=value")
            }
            let key = String(part[..<equals])
            guard values.updateValue(String(part[part.index(after: equals)...]), forKey: key) == nil else {
                throw MiddleboxTextError("'\(key)' is set twice")
            }
        }
    }

    func finish() throws(MiddleboxTextError) {
        guard let key = values.keys.sorted().first else { return }
        throw MiddleboxTextError("'\(name)' has no setting '\(key)'")
    }

    private func fail(_ key: String, _ value: String, _ wanted: String) -> MiddleboxTextError {
        MiddleboxTextError("\(key)=\(value): write \(wanted)")
    }

    mutating func choice<Value>(
        _ key: String, _ choices: KeyValuePairs<String, Value>, default standard: Value
    ) throws(MiddleboxTextError) -> Value {
        guard let text = values.removeValue(forKey: key) else { return standard }
        if let found = choices.first(where: { $0.key == text }) { return found.value }
        throw fail(key, text, choices.map(\.key).joined(separator: " or "))
    }

    mutating func named<Value: RawRepresentable & CaseIterable>(
        _ key: String, default standard: Value
    ) throws(MiddleboxTextError) -> Value where Value.RawValue == String {
        guard let text = values.removeValue(forKey: key) else { return standard }
        if let found = Value(rawValue: text) { return found }
        throw fail(key, text, Value.allCases.map(\.rawValue).joined(separator: " or "))
    }

    mutating func number(
        _ key: String, default standard: Int, in range: ClosedRange<Int>
    ) throws(MiddleboxTextError) -> Int {
        guard let text = values.removeValue(forKey: key) else { return standard }
        if let number = Int(text), range.contains(number) { return number }
        throw fail(key, text, "a number from \(range.lowerBound) to \(range.upperBound)")
    }

    mutating func time(_ key: String, default standard: TimeSpan) throws(MiddleboxTextError) -> TimeSpan {
        guard let text = values.removeValue(forKey: key) else { return standard }
        if let span = TimeSpan(text: text) { return span }
        throw fail(key, text, "a length of time, as 30s or 2ms")
    }

    mutating func address(_ key: String) throws(MiddleboxTextError) -> IPAddress? {
        guard let text = values.removeValue(forKey: key) else { return nil }
        if let address = IPAddress(text) { return address }
        throw fail(key, text, "an IP address")
    }

    mutating func options() throws(MiddleboxTextError) -> OptionChoice {
        guard let text = values.removeValue(forKey: "option") else { return .multipath }
        switch text {
        case "mptcp": return .multipath
        case "unknown": return .unknown
        default:
            if let subtype = OptionChoice.subtypeNames.firstIndex(of: text) { return .subtype(UInt8(subtype)) }
            throw fail("option", text, (["mptcp", "unknown"] + OptionChoice.subtypeNames).joined(separator: ", "))
        }
    }
}
