import TransportValues
import WireFormats

/// Drops acknowledgments of data that it has not seen.
struct UnseenAckFilter: BoxProcess {
    private struct Flow {
        var outward: UInt32?
        var inward: UInt32?
    }

    private var flows = FlowStates<Flow>()
    private(set) var interventions: UInt64 = 0

    init() {}

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = BoxFlow(packet, isOutward: isOutward)
        var flow = flows[key, default: Flow()]
        let own = isOutward ? flow.outward : flow.inward
        if let seen = isOutward ? flow.inward : flow.outward, packet.flags.contains(.ack), !packet.flags.contains(.rst),
            isAfter(packet.acknowledgment, seen)
        {
            interventions += 1
            return
        }
        if own == nil || packet.flags.contains(.syn) || isAfter(packet.end, own!) {
            if isOutward { flow.outward = packet.end } else { flow.inward = packet.end }
            flows[key, default: Flow()] = flow
        }
        output.pass(packet, isOutward: isOutward)
    }
}

/// Lets data pass only in order.
struct HoleBlocker: BoxProcess {
    private struct Flow {
        var outward: UInt32?
        var inward: UInt32?
    }

    private var flows = FlowStates<Flow>()
    private(set) var interventions: UInt64 = 0

    init() {}

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        let key = BoxFlow(packet, isOutward: isOutward)
        var flow = flows[key, default: Flow()]
        let expected = isOutward ? flow.outward : flow.inward
        if !packet.flags.contains(.syn), !packet.flags.contains(.rst), packet.sequenceLength > 0, let expected,
            isAfter(packet.sequence, expected)
        {
            interventions += 1
            return
        }
        if packet.sequenceLength > 0, expected == nil || packet.flags.contains(.syn) || isAfter(packet.end, expected!) {
            if isOutward { flow.outward = packet.end } else { flow.inward = packet.end }
            flows[key, default: Flow()] = flow
        }
        output.pass(packet, isOutward: isOutward)
    }
}

/// Resets connections in the names of their ends.
struct ResetInjector: BoxProcess {
    let after: Int
    let flows: Int
    private var counts = FlowStates<Int>()
    private var victims = 0
    private(set) var interventions: UInt64 = 0

    init(after: Int, flows: Int) {
        self.after = after
        self.flows = flows
    }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        output.pass(packet, isOutward: isOutward)
        guard packet.payloadLength > 0, victims < flows else { return }
        let key = BoxFlow(packet, isOutward: isOutward)
        let count = counts[key, default: 0] + 1
        counts[key, default: 0] = count
        guard count == after else { return }
        victims += 1
        interventions += 2
        var onward = packet
        onward.setOptions([])
        onward.setPayload([])
        onward.sequence = packet.end
        onward.flags = [.rst, .ack]
        output.pass(onward, isOutward: isOutward)
        let back = packet.reply(flags: [.rst, .ack], sequence: packet.acknowledgment, acknowledgment: packet.end)
        output.pass(back, isOutward: !isOutward)
    }
}

/// Takes no long packets and does not say so.
struct BlackHole: BoxProcess {
    let mtu: Int
    private(set) var interventions: UInt64 = 0

    init(mtu: Int) { self.mtu = mtu }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        if packet.bytes.count > mtu {
            interventions += 1
        } else {
            output.pass(packet, isOutward: isOutward)
        }
    }
}
