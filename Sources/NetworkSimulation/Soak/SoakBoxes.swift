import TransportValues

/// Random middleboxes.
enum SoakBoxes {
    /// One box, or two that belong together.
    static func draw(
        _ weather: SoakEpisode.Weather, link: Int, using random: inout RandomSource
    ) -> [Middlebox.Action] {
        switch weather {
        case .fair: survivable(link: link, using: &random)
        case .rough: random.chance(0.4) ? harsh(link: link, using: &random) : survivable(link: link, using: &random)
        case .damaging: rewriting(link: link, using: &random)
        }
    }

    private static func translator(link: Int, seconds: Int64, using random: inout RandomSource) -> Middlebox.Action {
        .translateAddresses(
            outside: SoakWorld.outside(link: link, isIPv6: random.chance(0.3)), timeout: .seconds(seconds),
            forwardsTo: nil)
    }

    private static func options(using random: inout RandomSource) -> OptionChoice {
        switch random.nextUnit() {
        case ..<0.4: .multipath
        case ..<0.5: .unknown
        default: .subtype(UInt8.random(in: 0...8, using: &random))
        }
    }

    private static func direction(using random: inout RandomSource) -> Middlebox.Direction {
        Middlebox.Direction.allCases[Int.random(in: 0..<3, using: &random)]
    }

    /// Stripped from a connection's beginning on.
    private static func strip(after: Int, using random: inout RandomSource) -> Middlebox.Action {
        let segments = OptionStrip.Segments.allCases[
            Int.random(in: 0..<OptionStrip.Segments.allCases.count, using: &random)]
        let replacement = OptionStrip.Replacement.allCases[Int.random(in: 0..<3, using: &random)]
        return .strip(
            OptionStrip(
                options(using: &random), from: segments, direction: after > 0 ? direction(using: &random) : .both,
                after: after, replacement: replacement))
    }

    private static func survivable(link: Int, using random: inout RandomSource) -> [Middlebox.Action] {
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1: [strip(after: 0, using: &random)]
        case 2: [.dropSYN(random.chance(0.5) ? .multipath : .subtype(1), .both)]
        case 3: [.shiftSequence]
        case 4: [.split(size: Int.random(in: 200...1000, using: &random), copiesOptions: random.chance(0.5))]
        case 5: [.clampMSS(600), .coalesce(limit: 1400, hold: .milliseconds(2))]
        case 6: [.clampMSS(Int.random(in: 600...1400, using: &random))]
        case 7: [.acknowledgeEarly(direction(using: &random))]
        case 8: [.dropUnseenAcks]
        case 9: [.blockHoles]
        case 10: [.blackHole(mtu: 1300)]
        default: [translator(link: link, seconds: 300, using: &random)]
        }
    }

    private static func harsh(link: Int, using random: inout RandomSource) -> [Middlebox.Action] {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: [strip(after: Int.random(in: 1...200, using: &random), using: &random)]
        case 1:
            [.reset(after: Int.random(in: 1...100, using: &random), flows: Int.random(in: 1...50, using: &random))]
        case 2: [translator(link: link, seconds: Int64.random(in: 1...10, using: &random), using: &random)]
        default: [.dropSYN(options(using: &random), direction(using: &random))]
        }
    }

    private static func rewriting(link: Int, using random: inout RandomSource) -> [Middlebox.Action] {
        switch Int.random(in: 0..<6, using: &random) {
        case 0...2:
            // What gets longer must still fit.
            [
                .clampMSS(1300),
                .rewrite(
                    Middlebox.Rewrite.allCases[Int.random(in: 0..<3, using: &random)],
                    every: Int.random(in: 5...80, using: &random), direction(using: &random)),
            ]
        case 3: [.shiftSequence]
        case 4: [.split(size: Int.random(in: 200...1000, using: &random), copiesOptions: random.chance(0.5))]
        default: [translator(link: link, seconds: 300, using: &random)]
        }
    }
}
