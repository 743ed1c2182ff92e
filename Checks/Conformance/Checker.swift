public import Foundation

/// Holds the catalogues against sources and tests.
public struct Checker {
    public var catalogues: [Catalogue]
    /// What is wrong, a line each; empty: no hole.
    public private(set) var problems: [String] = []
    private var citations: [String: [Citation]] = [:]
    /// The test functions of a file.
    private var functions: [String: Set<String>] = [:]
    private var entries: [String: Requirement] = [:]
    private let root: URL

    /// - Parameter root: the project's folder, with `Specifications`, `Sources` and `Tests`.
    /// - Throws: ``CatalogueError``, or what reading a file threw.
    public init(root: URL) throws {
        self.init(root: root, catalogues: [])
        let folder = root.appending(path: "Specifications")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        where name.hasSuffix(".yaml") {
            let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            catalogues.append(try CatalogueReader.read(text, file: "Specifications/" + name))
        }
    }

    public init(root: URL, catalogues: [Catalogue]) {
        self.root = root
        self.catalogues = catalogues
    }

    public var requirements: [Requirement] { catalogues.flatMap(\.requirements) }

    /// Fills ``problems``.
    public mutating func run() throws {
        problems = []
        entries = Dictionary(requirements.map { ($0.id, $0) }) { first, _ in first }
        try readSources()
        checkIdentifiers()
        for catalogue in catalogues {
            checkKeywords(catalogue)
            for requirement in catalogue.requirements { check(requirement) }
        }
        checkCoverage()
    }

    private mutating func readSources() throws {
        let sources = root.appending(path: "Sources")
        guard let walk = FileManager.default.enumerator(atPath: sources.path) else { return }
        for case let name as String in walk where name.hasSuffix(".swift") {
            let file = "Sources/" + name
            let text = try String(contentsOf: root.appending(path: file), encoding: .utf8)
            citations[file] = Citation.all(in: text, file: file)
        }
    }

    private mutating func checkIdentifiers() {
        var seen: Set<String> = []
        for requirement in requirements {
            if !seen.insert(requirement.id).inserted { problems.append("\(requirement.id): stands twice") }
            let parts = requirement.id.split(separator: "-")
            if parts.count != 3 || parts[0] != "\(requirement.rfc)" || parts[1] != requirement.section
                || Int(parts[2]) == nil
            {
                problems.append("\(requirement.id): stands under RFC \(requirement.rfc) §\(requirement.section)")
            }
            if requirement.rule.isEmpty { problems.append("\(requirement.id): says nothing") }
        }
    }

    /// As many entries as the text has key words: none was missed.
    private mutating func checkKeywords(_ catalogue: Catalogue) {
        if catalogue.keywords.isEmpty { problems.append("\(catalogue.file): counts no key words") }
        for (level, count) in catalogue.keywords {
            let entries = catalogue.requirements.filter { $0.level == level }.count
            if entries != count {
                problems.append("\(catalogue.file): \(entries) entries for \(count) times \(level.rawValue)")
            }
        }
    }

    private mutating func check(_ requirement: Requirement) {
        for code in requirement.code where !isCited(requirement, code) {
            problems.append(
                "\(requirement.id): \(code.file) has no citation of RFC \(requirement.rfc) §\(requirement.section) with \"\(code.words)\""
            )
        }
        for test in requirement.tests where !exists(test) {
            problems.append("\(requirement.id): no test \(test.function) in \(test.file)")
        }
        if let same = requirement.same {
            guard let other = entries[same], other.same == nil else {
                problems.append("\(requirement.id): the same as \(same), which is no entry of its own")
                return
            }
            if requirement.status == nil, other.status != nil {
                problems.append("\(requirement.id): the same as \(same), which is \(other.status!.rawValue)")
            }
        }
        switch requirement.status {
        case nil:
            guard requirement.same == nil else { break }
            if requirement.code.isEmpty {
                problems.append("\(requirement.id): \(requirement.level.rawValue) without code")
            }
            if requirement.tests.isEmpty {
                problems.append("\(requirement.id): \(requirement.level.rawValue) without test")
            }
        case .missing?:
            problems.append("\(requirement.id): \(requirement.level.rawValue) missing")
        case .deviation?, .notApplicable?:
            if (requirement.reason ?? "").isEmpty {
                problems.append("\(requirement.id): \(requirement.status!.rawValue) without a reason")
            }
            if requirement.status == .deviation, requirement.level == .must || requirement.level == .mustNot {
                problems.append("\(requirement.id): a deviation from \(requirement.level.rawValue)")
            }
        }
    }

    private func isCited(_ requirement: Requirement, _ code: CodeReference) -> Bool {
        let section = Citation.Section(rfc: requirement.rfc, number: requirement.section)
        return (citations[code.file] ?? []).contains { $0.sections.contains(section) && $0.text.contains(code.words) }
    }

    private mutating func exists(_ test: TestReference) -> Bool {
        if functions[test.file] == nil {
            let text = try? String(contentsOf: root.appending(path: test.file), encoding: .utf8)
            functions[test.file] = Self.testFunctions(in: text ?? "")
        }
        return functions[test.file]?.contains(test.function) == true
    }

    /// The names of functions with the attribute `@Test`.
    static func testFunctions(in source: String) -> Set<String> {
        var result: Set<String> = []
        var hasAttribute = false
        for line in source.utf8.split(separator: UInt8(ascii: "\n")) {
            let words = Substring(line).split { $0 == " " || $0 == "(" }
            if words.first == "@Test" { hasAttribute = true }
            guard let keyword = words.firstIndex(of: "func"), keyword + 1 < words.count else { continue }
            if hasAttribute { result.insert(String(words[keyword + 1])) }
            hasAttribute = false
        }
        return result
    }

    /// Every citation in the sources is what some entry points at.
    private mutating func checkCoverage() {
        let known = Set(catalogues.map(\.rfc))
        var listed: [String: [(section: Citation.Section, words: String)]] = [:]
        for requirement in requirements {
            let section = Citation.Section(rfc: requirement.rfc, number: requirement.section)
            for code in requirement.code { listed[code.file, default: []].append((section, code.words)) }
        }
        for file in citations.keys.sorted() {
            for citation in citations[file] ?? [] {
                for section in citation.sections where known.contains(section.rfc) {
                    let isListed = (listed[file] ?? []).contains {
                        $0.section == section && citation.text.contains($0.words)
                    }
                    if isListed { continue }
                    problems.append(
                        "\(file):\(citation.line): RFC \(section.rfc) §\(section.number) is cited and no entry points there"
                    )
                }
            }
        }
    }
}
