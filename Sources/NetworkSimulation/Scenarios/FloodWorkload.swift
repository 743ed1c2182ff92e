public import HostStack
import MPTCPConnection
import TransportValues

/// A server with live connections and a flood, both straight in memory: what a hostile packet costs the server's processor,
/// and what goodput that leaves when the flood comes at a given line rate all the while.
///
/// Only the server's work is timed, with a clock of the caller's; the client and the attacker are other machines.
public final class FloodWorkload {
    public struct Measure: Sendable {
        /// Bytes that the server's application read, each compared with what was sent.
        public var bytes: Int64 = 0
        /// The server's time for the live connections, and for the flood.
        public var liveNanoseconds: Int64 = 0
        public var hostileNanoseconds: Int64 = 0
        public var hostilePackets = 0
        public var hostileBits: Int64 = 0
        public var answers = 0
        /// What went wrong, in words.
        public var problems: [String] = []

        /// Bit/s of one processor that does nothing else.
        public var goodput: Double { Double(bytes) * 8e9 / Double(max(1, liveNanoseconds + hostileNanoseconds)) }
        public var nanosecondsPerHostilePacket: Double {
            Double(hostileNanoseconds) / Double(max(1, hostilePackets))
        }
    }

    private struct Packet {
        var offset: Int
        var length: Int
        var interface: InterfaceID
    }

    private var client: Host
    public private(set) var server: Host
    public private(set) var peak: HostOccupancy
    private let listener: ListenerID
    private var clients: [ConnectionID] = []
    private var servers: [ConnectionID] = []
    private var written: [Int64] = []
    private var readBytes: [Int64] = []
    private var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    private let clock: () -> Int64
    private var arena = [UInt8](repeating: 0, count: 64 * 1600 + 2048)
    private var answers = [UInt8](repeating: 0, count: 600 * 128 + 2048)
    private var application = [UInt8](repeating: 0, count: 1 << 16)
    private var seed: UInt64
    private static let port: UInt16 = 80

    /// - Parameter clock: nanoseconds of processor time.
    public init(seed: UInt64, connections: Int, clock: @escaping () -> Int64) throws {
        self.seed = seed
        self.clock = clock
        var random = RandomSource(seed: seed)
        var configuration = HostConfiguration()
        configuration.connection.multipath = .version1
        client = Host(configuration, randomness: random.fork(), now: now)
        server = Host(configuration, randomness: random.fork(), now: now)
        for path in UInt8(1)...2 {
            let one = client.addInterface(name: "c\(path)", mtu: 1500, maximumPacket: 1500, checksumOffload: false)
            client.addAddress(IPAddress(10, 0, path, 1), prefixLength: 24, to: one)
            let two = server.addInterface(name: "s\(path)", mtu: 1500, maximumPacket: 1500, checksumOffload: false)
            server.addAddress(IPAddress(10, 0, path, 2), prefixLength: 24, to: two)
        }
        listener = try server.listen(on: Endpoint(.anyIPv4, Self.port), now: now)
        peak = server.occupancy
        for _ in 0..<connections {
            clients.append(try client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), Self.port), now: now))
        }
        written = Array(repeating: 0, count: connections)
        readBytes = Array(repeating: 0, count: connections)
        var idle = Measure()
        for _ in 0..<100 where servers.count < connections { turn(&idle) }
        // The server's order of connections is the client's: nothing is lost here.
        peak = server.occupancy
    }

    public var isReady: Bool { servers.count == clients.count }

    /// Moves at least `bytes` without a flood.
    public func live(bytes: Int64) -> Measure {
        var measure = Measure()
        while measure.bytes < bytes, measure.problems.isEmpty { turn(&measure) }
        return measure
    }

    /// Goes on until `packets` hostile ones have come at `bitsPerSecond`: for every nanosecond that the server works, on
    /// them or on the live connections, as many bits as the line delivers in one.
    public func flood(_ kind: HostileTraffic.Kind, packets: Int, bitsPerSecond: Double) -> Measure {
        var traffic = HostileTraffic(
            seed: seed, target: Endpoint(IPAddress(10, 0, 1, 2), Self.port), live: liveTuples)
        var measure = Measure()
        var owed = 0.0
        while measure.hostilePackets < packets, measure.problems.isEmpty {
            let before = measure.liveNanoseconds
            turn(&measure)
            owed += Double(measure.liveNanoseconds - before) * bitsPerSecond / 1e9
            var inTurn = 0
            while owed > 0, inTurn < 100_000 {
                let (spent, bits) = attack(kind, &traffic, &measure)
                owed += Double(spent) * bitsPerSecond / 1e9 - Double(bits)
                inTurn += 64
            }
            if inTurn >= 100_000 { measure.problems.append("the flood leaves no time for the live connections") }
        }
        return measure
    }

    private var liveTuples: [FourTuple] {
        servers.flatMap { server.snapshot($0)?.subflows ?? [] }.map { FourTuple(local: $0.local, remote: $0.remote) }
    }

    // MARK: One turn

    private func attack(
        _ kind: HostileTraffic.Kind, _ traffic: inout HostileTraffic, _ measure: inout Measure
    ) -> (nanoseconds: Int64, bits: Int) {
        var packets: [Packet] = []
        var bits = 0
        for index in 0..<64 {
            var span = arena.mutableSpan
            var raw = unsafe span.mutableBytes
            let length = traffic.write(kind, into: &raw, at: index * 1600)
            packets.append(Packet(offset: index * 1600, length: length, interface: InterfaceID(0)))
            // Ethernet: header, check sequence, preamble and gap, and 84 bytes at least.
            bits += max(84, length + 38) * 8
        }
        let began = clock()
        let replies = work(packets)
        let spent = clock() - began
        now = now + .nanoseconds(max(spent, 1_000))
        measure.hostileNanoseconds += spent
        measure.hostilePackets += 64
        measure.hostileBits += Int64(bits)
        measure.answers += replies.count
        peak = peak.maximum(server.occupancy)
        toClient(replies)
        return (spent, bits)
    }

    private func turn(_ measure: inout Measure) {
        for index in clients.indices { fill(index) }
        let packets = fromClient()
        let began = clock()
        var replies = work(packets)
        let spent = clock() - began
        measure.liveNanoseconds += spent
        now = now + .nanoseconds(max(spent, 20_000))
        toClient(replies)
        client.advance(to: now)
        while client.nextEvent() != nil {}
        while let id = server.accept(listener) { servers.append(id) }
        for index in servers.indices { drain(index, &measure) }
        // What reading set off: window updates.
        replies = work([])
        toClient(replies)
    }

    /// What the server does with packets that have come; timed.
    private func work(_ packets: [Packet]) -> [Packet] {
        Self.work(packets, &server, arena, &answers, now)
    }

    private static func work(
        _ packets: [Packet], _ server: inout Host, _ arena: [UInt8], _ answers: inout [UInt8], _ now: MonotonicInstant
    ) -> [Packet] {
        var replies: [Packet] = []
        let bytes = unsafe arena.span.bytes
        for packet in packets {
            server.receive(
                bytes.extracting(packet.offset..<packet.offset + packet.length), on: packet.interface, now: now)
        }
        server.advance(to: now)
        while server.nextEvent() != nil {}
        var span = answers.mutableSpan
        var raw = unsafe span.mutableBytes
        while replies.count < 600 {
            let offset = replies.count * 128
            guard let metadata = server.transmit(into: &raw, headroom: offset, now: now) else { break }
            replies.append(Packet(offset: offset, length: metadata.length, interface: metadata.interface))
        }
        return replies
    }

    private func toClient(_ packets: [Packet]) {
        for packet in packets {
            client.receive(
                unsafe answers.span.bytes.extracting(packet.offset..<packet.offset + packet.length),
                on: packet.interface,
                now: now)
        }
    }

    private func fromClient() -> [Packet] {
        var packets: [Packet] = []
        var span = arena.mutableSpan
        var raw = unsafe span.mutableBytes
        while packets.count < 64 {
            let offset = packets.count * 1600
            guard let metadata = client.transmit(into: &raw, headroom: offset, now: now) else { break }
            packets.append(Packet(offset: offset, length: metadata.length, interface: metadata.interface))
        }
        return packets
    }

    // MARK: The applications

    private static func byte(_ offset: Int64) -> UInt8 { UInt8(truncatingIfNeeded: offset &* 131 ^ offset >> 9) }

    private func fill(_ index: Int) {
        if written[index] - readBytes[index] > 400_000 { return }
        for place in 0..<16_384 { application[place] = Self.byte(written[index] + Int64(place)) }
        let taken = unsafe client.write(clients[index], application.span.bytes.extracting(0..<16_384), now: now)
        written[index] += Int64(taken)
    }

    private func drain(_ index: Int, _ measure: inout Measure) {
        while true {
            let began = clock()
            var span = application.mutableSpan
            var raw = unsafe span.mutableBytes
            let result = server.read(servers[index], into: &raw, now: now)
            measure.liveNanoseconds += clock() - began
            guard case .bytes(let count) = result else {
                if case .endOfStream = result { measure.problems.append("live connection \(index) ended") }
                return
            }
            for place in 0..<count where application[place] != Self.byte(readBytes[index] + Int64(place)) {
                measure.problems.append("live connection \(index): wrong byte")
                return
            }
            readBytes[index] += Int64(count)
            measure.bytes += Int64(count)
        }
    }
}
