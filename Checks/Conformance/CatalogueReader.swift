/// A line of a catalogue that can't be read.
public struct CatalogueError: Error, CustomStringConvertible {
    public var description: String
}

/// Reads a catalogue: a flat subset of YAML, a list of requirements under each section.
///
/// `rfc:` and `keywords:` stand first; then sections in quotes, each with records `- id: …` whose keys are `level`, `rule`,
/// `code`, `test`, `status`, `reason` and `same`, one a line. A value goes on in lines that are indented further.
public struct CatalogueReader {
    private var catalogue: Catalogue
    private var section = ""
    private var isInKeywords = false
    private var fields: [(key: String, value: String)] = []

    public static func read(_ text: String, file: String) throws(CatalogueError) -> Catalogue {
        var reader = Self(catalogue: Catalogue(file: file, rfc: 0))
        var number = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            do { try reader.take(line) } catch { throw CatalogueError(description: "\(file):\(number): \(error)") }
        }
        do { try reader.finish() } catch { throw CatalogueError(description: "\(file): \(error)") }
        return reader.catalogue
    }

    private init(catalogue: Catalogue) { self.catalogue = catalogue }

    private mutating func take(_ line: Substring) throws(CatalogueError) {
        let text = line.drop { $0 == " " }
        if text.isEmpty || text.first == "#" { return }
        let indent = line.count - text.count
        if indent >= 6, let last = fields.indices.last {
            fields[last].value += " " + text
            return
        }
        if indent == 0 {
            try finish()
            return try takeHeading(text)
        }
        if isInKeywords {
            let (key, value) = try Self.pair(text)
            guard let level = Level(rawValue: key), let count = Int(value) else {
                throw CatalogueError(description: "no level and number: \(text)")
            }
            catalogue.keywords[level] = count
            return
        }
        if text.hasPrefix("- ") {
            try finish()
            fields = [try Self.pair(text.dropFirst(2))]
        } else {
            guard !fields.isEmpty else { throw CatalogueError(description: "a key outside a record: \(text)") }
            fields.append(try Self.pair(text))
        }
    }

    private mutating func takeHeading(_ text: Substring) throws(CatalogueError) {
        isInKeywords = text == "keywords:"
        if isInKeywords { return }
        if text.hasPrefix("rfc: "), let rfc = Int(text.dropFirst(5)) {
            catalogue.rfc = rfc
        } else if text.hasPrefix("\""), text.hasSuffix("\":"), text.count > 3 {
            section = String(text.dropFirst().dropLast(2))
        } else {
            throw CatalogueError(description: "neither a section nor a key: \(text)")
        }
    }

    private static func pair(_ text: Substring) throws(CatalogueError) -> (key: String, value: String) {
        guard let colon = text.firstIndex(of: ":") else { throw CatalogueError(description: "no key: \(text)") }
        let value = text[text.index(after: colon)...].drop { $0 == " " }
        return (String(text[..<colon]), String(value))
    }

    private mutating func finish() throws(CatalogueError) {
        guard let first = fields.first else { return }
        guard first.key == "id" else {
            throw CatalogueError(description: "a record begins with its id, not \(first.key)")
        }
        var result = Requirement(id: first.value, rfc: catalogue.rfc, section: section, level: .may, rule: "")
        var hasLevel = false
        for (key, value) in fields.dropFirst() {
            switch key {
            case "level":
                guard let level = Level(rawValue: value) else {
                    throw CatalogueError(description: "\(first.value): level \(value)")
                }
                result.level = level
                hasLevel = true
            case "rule": result.rule = value
            case "code": result.code = try Self.code(value, first.value)
            case "test": result.tests = try Self.tests(value, first.value)
            case "status":
                guard let status = Status(rawValue: value) else {
                    throw CatalogueError(description: "\(first.value): status \(value)")
                }
                result.status = status
            case "reason": result.reason = value
            case "same": result.same = value
            default: throw CatalogueError(description: "\(first.value): unknown key \(key)")
            }
        }
        guard hasLevel else { throw CatalogueError(description: "\(first.value) has no level") }
        catalogue.requirements.append(result)
        fields = []
    }

    /// `file "words", file "words"`
    private static func code(_ text: String, _ id: String) throws(CatalogueError) -> [CodeReference] {
        let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.count % 2 == 1 else {
            throw CatalogueError(description: "\(id): code is a file and words in quotes")
        }
        return stride(from: 0, to: parts.count - 1, by: 2).map {
            CodeReference(file: parts[$0].filter { $0 != " " && $0 != "," }, words: String(parts[$0 + 1]))
        }
    }

    /// `file function, file function`
    private static func tests(_ text: String, _ id: String) throws(CatalogueError) -> [TestReference] {
        var result: [TestReference] = []
        for part in text.split(separator: ",") {
            let words = part.split(separator: " ")
            guard words.count == 2 else { throw CatalogueError(description: "\(id): test is a file and a function") }
            result.append(TestReference(file: String(words[0]), function: String(words[1])))
        }
        return result
    }
}
