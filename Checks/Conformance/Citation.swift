/// A `//=` comment that says which section of which RFC the code beside it honours.
public struct Citation: Sendable {
    public struct Section: Hashable, Sendable {
        public var rfc: Int
        public var number: String

        public init(rfc: Int, number: String) {
            self.rfc = rfc
            self.number = number
        }
    }

    public var file: String
    public var line: Int
    /// With what stands on the comment's next lines.
    public var text: String
    public var sections: [Section]

    /// Every citation in a source file.
    public static func all(in source: String, file: String) -> [Citation] {
        var result: [Citation] = []
        var open: (line: Int, text: String)?
        var number = 0
        func close() {
            if let open { result.append(Citation(file: file, line: open.line, text: open.text)) }
        }
        for bytes in source.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let comment = bytes.drop { $0 == UInt8(ascii: " ") }
            guard comment.starts(with: [UInt8(ascii: "/"), UInt8(ascii: "/")]) else {
                close()
                open = nil
                continue
            }
            let text = Substring(comment.drop { $0 == UInt8(ascii: "/") })
            if text.hasPrefix("=") {
                close()
                open = (number, String(text.dropFirst(2)))
            } else if let begun = open {
                open = (begun.line, begun.text + text)
            }
        }
        close()
        return result
    }

    init(file: String, line: Int, text: String) {
        self.file = file
        self.line = line
        self.text = text
        sections = []
        var rfc = 0
        var isNumber = false
        for word in text.split(whereSeparator: { $0 == " " || $0 == "(" }) {
            if isNumber { rfc = Int(word.filter(\.isNumber)) ?? 0 }
            isNumber = word == "RFC"
            guard rfc > 0, word.first == "§" else { continue }
            let section = word.dropFirst().prefix { $0.isLetter || $0.isNumber || $0 == "." }
            sections.append(Section(rfc: rfc, number: String(section.last == "." ? section.dropLast() : section)))
        }
    }
}
