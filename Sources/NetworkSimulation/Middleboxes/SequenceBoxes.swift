import TransportValues
import WireFormats

extension BoxPacket {
    /// Applies `change` to both edges of every SACK block.
    mutating func mapSACK(_ change: (UInt32) -> UInt32) {
        for option in options where option.kind == 5 {
            for place in stride(from: option.place.lowerBound + 2, to: option.place.upperBound - 3, by: 4) {
                overwrite32(at: place, with: change(word(at: place)))
            }
        }
    }
}

/// Gives each direction of a connection other sequence numbers.
struct SequenceShifter: BoxProcess {
    private struct Shift {
        var outward: UInt32
        var inward: UInt32
    }

    private var flows = FlowStates<Shift>()
    private(set) var interventions: UInt64 = 0

    init() {}

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = BoxFlow(packet, isOutward: isOutward)
        if flows[key] == nil {
            flows[key, default: Shift(outward: 0, inward: 0)] =
                Shift(outward: randomness.nextWord(), inward: randomness.nextWord())
        }
        let shift = flows[key]!
        var packet = packet
        let (own, other) = isOutward ? (shift.outward, shift.inward) : (shift.inward, shift.outward)
        packet.sequence &+= own
        if packet.flags.contains(.ack) { packet.acknowledgment &-= other }
        packet.mapSACK { $0 &- other }
        interventions += 1
        output.pass(packet, isOutward: isOutward)
    }
}

/// Changes payloads, and sequence numbers where their length changes, the same way every time a place is sent.
struct PayloadRewriter: BoxProcess {
    struct Edit {
        /// The original sequence number before which bytes are put in, or of the byte that is changed or taken out.
        var place: UInt32
        var delta: Int32
    }

    private struct Stream {
        var highest: UInt32?
        var segments = 0
        var edits: [Edit] = []
    }

    private struct Flow {
        var outward = Stream()
        var inward = Stream()
    }

    /// Edits remembered for one direction; after them it changes nothing more.
    private static let limit = 1024
    private static let inserted: [UInt8] = [0x42, 0x4f, 0x58, 0x21]

    let kind: Middlebox.Rewrite
    let every: Int
    let direction: Middlebox.Direction
    private var flows = FlowStates<Flow>()
    private(set) var interventions: UInt64 = 0

    init(kind: Middlebox.Rewrite, every: Int, direction: Middlebox.Direction) {
        self.kind = kind
        self.every = every
        self.direction = direction
    }

    private var delta: Int32 { kind == .grow ? Int32(Self.inserted.count) : kind == .shrink ? -1 : 0 }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = BoxFlow(packet, isOutward: isOutward)
        var flow = flows[key, default: Flow()]
        var stream = isOutward ? flow.outward : flow.inward
        let other = isOutward ? flow.inward : flow.outward
        if direction.includes(outward: isOutward) { note(packet, &stream) }
        if isOutward { flow.outward = stream } else { flow.inward = stream }
        flows[key, default: Flow()] = flow

        var changed = packet
        if packet.payloadLength > 0 { changed.setPayload(edited(packet, stream)) }
        changed.sequence = Self.forward(packet.sequence, stream.edits)
        if packet.flags.contains(.ack) { changed.acknowledgment = Self.back(packet.acknowledgment, other.edits) }
        changed.mapSACK { Self.back($0, other.edits) }
        output.pass(changed, isOutward: isOutward)
    }

    private func note(_ packet: BoxPacket, _ stream: inout Stream) {
        if packet.flags.contains(.syn) {
            stream = Stream()
            stream.highest = packet.end
            return
        }
        guard packet.payloadLength > 0 else { return }
        let highest = stream.highest ?? packet.sequence
        guard isAfter(packet.end, highest) else { return }
        stream.highest = packet.end
        stream.segments += 1
        guard stream.segments % every == 0, stream.edits.count < Self.limit, !isAfter(highest, packet.sequence) else {
            return
        }
        stream.edits.append(Edit(place: packet.sequence &+ UInt32(packet.payloadLength / 2), delta: delta))
    }

    private mutating func edited(_ packet: BoxPacket, _ stream: Stream) -> [UInt8] {
        var payload = Array(packet.payload)
        for edit in stream.edits.reversed() {
            let index = Int(Int32(bitPattern: edit.place &- packet.sequence))
            guard index >= 0, index < payload.count else { continue }
            interventions += 1
            switch kind {
            case .same: payload[index] ^= 0x20
            case .grow: payload.insert(contentsOf: Self.inserted, at: index)
            case .shrink: payload.remove(at: index)
            }
        }
        return payload
    }

    /// From the sender's numbers to the receiver's.
    private static func forward(_ number: UInt32, _ edits: [Edit]) -> UInt32 {
        var result = number
        for edit in edits where isAfter(number, edit.place) { result &+= UInt32(bitPattern: edit.delta) }
        return result
    }

    /// From the receiver's numbers to the sender's.
    private static func back(_ number: UInt32, _ edits: [Edit]) -> UInt32 {
        var result = number
        for edit in edits where isAfter(result, edit.place) {
            let before = result &- UInt32(bitPattern: edit.delta)
            // Within what was put in, nothing of the sender's has arrived beyond the place.
            result = isAfter(before, edit.place) ? before : edit.place
        }
        return result
    }
}
