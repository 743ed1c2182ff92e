import Glibc
import TransportValues

/// What the demo shows while it runs: bars that are redrawn in place on a terminal, a line a second elsewhere.
struct DemoDisplay {
    /// One moment of the transfer.
    struct Moment {
        struct Path {
            var bytes: Int64
            /// Payload bytes per second, over the last half second.
            var rate: Double
            var isUp: Bool
        }

        var time: TimeSpan
        var paths: [Path]
        var received: Int64
        var rate: Double
    }

    private let plan: DemoPlan
    let isTerminal: Bool
    private let isUnicode: Bool
    private var linesDrawn = 0
    private var lastDrawn = TimeSpan.milliseconds(-1000)

    init(_ plan: DemoPlan) {
        self.plan = plan
        func variable(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
        isTerminal = isatty(STDOUT_FILENO) == 1 && variable("TERM") != "dumb" && (variable("NO_COLOR") ?? "").isEmpty
        let locale = variable("LC_ALL") ?? variable("LC_CTYPE") ?? variable("LANG") ?? ""
        isUnicode = locale.lowercased().contains("utf")
    }

    mutating func begin() {
        let size = DemoFormat.bytes(plan.bytes)
        var text = bold("mptcp demo") + "  \(size) over one connection and two paths, seed \(plan.seed)\n"
        for (index, path) in plan.paths.enumerated() { text += "path \(index + 1)      \(path.title)\n" }
        standardOutput(text + "\n" + (isTerminal ? "\u{1b}[?25l" : ""))
    }

    /// Draws the moment when it is time to: ten times a second in place, once a second in lines.
    mutating func show(_ moment: Moment) {
        let interval = isTerminal ? TimeSpan.milliseconds(90) : .milliseconds(1000)
        guard moment.time - lastDrawn >= interval else { return }
        lastDrawn = moment.time
        isTerminal ? redraw(moment) : standardOutput(line(moment))
    }

    /// Puts a sentence above the bars.
    mutating func announce(_ sentence: String, at moment: Moment) {
        let time = DemoFormat.right(DemoFormat.decimal(moment.time.seconds, digits: 2), 5)
        let text = "\(time) s  \(sentence)\n"
        if isTerminal {
            erase()
            standardOutput(yellow(text))
            redraw(moment)
        } else {
            standardOutput(text)
        }
    }

    mutating func end(_ moment: Moment?) {
        if isTerminal {
            if let moment { redraw(moment) }
            standardOutput("\u{1b}[?25h")
        }
        standardOutput("\n")
    }

    // MARK: In place

    private mutating func erase() {
        if linesDrawn > 0 { standardOutput("\u{1b}[\(linesDrawn)A\u{1b}[J") }
        linesDrawn = 0
    }

    private mutating func redraw(_ moment: Moment) {
        // One write a frame, so that a terminal never shows half of one.
        var text = linesDrawn > 0 ? "\u{1b}[\(linesDrawn)A" : ""
        for (index, path) in moment.paths.enumerated() {
            let share = Double(path.bytes) / Double(plan.bytes)
            let state = path.isUp ? "" : red("  away")
            let bar = path.isUp ? (index == 0 ? cyan(self.bar(share)) : blue(self.bar(share))) : dim(self.bar(share))
            text += "\u{1b}[Kpath \(index + 1)  \(bar) \(figures(path.rate, path.bytes))\(state)\n"
        }
        let share = Double(moment.received) / Double(plan.bytes)
        text += "\u{1b}[K" + bold("total ") + " \(green(bar(share))) \(figures(moment.rate, moment.received))"
        text += "  \(DemoFormat.right("\(Int(share * 100))", 3)) %\n"
        standardOutput(text)
        linesDrawn = moment.paths.count + 1
    }

    private func figures(_ rate: Double, _ bytes: Int64) -> String {
        DemoFormat.right(DemoFormat.megabits(bytesPerSecond: rate), 12) + DemoFormat.right(DemoFormat.bytes(bytes), 10)
    }

    private static let barWidth = 36

    /// Eighths of a cell where the terminal has them.
    private func bar(_ share: Double) -> String {
        let eighths = Int((min(1, max(0, share)) * Double(Self.barWidth * 8)).rounded(.down))
        let full = eighths / 8
        if !isUnicode {
            return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: Self.barWidth - full) + "]"
        }
        let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
        let part = parts[eighths % 8]
        let rest = Self.barWidth - full - (part.isEmpty ? 0 : 1)
        return String(repeating: "█", count: full) + part + String(repeating: "·", count: rest)
    }

    // MARK: In lines

    private func line(_ moment: Moment) -> String {
        var parts = [DemoFormat.right(DemoFormat.decimal(moment.time.seconds, digits: 2), 5) + " s "]
        for (index, path) in moment.paths.enumerated() {
            let rate = path.isUp ? DemoFormat.megabits(bytesPerSecond: path.rate) : "away"
            parts.append("path \(index + 1) " + DemoFormat.right(rate, 12))
        }
        parts.append("total " + DemoFormat.right(DemoFormat.megabits(bytesPerSecond: moment.rate), 12))
        parts.append(
            DemoFormat.right(DemoFormat.bytes(moment.received), 9)
                + DemoFormat.right("\(moment.received * 100 / max(1, plan.bytes)) %", 7))
        return parts.joined(separator: "  ") + "\n"
    }

    // MARK: Colour

    private func bold(_ text: String) -> String { style("1", text) }
    private func dim(_ text: String) -> String { style("2", text) }
    private func red(_ text: String) -> String { style("31", text) }
    private func green(_ text: String) -> String { style("32", text) }
    private func yellow(_ text: String) -> String { style("33", text) }
    private func blue(_ text: String) -> String { style("34", text) }
    private func cyan(_ text: String) -> String { style("36", text) }

    private func style(_ code: String, _ text: String) -> String {
        isTerminal ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }
}
