import TransportValues
import WireFormats

/// Takes options away: see ``OptionStrip``.
struct OptionStripper: BoxProcess {
    private struct Flow {
        var packets = 0
        /// Whether the side that sent the SYN is inside; nil before it.
        var initiatorIsInside: Bool?
        var thirdAckPassed = false
    }

    let strip: OptionStrip
    private var flows = FlowStates<Flow>()
    private(set) var interventions: UInt64 = 0

    init(strip: OptionStrip) { self.strip = strip }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = BoxFlow(packet, isOutward: isOutward)
        var flow = flows[key, default: Flow()]
        let isMeant = note(packet, isOutward: isOutward, &flow) && strip.direction.includes(outward: isOutward)
        let isLate = flow.packets >= strip.after
        flow.packets += 1
        flows[key, default: Flow()] = flow
        guard isMeant, isLate, packet.has(strip.options) else { return output.pass(packet, isOutward: isOutward) }
        interventions += 1
        output.pass(strip.applied(to: packet), isOutward: isOutward)
    }

    /// Whether this is one of the segments meant.
    private func note(_ packet: BoxPacket, isOutward: Bool, _ flow: inout Flow) -> Bool {
        let isSYN = packet.flags.contains(.syn)
        if isSYN, !packet.flags.contains(.ack) {
            flow.initiatorIsInside = isOutward
            flow.thirdAckPassed = false
        }
        var isThird = false
        if !isSYN, flow.initiatorIsInside == isOutward, !flow.thirdAckPassed {
            flow.thirdAckPassed = true
            isThird = true
        }
        switch strip.segments {
        case .all: return true
        case .syn: return isSYN && !packet.flags.contains(.ack)
        case .synAck: return isSYN && packet.flags.contains(.ack)
        case .thirdAck: return isThird
        case .data: return packet.payloadLength > 0
        case .established: return !isSYN
        }
    }
}

extension OptionStrip {
    func applied(to packet: BoxPacket) -> BoxPacket {
        var packet = packet
        let doomed = packet.options.filter { options.contains(kind: $0.kind, subtype: $0.subtype) }
        switch replacement {
        case .nop:
            for option in doomed { packet.overwrite(option.place, with: 1) }
        case .eol:
            if let first = doomed.first { packet.overwrite(first.place.lowerBound..<packet.optionsEnd, with: 0) }
        case .removed:
            let kept = packet.options.filter { !options.contains(kind: $0.kind, subtype: $0.subtype) }
            packet.setOptions(kept.flatMap { packet.bytes[$0.place] })
        }
        return packet
    }
}

/// Drops SYNs with options it dislikes.
struct SYNFilter: BoxProcess {
    let choice: OptionChoice
    let direction: Middlebox.Direction
    private(set) var interventions: UInt64 = 0

    init(choice: OptionChoice, direction: Middlebox.Direction) {
        self.choice = choice
        self.direction = direction
    }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        if packet.flags.contains(.syn), direction.includes(outward: isOutward), packet.has(choice) {
            interventions += 1
        } else {
            output.pass(packet, isOutward: isOutward)
        }
    }
}

/// Lowers the MSS of SYNs.
struct MSSClamp: BoxProcess {
    let size: Int
    private(set) var interventions: UInt64 = 0

    init(size: Int) { self.size = size }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        var packet = packet
        if packet.flags.contains(.syn), let option = packet.options.first(where: { $0.kind == 2 && $0.place.count == 4 }) {
            let place = option.place.lowerBound + 2
            let offered = Int(packet.bytes[place]) << 8 | Int(packet.bytes[place + 1])
            if offered > size {
                packet.overwrite16(at: place, with: UInt16(size))
                interventions += 1
            }
        }
        output.pass(packet, isOutward: isOutward)
    }
}
