import Glibc
import MPTCPConnection
import MPTCPSockets
import Synchronization
import TransportValues

/// Two stacks of this process, joined by socket pairs that carry IP packets: one pair a path, like a cable.
struct StackPair {
    let client: MPTCPStack
    let server: MPTCPStack
    let serverAddress = IPAddress(10, 1, 0, 2)

    init(paths: Int = 2, connection: ConnectionConfiguration = .init(), mtu: Int = 1500) throws {
        var near: [StackPath] = []
        var far: [StackPath] = []
        for path in 0..<paths {
            let (a, b) = try Self.cable()
            let net = UInt8(1 + path)
            near.append(
                .descriptor(
                    DescriptorPath(
                        name: "path\(path)", descriptor: a, addresses: [AddressPrefix(IPAddress(10, net, 0, 1), 24)],
                        mtu: mtu)))
            far.append(
                .descriptor(
                    DescriptorPath(
                        name: "path\(path)", descriptor: b, addresses: [AddressPrefix(IPAddress(10, net, 0, 2), 24)],
                        mtu: mtu)))
        }
        var configuration = StackConfiguration(paths: near)
        configuration.connection = connection
        client = try MPTCPStack(configuration)
        configuration.paths = far
        server = try MPTCPStack(configuration)
    }

    /// Both ends of one connection to `port`.
    func connected(port: UInt16) async throws -> (client: MPTCPSocket, server: MPTCPSocket) {
        let listener = try await server.listen(port: port)
        async let accepted = listener.accept()
        let socket = try await client.connect(to: Endpoint(serverAddress, port))
        guard let peer = try await accepted else { throw SocketError.closed }
        return (socket, peer)
    }

    private static func cable() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe ends.withUnsafeMutableBufferPointer {
            unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, $0.baseAddress)
        }
        guard result == 0 else { throw SocketError.system("socketpair", errno) }
        return (ends[0], ends[1])
    }
}

/// Bytes that differ at every place, so that a shift or a swap shows.
func pattern(_ range: Range<Int>) -> [UInt8] {
    range.map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
}

/// A source that gives `total` bytes of ``pattern(_:)``.
final class PatternSource: StreamSource {
    private let position = Mutex(0)
    let total: Int

    init(total: Int) { self.total = total }

    func next() -> SourceStep {
        position.withLock { position in
            if position == total { return .end }
            let start = position
            position = min(total, position + 65_536)
            return .bytes(pattern(start..<position))
        }
    }
}

/// A sink that checks what it gets against ``pattern(_:)``.
final class CheckingSink: StreamSink {
    struct State {
        var count = 0
        var firstFault: Int?
        var buffer = [UInt8](repeating: 0, count: 65_536)
    }
    let state = Mutex(State())

    func offer(_ fill: (inout MutableRawSpan) -> Int) -> SinkStep {
        state.withLock { state in
            var span = state.buffer.mutableSpan
            var bytes = unsafe span.mutableBytes
            let count = fill(&bytes)
            let expected = pattern(state.count..<(state.count + count))
            for index in 0..<count where state.buffer[index] != expected[index] {
                if state.firstFault == nil { state.firstFault = state.count + index }
            }
            state.count += count
            return .taken
        }
    }
}

/// Fails the test instead of hanging it.
func withTimeLimit<T: Sendable>(_ seconds: Int = 20, _ body: @escaping @Sendable () async throws -> T) async throws -> T
{
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            throw TimeLimitExceeded()
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

struct TimeLimitExceeded: Error {}
