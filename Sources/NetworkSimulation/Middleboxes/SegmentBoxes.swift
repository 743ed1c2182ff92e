import TransportValues
import WireFormats

/// Cuts segments.
struct Splitter: BoxProcess {
    let size: Int
    let copiesOptions: Bool
    private(set) var interventions: UInt64 = 0

    init(size: Int, copiesOptions: Bool) {
        self.size = size
        self.copiesOptions = copiesOptions
    }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        guard packet.payloadLength > size, !packet.flags.contains(.syn) else {
            return output.pass(packet, isOutward: isOutward)
        }
        interventions += 1
        let payload = Array(packet.payload)
        for start in stride(from: 0, to: payload.count, by: size) {
            let end = min(start + size, payload.count)
            var piece = packet
            if start > 0, !copiesOptions { piece = OptionStrip().applied(to: piece) }
            piece.setPayload(payload[start..<end])
            piece.sequence = packet.sequence &+ UInt32(start)
            if end < payload.count { piece.flags.subtract([.fin, .psh]) }
            output.pass(piece, isOutward: isOutward)
        }
    }
}

/// Joins segments.
struct Coalescer: BoxProcess {
    private struct Held {
        var packet: BoxPacket
        var until: MonotonicInstant
        var isOutward: Bool
    }

    private struct Key: Hashable {
        var flow: BoxFlow
        var isOutward: Bool
    }

    let limit: Int
    let hold: TimeSpan
    private var held: [Key: Held] = [:]
    private(set) var interventions: UInt64 = 0

    init(limit: Int, hold: TimeSpan) {
        self.limit = limit
        self.hold = hold
    }

    var deadline: MonotonicInstant { held.values.map(\.until).min() ?? .distantFuture }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = Key(flow: BoxFlow(packet, isOutward: isOutward), isOutward: isOutward)
        let isPlain = packet.payloadLength > 0 && packet.flags.isSubset(of: [.ack, .psh])
        if var waiting = held.removeValue(forKey: key) {
            if isPlain, packet.sequence == waiting.packet.end, waiting.packet.bytes.count + packet.payloadLength <= limit {
                interventions += 1
                waiting.packet.setPayload(Array(waiting.packet.payload) + packet.payload)
                waiting.packet.acknowledgment = packet.acknowledgment
                waiting.packet.window = packet.window
                waiting.packet.flags.formUnion(packet.flags)
                held[key] = waiting
                return
            }
            output.pass(waiting.packet, isOutward: isOutward)
        }
        guard isPlain, packet.bytes.count < limit, held.count < 1024 else {
            return output.pass(packet, isOutward: isOutward)
        }
        held[key] = Held(packet: packet, until: now + hold, isOutward: isOutward)
    }

    mutating func advance(to now: MonotonicInstant, into output: inout BoxOutput) {
        // In the order of sequence numbers is no matter here: a flow's direction holds one packet at most.
        let due = held.filter { $0.value.until <= now }.sorted { left, right in
            (left.value.until, left.value.packet.source.port) < (right.value.until, right.value.packet.source.port)
        }
        for (key, waiting) in due {
            held[key] = nil
            output.pass(waiting.packet, isOutward: waiting.isOutward)
        }
    }
}
