import TransportValues

/// Numbers as the demo shows them; no Foundation for a few decimals.
enum DemoFormat {
    /// With `digits` decimals, rounded.
    static func decimal(_ value: Double, digits: Int = 1) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let rounded = Int64((abs(value) * scale).rounded())
        let whole = "\(rounded / Int64(scale))"
        let sign = value < 0 && rounded != 0 ? "-" : ""
        if digits == 0 { return sign + whole }
        let fraction = "\(rounded % Int64(scale))"
        return sign + whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// `48.0 MB`, in powers of ten.
    static func bytes(_ count: Int64) -> String {
        switch count {
        case ..<1000: "\(count) B"
        case ..<1_000_000: decimal(Double(count) / 1e3) + " kB"
        case ..<1_000_000_000: decimal(Double(count) / 1e6) + " MB"
        default: decimal(Double(count) / 1e9, digits: 2) + " GB"
        }
    }

    static func megabits(bytesPerSecond: Double) -> String { decimal(bytesPerSecond * 8 / 1e6) + " Mbit/s" }

    static func milliseconds(_ span: TimeSpan) -> String {
        span.nanoseconds % 1_000_000 == 0 ? "\(span.nanoseconds / 1_000_000) ms" : decimal(span.milliseconds) + " ms"
    }

    static func percent(_ share: Double) -> String { decimal(share * 100) + " %" }

    /// `48,000,000`.
    static func grouped(_ count: Int64) -> String {
        var text = ""
        for (index, digit) in "\(count)".reversed().enumerated() {
            if index > 0, index % 3 == 0, digit != "-" { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
