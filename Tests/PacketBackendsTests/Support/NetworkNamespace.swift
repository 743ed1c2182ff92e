import CLinux
import Foundation
import LabSupport
import Synchronization

/// Whether this process may make network namespaces and devices; the reason when not.
enum Privilege {
    static let reason = "needs root, iproute2 and /dev/net/tun"
    static let isThere =
        geteuid() == 0 && FileManager.default.isWritableFile(atPath: "/dev/net/tun") && findProgram("ip") != nil
        && canMakeNamespaces

    private static let canMakeNamespaces: Bool = {
        let name = "be-\(getpid())-probe"
        let made = (try? run("ip", "netns", "add", name)) != nil
        if made { _ = try? run("ip", "netns", "delete", name) }
        return made
    }()
}

struct CommandFailure: Error { var text: String }

func findProgram(_ name: String) -> String? {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map { "\($0)/\(name)" }.first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
}

/// Runs a command to its end and returns its output.
@discardableResult
func run(_ arguments: String...) throws -> String {
    let (process, output) = try start(arguments)
    let bytes = output.fileHandleForReading.readAll()
    process.waitUntilExit()
    let text = String(decoding: bytes, as: UTF8.self)
    guard process.terminationStatus == 0 else {
        throw CommandFailure(text: "\(arguments.joined(separator: " ")): \(text)")
    }
    return text
}

func start(_ arguments: [String]) throws -> (Process, Pipe) {
    guard let program = findProgram(arguments[0]) else { throw CommandFailure(text: "no \(arguments[0])") }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = Array(arguments.dropFirst())
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    return (process, output)
}

/// A network namespace that exists as long as this object.
final class NetworkNamespace {
    let name: String
    private static let serial = Atomic<Int>(0)

    init() throws {
        name = "be-\(getpid())-\(Self.serial.wrappingAdd(1, ordering: .relaxed).newValue)"
        try PacketBackendsTests.run("ip", "netns", "add", name)
        // The kernel asks for IPv6 neighbours only from an address that duplicate address detection has passed, which
        // takes seconds; nobody else is here.
        for scope in ["all", "default"] {
            try PacketBackendsTests.run(
                "ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.\(scope).accept_dad=0")
        }
        try ip("link", "set", "lo", "up")
    }

    /// Waits until every IPv6 address is ready for use: the kernel sets them up a little after the command returns.
    func awaitAddresses() throws {
        for _ in 0..<100 where try !ip("-6", "address", "show", "tentative").isEmpty { usleep(20_000) }
    }

    deinit { _ = try? PacketBackendsTests.run("ip", "netns", "delete", name) }

    /// Runs `ip` inside.
    @discardableResult
    func ip(_ arguments: String...) throws -> String {
        let (process, output) = try start(["ip", "-n", name] + arguments)
        let bytes = output.fileHandleForReading.readAll()
        process.waitUntilExit()
        let text = String(decoding: bytes, as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw CommandFailure(text: "ip \(arguments.joined(separator: " ")): \(text)")
        }
        return text
    }

    /// Starts a Python program inside.
    func python(_ program: String) throws -> BackgroundProgram {
        // Bounded, so that a test that fails does not wait for it for ever.
        try BackgroundProgram(["timeout", "20", "ip", "netns", "exec", name, "python3", "-u", "-c", program])
    }

    /// The value of one of the kernel's counters inside.
    func counter(_ counter: String) throws -> Int {
        let text = try PacketBackendsTests.run("ip", "netns", "exec", name, "nstat", "-asz", counter)
        for line in text.split(separator: "\n") where line.hasPrefix(counter) {
            let fields = line.split(separator: " ")
            if fields.count > 1, let value = Int(fields[1]) { return value }
        }
        throw CommandFailure(text: "no counter \(counter): \(text)")
    }

    /// Runs `body` on a thread of its own inside the namespace.
    func inside<Result>(_ body: @escaping () throws -> Result) throws -> Result {
        // Let go of before this returns: it holds the namespace, which must be gone before the process is.
        nonisolated(unsafe) var body: (() throws -> Result)? = body
        nonisolated(unsafe) var result: Swift.Result<Result, any Error>? = nil
        let done = DispatchSemaphore(value: 0)
        let name = self.name
        let thread = Thread {
            unsafe result = Swift.Result {
                guard unsafe clinux_enter_namespace(name) == 0 else {
                    throw CommandFailure(text: "setns: errno \(errno)")
                }
                return unsafe try body!()
            }
            unsafe body = nil
            done.signal()
        }
        thread.start()
        done.wait()
        return unsafe try result!.get()
    }
}

/// Two namespaces joined by a veth pair `left`—`right`, with 10.77.0.1/24 and fd77::1/64 on the left, .2 and ::2 on the
/// right.
struct LinkedNamespaces {
    let left: NetworkNamespace
    let right: NetworkNamespace

    init() throws {
        left = try NetworkNamespace()
        right = try NetworkNamespace()
        try left.ip("link", "add", "left", "type", "veth", "peer", "name", "right", "netns", right.name)
        for (namespace, device, host) in [(left, "left", 1), (right, "right", 2)] {
            try namespace.ip("address", "add", "10.77.0.\(host)/24", "dev", device)
            try namespace.ip("-6", "address", "add", "fd77::\(host)/64", "dev", device, "nodad")
            try namespace.ip("link", "set", device, "up")
        }
        try left.awaitAddresses()
        try right.awaitAddresses()
    }
}

/// A program that runs beside the test; it is ended with this object.
final class BackgroundProgram {
    private let process: Process
    private let output: Pipe

    init(_ arguments: [String]) throws { (process, output) = try start(arguments) }

    deinit { if process.isRunning { process.terminate() } }

    /// The next line of its output.
    func line() -> String {
        var bytes: [UInt8] = []
        while let byte = try? output.fileHandleForReading.read(upToCount: 1)?.first, byte != 10 { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The rest of its output, after it has ended.
    func wait() -> String {
        let data = output.fileHandleForReading.readAll()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
