import TransportValues
import WireFormats

/// A proxy that acknowledges data at once, keeps a copy, and repeats it until the receiver has it.
struct EarlyAcknowledger: BoxProcess {
    private struct Stream {
        /// The next byte in order.
        var expected: UInt32?
        /// What the receiver has acknowledged.
        var acknowledged: UInt32?
        /// The receiver's last words: window, and its sequence number and timestamp.
        var window: UInt16 = 0
        var sequence: UInt32 = 0
        var timestamp: UInt32?
        /// The sender's last words: acknowledgment and timestamps, for repeating its data as if sent now.
        var senderAcknowledgment: UInt32 = 0
        var senderStamps: [UInt8] = []
        var kept: [BoxPacket] = []
        var keptBytes = 0
        var repeatAt = MonotonicInstant.distantFuture
        var tries = 0
    }

    private struct Key: Hashable {
        var flow: BoxFlow
        var isOutward: Bool
    }

    private static let memory = 1 << 20
    private static let patience = TimeSpan.milliseconds(200)
    private static let tries = 40

    let direction: Middlebox.Direction
    private var streams: [Key: Stream] = [:]
    private(set) var interventions: UInt64 = 0

    init(direction: Middlebox.Direction) { self.direction = direction }

    var deadline: MonotonicInstant { streams.values.map(\.repeatAt).min() ?? .distantFuture }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let flow = BoxFlow(packet, isOutward: isOutward)
        let acknowledgment = ownAcknowledgment(packet, Key(flow: flow, isOutward: !isOutward))
        var passed = packet
        if let acknowledgment { passed.acknowledgment = acknowledgment }
        output.pass(passed, isOutward: isOutward)
        if packet.flags.contains(.rst) {
            streams[Key(flow: flow, isOutward: true)] = nil
            streams[Key(flow: flow, isOutward: false)] = nil
            return
        }
        hear(packet, Key(flow: flow, isOutward: !isOutward), now)
        let key = Key(flow: flow, isOutward: isOutward)
        guard direction.includes(outward: isOutward), streams.count < 4096 else { return }
        var stream = streams[key] ?? Stream()
        stream.senderAcknowledgment = acknowledgment ?? packet.acknowledgment
        if let stamps = packet.option(8), stamps.count == 10 { stream.senderStamps = Array(stamps) }
        if packet.flags.contains(.syn) {
            stream.expected = packet.end
        } else if packet.payloadLength > 0, packet.sequence == stream.expected,
            stream.keptBytes + packet.bytes.count <= Self.memory
        {
            stream.expected = packet.sequence &+ UInt32(packet.payloadLength)
            stream.kept.append(packet)
            stream.keptBytes += packet.bytes.count
            if stream.repeatAt == .distantFuture { stream.repeatAt = now + Self.patience }
            if let early = answer(packet, stream) { output.pass(early, isOutward: !isOutward) }
        }
        streams[key] = stream
    }

    /// What the proxy has acknowledged itself where the packet says less: its two sides are one connection to the sender,
    /// which refuses words far behind what it was told (RFC 5961 §5.2).
    private func ownAcknowledgment(_ packet: BoxPacket, _ reverse: Key) -> UInt32? {
        guard packet.flags.contains(.ack), !packet.flags.contains(.rst), direction.includes(outward: reverse.isOutward),
            let stream = streams[reverse], stream.acknowledged != nil, let expected = stream.expected,
            isAfter(expected, packet.acknowledgment)
        else { return nil }
        return expected
    }

    /// The acknowledgment that the receiver has not sent; nil before its window is known.
    private mutating func answer(_ packet: BoxPacket, _ stream: Stream) -> BoxPacket? {
        guard stream.acknowledged != nil, let expected = stream.expected else { return nil }
        var early = packet.reply(flags: .ack, sequence: stream.sequence, acknowledgment: expected)
        early.window = stream.window
        if let timestamp = stream.timestamp, let echoed = packet.option(8), echoed.count == 10 {
            let own = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: timestamp >> $0) }
            early.setOptions([1, 1, 8, 10] + own + echoed.dropFirst(2).prefix(4))
        }
        interventions += 1
        return early
    }

    /// What the receiver of the other direction says about it.
    private mutating func hear(_ packet: BoxPacket, _ key: Key, _ now: MonotonicInstant) {
        guard packet.flags.contains(.ack), var stream = streams[key] else { return }
        stream.window = packet.window
        stream.sequence = packet.end
        if let option = packet.options.first(where: { $0.kind == 8 && $0.place.count == 10 }) {
            stream.timestamp = packet.word(at: option.place.lowerBound + 2)
        }
        if stream.acknowledged == nil || isAfter(packet.acknowledgment, stream.acknowledged!) {
            stream.acknowledged = packet.acknowledgment
            stream.tries = 0
            while let first = stream.kept.first, !isAfter(first.end, packet.acknowledgment) {
                stream.keptBytes -= first.bytes.count
                stream.kept.removeFirst()
            }
            stream.repeatAt = stream.kept.isEmpty ? .distantFuture : now + Self.patience
        }
        streams[key] = stream
    }

    /// Old timestamps and acknowledgments would be refused (RFC 7323 §5, RFC 5961 §5.2).
    private func refreshed(_ packet: BoxPacket, _ stream: Stream) -> BoxPacket {
        var packet = packet
        packet.acknowledgment = stream.senderAcknowledgment
        if let place = packet.options.first(where: { $0.kind == 8 })?.place, place.count == stream.senderStamps.count {
            packet.overwrite(place, with: stream.senderStamps)
        }
        return packet
    }

    mutating func advance(to now: MonotonicInstant, into output: inout BoxOutput) {
        let due = streams.filter { $0.value.repeatAt <= now }.keys.sorted { left, right in
            (left.flow.inside.port, left.isOutward ? 0 : 1) < (right.flow.inside.port, right.isOutward ? 0 : 1)
        }
        for key in due {
            guard var stream = streams[key] else { continue }
            stream.tries += 1
            if stream.tries > Self.tries {
                stream.kept.removeAll()
                stream.keptBytes = 0
                stream.repeatAt = .distantFuture
            } else {
                stream.repeatAt = now + Self.patience * Int64(min(stream.tries, 8))
                for packet in stream.kept.prefix(16) {
                    interventions += 1
                    output.pass(refreshed(packet, stream), isOutward: key.isOutward)
                }
            }
            streams[key] = stream
        }
    }
}
