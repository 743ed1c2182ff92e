import TransportValues

/// What comes out of a box.
struct BoxOutput {
    var packets: [(packet: BoxPacket, isOutward: Bool)] = []

    mutating func pass(_ packet: BoxPacket, isOutward: Bool) { packets.append((packet, isOutward)) }
}

/// A box at work. Its time and randomness come from the caller.
protocol BoxProcess {
    /// Takes a packet and puts what is to go on, either way, into `output`.
    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput)
    /// When ``advance(to:into:)`` has something to do.
    var deadline: MonotonicInstant { get }
    mutating func advance(to now: MonotonicInstant, into output: inout BoxOutput)
    /// Packets that were dropped, changed or made by the box.
    var interventions: UInt64 { get }
}

extension BoxProcess {
    var deadline: MonotonicInstant { .distantFuture }
    mutating func advance(to now: MonotonicInstant, into output: inout BoxOutput) {}
}

extension Middlebox {
    func makeProcess() -> any BoxProcess {
        switch action {
        case .translateAddresses(let outside, let timeout, let target):
            AddressTranslator(outside: outside, timeout: timeout, forwardsTo: target)
        case .strip(let strip): OptionStripper(strip: strip)
        case .dropSYN(let choice, let direction): SYNFilter(choice: choice, direction: direction)
        case .shiftSequence: SequenceShifter()
        case .split(let size, let copies): Splitter(size: size, copiesOptions: copies)
        case .coalesce(let limit, let hold): Coalescer(limit: limit, hold: hold)
        case .clampMSS(let size): MSSClamp(size: size)
        case .rewrite(let kind, let every, let direction): PayloadRewriter(kind: kind, every: every, direction: direction)
        case .acknowledgeEarly(let direction): EarlyAcknowledger(direction: direction)
        case .dropUnseenAcks: UnseenAckFilter()
        case .blockHoles: HoleBlocker()
        case .reset(let after, let flows): ResetInjector(after: after, flows: flows)
        case .blackHole(let mtu): BlackHole(mtu: mtu)
        }
    }
}

extension Middlebox.Direction {
    func includes(outward: Bool) -> Bool { self == .both || (self == .outward) == outward }
}

/// Boxes in a row, in the order from end a to end b of a link.
struct MiddleboxChain {
    struct Stage {
        var process: any BoxProcess
        var inside: LinkEnd
    }

    private var stages: [Stage]
    private var randomness: RandomSource
    /// Packets that have passed all boxes, by the end they go to.
    private(set) var finished: [(bytes: [UInt8], to: LinkEnd)] = []

    init(_ boxes: [Middlebox], randomness: RandomSource) {
        stages = boxes.map { Stage(process: $0.makeProcess(), inside: $0.inside) }
        self.randomness = randomness
    }

    var deadline: MonotonicInstant { stages.map(\.process.deadline).min() ?? .distantFuture }
    var interventions: [UInt64] { stages.map(\.process.interventions) }

    mutating func takeFinished() -> [(bytes: [UInt8], to: LinkEnd)] {
        defer { finished.removeAll(keepingCapacity: true) }
        return finished
    }

    /// A packet on its way to `end`; what is no TCP passes as it is.
    mutating func handle(_ packet: RawSpan, to end: LinkEnd, now: MonotonicInstant) {
        guard let parsed = BoxPacket(packet) else {
            finished.append(((0..<packet.byteCount).map { packet.octet($0) }, end))
            return
        }
        push(parsed, to: end, from: end == .b ? 0 : stages.count - 1, now: now)
    }

    mutating func advance(to now: MonotonicInstant) {
        for index in stages.indices where stages[index].process.deadline <= now {
            var output = BoxOutput()
            stages[index].process.advance(to: now, into: &output)
            forward(output, of: index, now: now)
        }
    }

    private mutating func push(_ packet: BoxPacket, to end: LinkEnd, from index: Int, now: MonotonicInstant) {
        guard stages.indices.contains(index) else {
            var packet = packet
            packet.finish()
            finished.append((packet.bytes, end))
            return
        }
        var output = BoxOutput()
        stages[index].process.handle(
            packet, isOutward: end != stages[index].inside, now: now, randomness: &randomness, into: &output)
        forward(output, of: index, now: now)
    }

    private mutating func forward(_ output: BoxOutput, of index: Int, now: MonotonicInstant) {
        for (packet, isOutward) in output.packets {
            let end = isOutward ? stages[index].inside.other : stages[index].inside
            push(packet, to: end, from: end == .b ? index + 1 : index - 1, now: now)
        }
    }
}
