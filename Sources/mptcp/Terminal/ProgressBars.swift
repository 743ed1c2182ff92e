import Glibc

/// Lines that are redrawn in place on a terminal, and printed one by one elsewhere.
struct ProgressBars {
    static let barWidth = 36

    let isTerminal: Bool
    private let isUnicode: Bool
    private var linesDrawn = 0

    init() {
        func variable(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
        isTerminal = isatty(STDOUT_FILENO) == 1 && variable("TERM") != "dumb"
        let locale = variable("LC_ALL") ?? variable("LC_CTYPE") ?? variable("LANG") ?? ""
        isUnicode = locale.lowercased().contains("utf")
    }

    /// Seconds between two drawings.
    var interval: Double { isTerminal ? 0.1 : 1 }

    /// Replaces what was drawn last by these lines, in one write, so that a terminal never shows half of it.
    mutating func draw(_ lines: [String]) {
        var text = linesDrawn > 0 ? "\u{1b}[\(linesDrawn)A" : ""
        for line in lines { text += "\u{1b}[K\(line)\n" }
        standardOutput(text)
        linesDrawn = lines.count
    }

    /// A bar for a share of 0...1, in eighths of a cell where the terminal has them.
    func bar(_ share: Double) -> String {
        let share = share.isFinite ? min(1, max(0, share)) : 0
        let eighths = Int(share * Double(Self.barWidth * 8))
        let full = eighths / 8
        guard isUnicode else {
            return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: Self.barWidth - full) + "]"
        }
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let rest = Self.barWidth - full - (part.isEmpty ? 0 : 1)
        return String(repeating: "█", count: full) + part + String(repeating: "·", count: rest)
    }
}
