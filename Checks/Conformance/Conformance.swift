import Foundation

/// `make conformance`: every requirement of the specifications, what honours it and what proves that.
///
/// The argument is the project's folder, the current one without. Exit status 1: there is a hole.
@main
struct Conformance {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        let root = URL(fileURLWithPath: arguments.first ?? FileManager.default.currentDirectoryPath, isDirectory: true)
        var checker = try Checker(root: root)
        try checker.run()
        print(Table.entries(checker.catalogues))
        print()
        print(Table.totals(checker.catalogues))
        if checker.problems.isEmpty { return }
        print("\n\(checker.problems.count) holes:")
        for problem in checker.problems { print(problem) }
        exit(1)
    }
}
