import NetworkSimulation
import Testing
import TransportValues

@Suite struct MiddleboxTextTests {
    /// Each box of the table says itself in the words that `mptcp link --box` reads.
    @Test func descriptionsAreReadBack() throws {
        var names: Set<Substring> = []
        for row in MiddleboxCase.all {
            for box in row.boxes(.a, 0, false) + row.boxes(.b, 1, true) {
                #expect(try Middlebox(parsing: "\(box)") == box, "\(row): \(box)")
                names.insert("\(box)".prefix { $0 != "," })
            }
        }
        // The help lists them all.
        let forms = Set(Middlebox.forms.map { $0.prefix { $0 != "," && $0 != "[" } })
        #expect(names == forms)
    }

    @Test func shortestTimes() {
        for text in ["0s", "10s", "1500ms", "250us", "7ns"] {
            #expect(TimeSpan(text: text)?.shortText == text)
        }
    }
}
