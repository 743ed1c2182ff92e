import Conformance
import Foundation
import Testing

/// The catalogues in `Specifications` against sources and tests, and that the check would notice a hole.
@Suite struct ConformanceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func thereIsNoHole() throws {
        var checker = try Checker(root: Self.root)
        try checker.run()
        #expect(checker.problems == [])
        #expect(checker.catalogues.map(\.rfc) == [6824, 6897, 8684])
        #expect(checker.requirements.count > 250)
    }

    /// Each change makes a hole where there was none.
    @Test func holesAreNoticed() throws {
        let changes: [(String, (inout Requirement) -> Void, String)] = [
            ("another file", { $0.code[0].file = "Sources/Nowhere.swift" }, "has no citation"),
            ("another section", { $0.code[0].words = "words that stand nowhere" }, "has no citation"),
            ("no code", { $0.code = [] }, "without code"),
            ("no test", { $0.tests = [] }, "without test"),
            ("another function", { $0.tests[0].function = "thatDoesNotExist" }, "no test"),
            (
                "a helper",
                { $0.tests[0] = TestReference(file: "Tests/HostStackTests/ScriptedPeer.swift", function: "establish") },
                "no test"
            ),
            ("missing", { $0.status = .missing }, "missing"),
            ("no reason", { $0.status = .notApplicable }, "without a reason"),
            ("no rule", { $0.rule = "" }, "says nothing"),
            (
                "a deviation",
                {
                    $0.status = .deviation
                    $0.reason = "so"
                }, "a deviation from MUST"
            ),
            ("no original", { $0.same = "8684-9.9-01" }, "no entry of its own"),
            ("another level", { $0.level = .may }, "times MUST"),
            ("twice", { $0.id = "8684-3.1-01" }, "twice"),
        ]
        let whole = try Checker(root: Self.root).catalogues
        let catalogue = try #require(whole.firstIndex { $0.rfc == 8684 })
        let index = try #require(
            whole[catalogue].requirements.firstIndex { $0.level == .must && $0.status == nil && $0.section != "3.1" })
        for (name, change, expected) in changes {
            var changed = whole
            change(&changed[catalogue].requirements[index])
            var checker = Checker(root: Self.root, catalogues: changed)
            try checker.run()
            #expect(checker.problems.contains { $0.contains(expected) }, "\(name): \(checker.problems)")
        }
    }

    @Test func aCitationThatNobodyListsIsNoticed() throws {
        var catalogues = try Checker(root: Self.root).catalogues
        for index in catalogues.indices { catalogues[index].requirements.removeAll { $0.section == "3.3.8" } }
        var checker = Checker(root: Self.root, catalogues: catalogues)
        try checker.run()
        #expect(checker.problems.contains { $0.contains("§3.3.8 is cited and no entry points there") })
    }

    @Test func citationsAreRead() {
        let text = """
            func a() {
                //= RFC 8684 §3.1, §3.7 some rule (RFC 6824 §3.1: another)
                // that goes on
                let b = 1
                ///= RFC 9293 §3.8.6.2.1.
            }
            """
        let citations = Citation.all(in: text, file: "a.swift")
        #expect(citations.count == 2)
        #expect(citations[0].line == 2)
        #expect(citations[0].text.contains("that goes on"))
        #expect(citations[0].sections.map(\.rfc) == [8684, 8684, 6824])
        #expect(citations[0].sections.map(\.number) == ["3.1", "3.7", "3.1"])
        #expect(citations[1].sections == [Citation.Section(rfc: 9293, number: "3.8.6.2.1")])
    }

    @Test(arguments: [
        "\"3.1\":\n  - level: MUST", "rfc: 8684\nelse", "\"3.1\":\n  - id: a\n    level: PERHAPS",
        "\"3.1\":\n  - id: a\n    rule: b", "\"3.1\":\n  - id: a\n    level: MUST\n    code: Sources",
        "\"3.1\":\n  - id: a\n    level: MUST\n    test: Tests",
        "\"3.1\":\n  - id: a\n    level: MUST\n    colour: red",
        "keywords:\n  MUST: many", "\"3.1\":\n    level: MUST",
    ])
    func whatCannotBeReadThrows(text: String) {
        #expect(throws: CatalogueError.self) { try CatalogueReader.read(text, file: "a.yaml") }
    }

    @Test func valuesGoOnInTheNextLine() throws {
        let text = """
            rfc: 8684
            # a remark
            keywords:
              MUST: 1

            "3.1":
              - id: 8684-3.1-01
                level: MUST
                rule: one
                  two
                code: a.swift "some words", b.swift "others"
                test: c.swift first, d.swift second
            """
        let catalogue = try CatalogueReader.read(text, file: "a.yaml")
        #expect(catalogue.keywords == [.must: 1])
        let requirement = try #require(catalogue.requirements.first)
        #expect(requirement.rule == "one two" && requirement.section == "3.1" && requirement.level == .must)
        #expect(
            requirement.code == [
                CodeReference(file: "a.swift", words: "some words"), CodeReference(file: "b.swift", words: "others"),
            ])
        #expect(requirement.tests.map(\.function) == ["first", "second"])
    }
}
