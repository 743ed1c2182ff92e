import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// Two hosts joined by `paths` point-to-point links with a delay and seeded loss: the smallest world that the whole
/// stack runs in. Client addresses are 10.0.n.1, the server's 10.0.n.2 (n from 1).
final class PairedHosts {
    var client: Host
    var server: Host
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    var random: RandomSource
    var delay = TimeSpan.milliseconds(5)
    var loss = 0.0
    /// Interfaces (0…) that carry nothing.
    var dead: Set<Int32> = []
    /// Every packet that was sent, before loss.
    var sent: [Sent] = []
    var keepsPackets = false
    /// May change or drop (nil) a packet on its way.
    var tamper: ((Sent) -> [UInt8]?)?
    private var queue: [(time: MonotonicInstant, serial: Int, toServer: Bool, interface: InterfaceID, bytes: [UInt8])] =
        []
    private var serial = 0
    /// Checksums are left to the links, as a device with offloads takes them.
    private let trustsChecksums: Bool
    /// Bytes that packets took from the senders' rings.
    private(set) var lentBytes = 0
    private var buffer = [UInt8](repeating: 0, count: 70_000)

    struct Sent {
        var time: MonotonicInstant
        var fromClient: Bool
        var interface: InterfaceID
        var bytes: [UInt8]

        var segment: TCPSegment? {
            let span = bytes.rawBytes
            guard let ip = try? IPHeader(span) else { return nil }
            return try? TCPSegment(span, ip: ip, checksum: .unverified)
        }
    }

    init(
        seed: UInt64 = 1, paths: Int = 2, client clientSettings: ConnectionConfiguration = ConnectionConfiguration(),
        server serverSettings: ConnectionConfiguration = ConnectionConfiguration(), maximumPacket: Int = 1500,
        lendsFrom: Int? = nil
    ) {
        trustsChecksums = lendsFrom != nil
        random = RandomSource(seed: seed)
        var configuration = HostConfiguration()
        configuration.connection = clientSettings
        client = Host(configuration, randomness: random.fork(), now: now)
        configuration.connection = serverSettings
        server = Host(configuration, randomness: random.fork(), now: now)
        for path in 1...UInt8(paths) {
            let one = client.addInterface(
                name: "c\(path)", mtu: 1500, maximumPacket: maximumPacket, checksumOffload: trustsChecksums,
                lendsFrom: lendsFrom ?? .max)
            client.addAddress(IPAddress(10, 0, path, 1), prefixLength: 24, to: one)
            let two = server.addInterface(
                name: "s\(path)", mtu: 1500, maximumPacket: maximumPacket, checksumOffload: trustsChecksums,
                lendsFrom: lendsFrom ?? .max)
            server.addAddress(IPAddress(10, 0, path, 2), prefixLength: 24, to: two)
        }
    }

    /// Moves time on to the next thing that happens, at most to `end`. False when nothing happens before it.
    func step(until end: MonotonicInstant) -> Bool {
        flush()
        let arrival = queue.first?.time ?? .distantFuture
        let next = min(arrival, client.nextDeadline, server.nextDeadline)
        guard next <= end else {
            now = end
            return false
        }
        now = max(now, next)
        while let first = queue.first, first.time <= now {
            queue.removeFirst()
            let bytes = first.bytes.rawBytes
            let metadata = ReceivedPacketMetadata(checksum: trustsChecksums ? .trusted : .unverified)
            if first.toServer {
                server.receive(bytes, on: first.interface, metadata: metadata, now: now)
            } else {
                client.receive(bytes, on: first.interface, metadata: metadata, now: now)
            }
        }
        client.advance(to: now)
        server.advance(to: now)
        flush()
        return true
    }

    func run(for span: TimeSpan, until done: () -> Bool = { false }) {
        let end = now + span
        while !done(), step(until: end) {}
    }

    func flush() {
        while let packet = transmit(fromClient: true) { carry(packet, fromClient: true) }
        while let packet = transmit(fromClient: false) { carry(packet, fromClient: false) }
    }

    private func transmit(fromClient: Bool) -> (TransmitMetadata, [UInt8])? {
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        let metadata =
            fromClient
            ? client.transmit(into: &raw, headroom: 0, now: now) : server.transmit(into: &raw, headroom: 0, now: now)
        guard var metadata else { return nil }
        if metadata.lent.length > 0 {
            let slices = fromClient ? Self.slices(of: metadata, client) : Self.slices(of: metadata, server)
            if fromClient {
                client.complete(&metadata, in: &raw, headroom: 0)
            } else {
                server.complete(&metadata, in: &raw, headroom: 0)
            }
            #expect(slices == Array(buffer[metadata.headerLength..<metadata.length]), "two ways to the same bytes")
            lentBytes += slices.count
        }
        return (metadata, Array(buffer[..<metadata.length]))
    }

    private static func slices(of metadata: TransmitMetadata, _ host: borrowing Host) -> [UInt8] {
        host.withLentPayload(metadata.lent) { first, second in
            var bytes: [UInt8] = []
            unsafe first.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
            unsafe second.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
            return bytes
        }
    }

    private func carry(_ packet: (TransmitMetadata, [UInt8]), fromClient: Bool) {
        var record = Sent(time: now, fromClient: fromClient, interface: packet.0.interface, bytes: packet.1)
        if keepsPackets { sent.append(record) }
        if let tamper {
            guard let bytes = tamper(record) else { return }
            record.bytes = bytes
        }
        if dead.contains(packet.0.interface.rawValue) || random.chance(loss) { return }
        serial += 1
        queue.append((now + delay, serial, fromClient, packet.0.interface, record.bytes))
        queue.sort { ($0.time, $0.serial) < ($1.time, $1.serial) }
    }

    // MARK: Streams

    static func pattern(_ offset: Int, _ count: Int) -> [UInt8] {
        (offset..<offset + count).map { UInt8(truncatingIfNeeded: $0 &* 131 ^ $0 >> 9) }
    }

    func write(client isClient: Bool, _ id: ConnectionID, _ bytes: [UInt8]) -> Int {
        isClient ? client.write(id, bytes.rawBytes, now: now) : server.write(id, bytes.rawBytes, now: now)
    }

    func snapshot(client isClient: Bool, _ id: ConnectionID) -> ConnectionSnapshot? {
        isClient ? client.snapshot(id) : server.snapshot(id)
    }

    func read(client isClient: Bool, _ id: ConnectionID) -> (bytes: [UInt8], ended: Bool) {
        var result: [UInt8] = []
        while true {
            var span = buffer.mutableSpan
            var raw = unsafe span.mutableBytes
            let outcome =
                isClient ? client.read(id, into: &raw, now: now) : server.read(id, into: &raw, now: now)
            switch outcome {
            case .bytes(let count): result += buffer[..<count]
            case .wouldBlock: return (result, false)
            case .endOfStream: return (result, true)
            }
        }
    }
}
