/// The catalogues as text.
public enum Table {
    static func state(_ requirement: Requirement) -> String {
        if let status = requirement.status { return status.rawValue }
        return requirement.same == nil ? "honoured" : "honoured, as \(requirement.same!)"
    }

    /// A line for each requirement, with why not where it is not honoured.
    public static func entries(_ catalogues: [Catalogue]) -> String {
        var lines: [String] = []
        for requirement in catalogues.flatMap(\.requirements) {
            lines.append(
                "\(pad(requirement.id, 15)) \(pad(requirement.level.rawValue, 11)) \(state(requirement)): \(requirement.rule)"
            )
            if let reason = requirement.reason { lines.append(String(repeating: " ", count: 28) + "↳ " + reason) }
        }
        return lines.joined(separator: "\n")
    }

    /// How many requirements of each level are honoured, not, or don't apply.
    public static func totals(_ catalogues: [Catalogue]) -> String {
        var lines = [
            pad("", 22)
                + ["entries", "honoured", "deviation", "not applicable", "missing"].map { right($0, 15) }.joined()
        ]
        for catalogue in catalogues {
            for level in Level.allCases {
                let entries = catalogue.requirements.filter { $0.level == level }
                if entries.isEmpty { continue }
                lines.append(pad("RFC \(catalogue.rfc) \(level.rawValue)", 22) + numbers(entries))
            }
            lines.append(pad("RFC \(catalogue.rfc)", 22) + numbers(catalogue.requirements))
        }
        lines.append(pad("all", 22) + numbers(catalogues.flatMap(\.requirements)))
        return lines.joined(separator: "\n")
    }

    private static func numbers(_ entries: [Requirement]) -> String {
        let statuses: [Status?] = [nil, .deviation, .notApplicable, .missing]
        let counts = [entries.count] + statuses.map { status in entries.filter { $0.status == status }.count }
        return counts.map { right("\($0)", 15) }.joined()
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
