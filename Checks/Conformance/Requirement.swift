/// How strongly a specification asks for something (RFC 2119).
public enum Level: String, CaseIterable, Sendable {
    case must = "MUST"
    case mustNot = "MUST NOT"
    case should = "SHOULD"
    case shouldNot = "SHOULD NOT"
    case recommended = "RECOMMENDED"
    case may = "MAY"
}

/// What became of a requirement that is not simply honoured.
public enum Status: String, Sendable {
    /// It does not bind this stack: its condition never holds here, or it speaks to others.
    case notApplicable = "not-applicable"
    /// Known, weighed, and done otherwise.
    case deviation
    /// Not done yet: a hole.
    case missing
}

/// A `//=` citation in the sources: a file and words of the citation.
public struct CodeReference: Sendable, Equatable {
    public var file: String
    public var words: String

    public init(file: String, words: String) {
        self.file = file
        self.words = words
    }
}

/// A test function.
public struct TestReference: Sendable, Equatable {
    public var file: String
    public var function: String

    public init(file: String, function: String) {
        self.file = file
        self.function = function
    }
}

/// One requirement of a specification, as a catalogue in `Specifications/` lists it.
public struct Requirement: Sendable {
    /// RFC, section and number: `8684-3.3.2-04`.
    public var id: String
    public var rfc: Int
    public var section: String
    public var level: Level
    /// In our own words.
    public var rule: String
    public var code: [CodeReference] = []
    public var tests: [TestReference] = []
    public var status: Status?
    public var reason: String?
    /// The requirement of another specification that says the same and is honoured by the same code, under the same test.
    public var same: String?
}

/// The requirements of one specification.
public struct Catalogue: Sendable {
    public var file: String
    public var rfc: Int
    /// Key words of each level in the specification's text, counted there; nil: not declared.
    public var keywords: [Level: Int] = [:]
    public var requirements: [Requirement] = []
}
