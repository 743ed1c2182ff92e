import Foundation
import LabSupport
import Testing

/// The C interface as C sees it: the programs are compiled with the machine's `cc` against the header and the shared
/// library, and run. Where there is no C compiler they are skipped.
@Suite(.serialized) struct DrivenHostTests {
    static let compiler = ["/usr/bin/cc", "/usr/local/bin/cc"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    static let reason: Comment = "no C compiler (cc) on this machine"
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let library = root + "/.build/release"

    /// Compiles C files against the shipped header and library; warnings are errors.
    func build(_ sources: [String], _ flags: [String] = [], into folder: ScratchFolder) throws -> String {
        let program = folder.path("program")
        let compiler = try #require(Self.compiler)
        let command =
            [compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"] + flags + [
                "-I", Self.root + "/Sources/CMPTCP/Header/include",
            ] + sources + ["-L", Self.library, "-lcmptcp", "-Wl,-rpath," + Self.library, "-o", program]
        let child = try ChildProcess(command)
        let status = try child.wait(timeout: 120)
        try #require(status == .exited(0), "\(child.output)\(child.errorOutput)")
        return program
    }

    var programs: [String] {
        let folder = Self.root + "/Tests/CMPTCPTests/Programs"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".c") }.sorted().map { folder + "/" + $0 }
    }

    /// Every function of the header; see `Programs/main.c` for the names.
    @Test(
        "The conformance program", .enabled(if: compiler != nil, reason), .timeLimit(.minutes(5)))
    func conformance() throws {
        let folder = try ScratchFolder(prefix: "cmptcp")
        let program = try build(programs, into: folder)
        for name in [
            "arguments", "handles", "options", "transfer", "close", "errors", "endpoints", "packets", "hostile",
            "linux",
        ] {
            let child = try ChildProcess([program, name])
            #expect(try child.wait(timeout: 120) == .exited(0), "\(name): \(child.errorOutput)")
            #expect(child.output == "\(name) ok\n")
        }
        // A name that is none would pass unseen otherwise.
        #expect(try ChildProcess([program, "nonesuch"]).wait(timeout: 60) == .exited(2))
    }

    @Test("The example", .enabled(if: compiler != nil, reason), .timeLimit(.minutes(2)))
    func example() throws {
        let folder = try ScratchFolder(prefix: "cmptcp")
        let program = try build([Self.root + "/Examples/DrivenHost/driven_host.c"], into: folder)
        let child = try ChildProcess([program])
        #expect(try child.wait(timeout: 120) == .exited(0), "\(child.errorOutput)")
        #expect(child.output.hasPrefix("1048576 bytes in "))
        #expect(child.output.contains("; 1 joins"))
    }
}
