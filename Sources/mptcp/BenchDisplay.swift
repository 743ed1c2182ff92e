import HostStack
import MPTCPConnection
import TransportValues

/// A bar and a rate a path while a bench runs, redrawn on a terminal, a line a second elsewhere.
struct BenchDisplay {
    private let plan: BenchPlan
    private var bars = ProgressBars()
    private var lastSeconds = 0.0
    private var lastBytes: [String: UInt64] = [:]
    /// The fastest a path was: a full bar.
    private var peak = 1.0

    init(plan: BenchPlan) { self.plan = plan }

    var interval: Double { bars.interval }

    mutating func show(_ snapshot: ConnectionSnapshot, _ names: [Int32: String], seconds: Double) {
        let bytes = Self.bytesByPath(snapshot, names)
        let span = max(seconds - lastSeconds, 1e-3)
        let rates = bytes.map {
            (name: $0.name, rate: Double($0.bytes - min($0.bytes, lastBytes[$0.name] ?? 0)) / span)
        }
        lastSeconds = seconds
        lastBytes = Dictionary(bytes.map { ($0.name, $0.bytes) }, uniquingKeysWith: +)
        peak = max(peak, rates.map(\.rate).max() ?? 0)
        let total = rates.reduce(0) { $0 + $1.rate }
        bars.isTerminal ? redraw(rates, total, snapshot, seconds) : print(rates, total, seconds)
    }

    /// Payload bytes both ways, by path, in the order in which paths came into use.
    static func bytesByPath(_ snapshot: ConnectionSnapshot, _ names: [Int32: String]) -> [(name: String, bytes: UInt64)]
    {
        var result: [(name: String, bytes: UInt64)] = []
        for subflow in snapshot.subflows {
            let name = names[subflow.interface.rawValue] ?? "\(subflow.interface.rawValue)"
            let bytes = subflow.bytesSent + subflow.bytesReceived
            if let index = result.firstIndex(where: { $0.name == name }) {
                result[index].bytes += bytes
            } else {
                result.append((name, bytes))
            }
        }
        return result
    }

    private mutating func redraw(
        _ rates: [(name: String, rate: Double)], _ total: Double, _ snapshot: ConnectionSnapshot, _ seconds: Double
    ) {
        let width = max(5, rates.map(\.name.count).max() ?? 0)
        var lines = rates.map { path in
            "\(DemoFormat.left(path.name, width))  \(bars.bar(path.rate / peak)) \(Self.rate(path.rate))"
        }
        var last = "\(DemoFormat.left("total", width))  \(bars.bar(progress(snapshot, seconds))) \(Self.rate(total))"
        last += "  \(DemoFormat.decimal(seconds)) s"
        lines.append(last)
        bars.draw(lines)
    }

    /// How much of the whole is done, 0...1; 1 for a reader, who does not know.
    private func progress(_ snapshot: ConnectionSnapshot, _ seconds: Double) -> Double {
        guard plan.writes else { return 1 }
        if let bytes = plan.bytes, bytes > 0 { return Double(snapshot.bytesAcknowledged) / Double(bytes) }
        return seconds / plan.seconds
    }

    private func print(_ rates: [(name: String, rate: Double)], _ total: Double, _ seconds: Double) {
        let paths = rates.map { "\($0.name) \(Self.rate($0.rate))" }.joined(separator: "  ")
        standardOutput("\(DemoFormat.right(DemoFormat.decimal(seconds), 6)) s  \(Self.rate(total))  \(paths)\n")
    }

    /// From bytes a second.
    static func rate(_ rate: Double) -> String {
        let bits = rate * 8
        return DemoFormat.right(
            bits >= 1e9
                ? DemoFormat.decimal(bits / 1e9, digits: 2) + " Gbit/s" : DemoFormat.megabits(bytesPerSecond: rate),
            13)
    }
}

/// What a bench says at its end.
struct BenchSummary {
    let snapshot: ConnectionSnapshot
    let names: [Int32: String]
    let seconds: Double
    /// User and system time of this process while the transfer ran.
    let cpuSeconds: Double

    var text: String {
        let bytes = snapshot.bytesSent + snapshot.bytesReceived
        let gigabytes = Double(bytes) / 1e9
        var text = "\n\(DemoFormat.bytes(Int64(clamping: snapshot.bytesSent))) sent, "
        text += "\(DemoFormat.bytes(Int64(clamping: snapshot.bytesReceived))) received in "
        text += "\(DemoFormat.decimal(seconds, digits: 2)) s: "
        text += "\(DemoFormat.decimal(Double(bytes) * 8 / max(seconds, 1e-6) / 1e9, digits: 3)) Gbit/s"
        if gigabytes > 0 { text += ", \(DemoFormat.decimal(cpuSeconds / gigabytes, digits: 3)) CPU s/GB" }
        text += "\n\(kind)\n\n"
        return text + table
    }

    private var kind: String {
        guard !snapshot.isMultipath else {
            return "Multipath TCP version \(snapshot.version ?? 1)\(snapshot.checksum ? ", checksums" : "")"
        }
        return "plain TCP" + (snapshot.fallback.map { ": \($0)" } ?? "")
    }

    private var table: String {
        var rows = [["path", "local", "remote", "sent", "received", "resent", "RTT", "state"]]
        for subflow in snapshot.subflows {
            rows.append([
                names[subflow.interface.rawValue] ?? "?", "\(subflow.local)", "\(subflow.remote)",
                DemoFormat.bytes(Int64(clamping: subflow.bytesSent)),
                DemoFormat.bytes(Int64(clamping: subflow.bytesReceived)), "\(subflow.segmentsRetransmitted)",
                subflow.roundTrip.map { DemoFormat.decimal($0.milliseconds, digits: 2) + " ms" } ?? "-",
                subflow.closeReason ?? subflow.state,
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                // Numbers stand to the right.
                (3...6).contains(column)
                    ? DemoFormat.right(cell, widths[column]) : DemoFormat.left(cell, widths[column])
            }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}
