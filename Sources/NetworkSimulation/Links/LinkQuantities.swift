public import TransportValues

/// A rate in bits per second; zero means no limit.
public struct BitRate: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var bitsPerSecond: Int64

    /// - Precondition: not negative, and at most 9.2 × 10¹⁷, so that bit times stay exact.
    public init(bitsPerSecond: Int64) {
        precondition(bitsPerSecond >= 0 && bitsPerSecond <= Int64.max / 10)
        self.bitsPerSecond = bitsPerSecond
    }

    public static var unlimited: Self { Self(bitsPerSecond: 0) }
    public static func megabits(_ count: Int64) -> Self { Self(bitsPerSecond: count * 1_000_000) }

    /// An unlimited rate is the highest.
    public static func < (left: Self, right: Self) -> Bool {
        if left.bitsPerSecond == 0 { return false }
        return right.bitsPerSecond == 0 || left.bitsPerSecond < right.bitsPerSecond
    }
}

extension BitRate: CustomStringConvertible, LosslessStringConvertible {
    /// Reads `100mbit`, `1.5gbit`, `500kbit`, `64000` or `64000bit` (bit/s; each also with `/s`), or `unlimited`.
    public init?(_ text: String) {
        if text == "unlimited" {
            self = .unlimited
            return
        }
        var body = Substring(text)
        if body.hasSuffix("/s") { body = body.dropLast(2) }
        let units = [
            ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("", 1),
        ]
        guard let value = quantity(body, units), value <= 1e12 else { return nil }
        self.init(bitsPerSecond: Int64(value.rounded()))
    }

    public var description: String {
        switch bitsPerSecond {
        case 0: "unlimited"
        case let rate where rate % 1_000_000_000 == 0: "\(rate / 1_000_000_000)gbit"
        case let rate where rate % 1_000_000 == 0: "\(rate / 1_000_000)mbit"
        case let rate where rate % 1_000 == 0: "\(rate / 1_000)kbit"
        default: "\(bitsPerSecond)bit"
        }
    }
}

/// How much may wait for a link's transmitter: bytes, packets, or no limit.
public enum QueueLimit: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    case bytes(Int)
    case packets(Int)
    case unlimited

    /// Reads `256kB`, `1MB`, `64KiB`, `1MiB`, `3000` or `3000B` (bytes), `100p` (packets), or `unlimited`.
    public init?(_ text: String) {
        if text == "unlimited" {
            self = .unlimited
        } else if text.hasSuffix("p") {
            guard let count = Int(text.dropLast()), count > 0 else { return nil }
            self = .packets(count)
        } else {
            let units = [("kib", 1024.0), ("mib", 1_048_576), ("kb", 1e3), ("mb", 1e6), ("b", 1), ("", 1)]
            guard let value = quantity(Substring(text), units), value >= 1, value <= 1e12 else { return nil }
            self = .bytes(Int(value.rounded()))
        }
    }

    public var description: String {
        switch self {
        case .bytes(let count) where count % 1_000_000 == 0: "\(count / 1_000_000)MB"
        case .bytes(let count) where count % 1000 == 0: "\(count / 1000)kB"
        case .bytes(let count): "\(count)B"
        case .packets(let count): "\(count)p"
        case .unlimited: "unlimited"
        }
    }
}

/// A probability, 0…1.
public struct Probability: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    public var value: Double

    public init?(_ value: Double) {
        guard value >= 0, value <= 1 else { return nil }
        self.value = value
    }

    /// Reads `1%`, `0.5%` or `0.01`.
    public init?(_ text: String) {
        guard let value = quantity(Substring(text), [("%", 0.01), ("", 1)]) else { return nil }
        self.init(value)
    }

    public var description: String {
        let percent = value * 100
        return percent == percent.rounded() ? "\(Int(percent))%" : "\(percent)%"
    }
}

extension TimeSpan {
    /// Reads a length of time: `10ms`, `2.5s`, `200us` or `50ns`; nil for anything else or negative.
    public init?(text: String) {
        let units = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1)]
        guard let value = quantity(Substring(text), units), value <= 1e9 else { return nil }
        self = TimeSpan(nanoseconds: Int64((value * 1e9).rounded()))
    }
}

/// A decimal number with one of these units, in any case; the first unit that ends the text counts.
private func quantity(_ text: Substring, _ units: [(name: String, factor: Double)]) -> Double? {
    let lower = text.lowercased()
    for unit in units where lower.hasSuffix(unit.name) {
        let digits = lower.dropLast(unit.name.count)
        guard let first = digits.first, first.isASCII, first.isNumber,
            digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let value = Double(digits)
        else { return nil }
        return value * unit.factor
    }
    return nil
}
