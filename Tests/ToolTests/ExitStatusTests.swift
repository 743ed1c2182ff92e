import Foundation
import Testing

/// The contract of shared/tool.md: exit status, and one line on standard error that says what.
@Suite(.serialized) struct ExitStatusTests {
    @Test(arguments: [
        "cat", "cat 192.0.2.1", "cat 192.0.2.1 http", "cat 192.0.2.1 0", "cat 192.0.2.1 65536",
        "cat --listen 0", "cat --listen 5 192.0.2.1 5", "cat --keep 192.0.2.1 5",
        "cat --path tun:x 192.0.2.1 5", "cat --path tun:x,address=10.0.0.1 192.0.2.1 5",
        "cat --path a/b 192.0.2.1 5", "cat --path udp:192.0.2.1 192.0.2.1 5", "cat --path nosuch0 192.0.2.1 5",
        "cat --path lo 192.0.2.1 5", "cat --mptcp-version 2 192.0.2.1 5",
        "cat --mode sideways 192.0.2.1 5", "cat --scheduler none 192.0.2.1 5",
        "cat --congestion none 192.0.2.1 5", "cat --log-level loud 192.0.2.1 5",
        "cat --report /nonexistent/r --path lo 192.0.2.1 5", "bench", "bench --send 192.0.2.1 5",
        "bench --receive --listen 5", "bench --seconds 0 192.0.2.1 5", "bench --seconds nan 192.0.2.1 5",
        "cat --keep-pathless=-1 192.0.2.1 5", "cat --keep-pathless nan 192.0.2.1 5", "cat --user-timeout 0 192.0.2.1 5",
        "cat --keepalive 0.5 192.0.2.1 5", "cat --max-subflows 0 192.0.2.1 5", "cat --max-subflows 33 192.0.2.1 5",
        "cat --max-addresses 33 192.0.2.1 5", "cat --damage maybe 192.0.2.1 5", "show",
        "link --from a --to b --box nonsense", "link --from a --to b --box strip,on=never",
        "bench --bytes -1 192.0.2.1 5", "bench --bytes 1e99 192.0.2.1 5", "bench --bytes 5XB 192.0.2.1 5", "nonsense",
        "cat --nonsense 192.0.2.1 5",
    ])
    func unusableArgumentsAreStatus2AndOneLine(arguments: String) throws {
        let run = try ToolProcess(arguments.split(separator: " ").map(String.init))
        #expect(run.status == 2, "\(run.errorOutput)")
        #expect(run.errorLines.count == 1, "\(run.errorOutput)")
        #expect(run.errorOutput.hasPrefix("mptcp: "))
        #expect(run.output.isEmpty)
    }

    @Test(arguments: ["--help", "cat --help", "bench --help", "help cat"])
    func helpIsStatus0(arguments: String) throws {
        let run = try ToolProcess(arguments.split(separator: " ").map(String.init))
        #expect(run.status == 0)
        #expect(run.output.contains("USAGE"))
        #expect(run.errorOutput.isEmpty)
    }

    @Test func helpListsAlgorithmsByName() throws {
        let output = try ToolProcess(["bench", "--help"]).output
        for name in ["cubic:", "newreno:", "lowest-rtt:", "aggregate:"] { #expect(output.contains(name)) }
    }

    /// The program and its folders must be readable by nobody: where they are not, nothing can be said.
    private static let canLosePrivileges: Bool = {
        guard getuid() == 0, FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv") else { return false }
        let run = try? ToolProcess(["--help"], prefix: nobody)
        return run?.status == 0
    }()
    private static let nobody = [
        "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
    ]

    @Test(.enabled(if: canLosePrivileges))
    func aMissingPrivilegeIsStatus3AndSaysWhatMendsIt() throws {
        let run = try ToolProcess(
            ["cat", "--path", "tun:tooltest,address=10.99.1.2/24", "10.99.1.1", "5"], prefix: Self.nobody)
        #expect(run.status == 3, "\(run.errorOutput)")
        #expect(run.errorLines.count == 1)
        #expect(run.errorOutput.contains("CAP_NET_ADMIN"))
    }
}

/// What `--report` leaves behind, in a network namespace of the test's own.
@Suite(.serialized, .enabled(if: ToolProcess.canMakeDevices)) struct ReportFileTests {
    private let path = "tun:tooltest,address=10.99.1.2/24"
    private let own = ["/usr/bin/unshare", "-n"]

    @Test func aRefusedConnectionIsStatus1WithAReport() throws {
        let file = ScratchFile()
        let run = try ToolProcess(["cat", "--path", path, "--report", file.path, "10.99.1.1", "5"], prefix: own)
        #expect(run.status == 1, "\(run.errorOutput)")
        #expect(run.errorLines == ["mptcp: 10.99.1.1:5: connection refused"])
        let report = try file.json()
        #expect(
            Set(report.keys) == [
                "role", "seconds", "bytesSent", "bytesReceived", "multipath", "version", "fallback", "checksum",
                "subflows",
            ])
        #expect(report["role"] as? String == "client")
        #expect(report["version"] is NSNull)
        let subflow = try #require((report["subflows"] as? [[String: Any]])?.first)
        #expect(
            Set(subflow.keys) == [
                "local", "remote", "path", "bytesSent", "bytesReceived", "segmentsRetransmitted",
                "roundTripMilliseconds", "backup", "state", "closeReason",
            ])
        #expect(subflow["path"] as? String == "tooltest")
        #expect(subflow["remote"] as? String == "10.99.1.1:5")
    }

    @Test func noAddressOfTheFamilyIsStatus1() throws {
        let run = try ToolProcess(["cat", "--path", path, "2001:db8::1", "5"], prefix: own)
        #expect(run.status == 1)
        #expect(run.errorLines.count == 1)
        #expect(run.errorOutput.contains("IPv6"))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsInOrderWithAReport(signal: Int32) throws {
        let file = ScratchFile()
        let run = try ToolProcess(
            ["cat", "--path", path, "--report", file.path, "--listen", "5"], prefix: own,
            signalAfter: (signal, 1.5))
        #expect(run.status == 128 + signal, "\(run.errorOutput)")
        #expect(run.errorLines.count == 1)
        let report = try file.json()
        #expect(report["role"] as? String == "server")
        #expect((report["subflows"] as? [Any])?.isEmpty == true)
    }
}
