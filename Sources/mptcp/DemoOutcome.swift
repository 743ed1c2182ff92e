import MPTCPConnection
import NetworkSimulation
import TransportValues

/// What the demo came to: the table and the report.
struct DemoOutcome {
    let isIntact: Bool
    let table: String
    let report: String

    init(_ network: Network, _ plan: DemoPlan, wall: TimeSpan, isInterrupted: Bool) {
        let summary = ScenarioOutcome(network, paths: plan.paths.count, end: .conditionMet)
        let client = summary.streams.indices.first { summary.streams[$0].isClient }
        let server = summary.streams.indices.first { !summary.streams[$0].isClient }
        let sender = client.flatMap { network.snapshot(of: $0) }
        var problems = summary.problems
        if isInterrupted { problems.insert("interrupted", at: 0) }
        if server == nil { problems.append("the connection never came to be") }
        isIntact = problems.isEmpty
        let received = server.map { summary.streams[$0].received } ?? 0
        var rows = [["path", "link", "carried", "share", "RTT", "retransmitted"]]
        for (index, path) in plan.paths.enumerated() {
            let roundTrip = sender?.subflows.last { Self.path(of: $0) == index }?.roundTrip
            rows.append([
                "\(index + 1)", path.title, DemoFormat.bytes(Int64(summary.uploadedBytes[index])),
                DemoFormat.percent(summary.shares[index]),
                roundTrip.map { DemoFormat.decimal($0.milliseconds) + " ms" } ?? "-",
                Self.segments(summary.retransmissions[index]),
            ])
        }
        let carried = summary.uploadedBytes.reduce(0, +)
        rows.append([
            "total", "", DemoFormat.bytes(Int64(carried)), DemoFormat.percent(carried > 0 ? 1 : 0), "",
            Self.segments(summary.retransmissions.reduce(0, +)),
        ])
        var text = Self.align(rows)
        let seconds = server.flatMap { summary.streams[$0].lastByte }.map { ($0 - .zero).seconds } ?? 0
        let silence = server.map { summary.streams[$0].longestSilence } ?? .zero
        let twice = Int64(carried) - received
        if isIntact, twice * 1000 > received {
            text += "\(DemoFormat.bytes(twice)) of it was sent again on the other path while one was silent\n"
        }
        text += "\n\(DemoFormat.bytes(received)) in \(DemoFormat.decimal(seconds, digits: 2)) s"
        text += seconds > 0 ? ", \(DemoFormat.megabits(bytesPerSecond: Double(received) / seconds))" : ""
        text += "; the receiver never waited longer than \(DemoFormat.milliseconds(Self.rounded(silence)))\n"
        if isIntact {
            text += "every byte checked: all \(DemoFormat.grouped(received)) arrived as they were sent\n"
        } else {
            text += problems.map { "NOT intact: \($0)\n" }.joined()
            text += "run it again with --seed \(plan.seed)\n"
        }
        table = text
        report = DemoReport.json(
            sender, seconds: seconds, sent: client.map { summary.streams[$0].sent } ?? 0, received: received)
    }

    private static func path(of subflow: SubflowSnapshot) -> Int { Int(subflow.local.address.ipv4 >> 8 & 0xff) - 1 }

    private static func segments(_ count: UInt64) -> String { "\(count) segment\(count == 1 ? "" : "s")" }

    private static func rounded(_ span: TimeSpan) -> TimeSpan {
        .milliseconds((span.nanoseconds + 500_000) / 1_000_000)
    }

    /// Columns as wide as their widest cell, numbers to the right.
    private static func align(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column < 2 ? DemoFormat.left(cell, widths[column]) : DemoFormat.right(cell, widths[column])
            }
            return cells.joined(separator: "  ") + "\n"
        }.joined()
    }
}

/// The report of tool.md, from the sender's view.
enum DemoReport {
    static func json(_ snapshot: ConnectionSnapshot?, seconds: Double, sent: Int64, received: Int64) -> String {
        let subflows = (snapshot?.subflows ?? []).map { subflow in
            object([
                ("local", quoted("\(subflow.local)")), ("remote", quoted("\(subflow.remote)")),
                ("path", quoted("path \(subflow.local.address.ipv4 >> 8 & 0xff)")),
                ("bytesSent", "\(subflow.bytesSent)"), ("bytesReceived", "\(subflow.bytesReceived)"),
                ("segmentsRetransmitted", "\(subflow.segmentsRetransmitted)"),
                (
                    "roundTripMilliseconds",
                    subflow.roundTrip.map { DemoFormat.decimal($0.milliseconds, digits: 3) } ?? "null"
                ),
                ("backup", "\(subflow.backup)"), ("state", quoted(subflow.state)),
                ("closeReason", subflow.closeReason.map(quoted) ?? "null"),
            ])
        }
        return object([
            ("role", quoted("demo")), ("seconds", DemoFormat.decimal(seconds, digits: 6)), ("bytesSent", "\(sent)"),
            ("bytesReceived", "\(received)"), ("multipath", "\(snapshot?.isMultipath ?? false)"),
            ("version", snapshot?.version.map { "\($0)" } ?? "null"),
            ("fallback", snapshot?.fallback.map(quoted) ?? "null"), ("checksum", "\(snapshot?.checksum ?? false)"),
            ("subflows", "[" + subflows.joined(separator: ", ") + "]"),
        ]) + "\n"
    }

    private static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(quoted($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
