import ArgumentParser

/// A number of bytes: `2000000`, `48MB`, `2GB`, `1.5GiB`.
struct ByteCount: ExpressibleByArgument, Equatable {
    var count: Int64

    /// Up to 1 PB.
    private static let maximum = 1e15
    private static let units: [(String, Double)] = [
        ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("kB", 1e3), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9),
        ("TB", 1e12), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("B", 1),
    ]

    init?(argument: String) {
        let unit = Self.units.first { argument.hasSuffix($0.0) }
        let digits = argument.dropLast(unit?.0.count ?? 0)
        guard let first = digits.utf8.first, (0x30...0x39).contains(first), let number = Double(digits) else {
            return nil
        }
        let bytes = number * (unit?.1 ?? 1)
        guard bytes >= 0, bytes <= Self.maximum else { return nil }
        count = Int64(bytes)
    }
}
