// Many connections at once through one stack, to an echo server: each sends bytes of its own and checks what returns.
//
//     ManyConnections ADDRESS PORT COUNT BYTES PATH...
//
// Prints one line; exit status 1 when a connection failed, returned other bytes, or was no Multipath TCP.

import MPTCPConnection
import MPTCPSockets
import PacketBackends
import TransportValues

@main
struct ManyConnections {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 5, let address = IPAddress(Array(arguments)[0]),
            let port = UInt16(Array(arguments)[1]), let count = Int(Array(arguments)[2]),
            let bytes = Int(Array(arguments)[3])
        else {
            fatalError("usage: ManyConnections ADDRESS PORT COUNT BYTES PATH...")
        }
        let paths = try arguments.dropFirst(4).map { StackPath.system(try PathSpecification(parsing: $0)) }
        let stack = try MPTCPStack(StackConfiguration(paths: paths))
        let server = Endpoint(address, port)
        let results = await withTaskGroup(of: String?.self) { group in
            for number in 0..<count {
                group.addTask {
                    do { return try await converse(stack, server, number, bytes) } catch { return "\(number): \(error)" }
                }
            }
            var problems: [String] = []
            for await problem in group { if let problem { problems.append(problem) } }
            return problems
        }
        await stack.shutDown()
        print("\(count - results.count) of \(count) connections intact")
        for problem in results { print(problem) }
        if !results.isEmpty { throw Failure() }
    }

    struct Failure: Error {}

    /// One connection; returns what was wrong with it.
    static func converse(_ stack: MPTCPStack, _ server: Endpoint, _ number: Int, _ bytes: Int) async throws -> String? {
        let data = (0..<bytes + number).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &* 7 ^ $0 >> 8) }
        let socket = try await stack.connect(to: server)
        async let writing: Void = write(data, to: socket)
        var returned: [UInt8] = []
        while returned.count < data.count, try await socket.read(appendingTo: &returned) > 0 {}
        try await writing
        let snapshot = await socket.snapshot()
        try await socket.close()
        if returned != data { return "\(number): \(returned.count) of \(data.count) bytes, or others, came back" }
        guard snapshot?.isMultipath == true else { return "\(number): \(snapshot?.fallback ?? "no Multipath TCP")" }
        let used = snapshot?.subflows.filter { $0.bytesSent > 0 }.count ?? 0
        return used >= 1 ? nil : "\(number): no subflow carried data"
    }

    static func write(_ data: [UInt8], to socket: MPTCPSocket) async throws {
        try await socket.write(data)
        try await socket.finishWriting()
    }
}
