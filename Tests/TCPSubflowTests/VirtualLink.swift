import TCPSubflow
import TransportPolicies
import TransportValues
import WireFormats

/// What a link does to packets.
struct LinkConditions {
    var delay = TimeSpan.milliseconds(10)
    var jitter = TimeSpan.zero
    var loss = 0.0
    var duplication = 0.0
    /// Bytes a second; 0: no limit.
    var rate = 0
    /// Bytes that may wait for a limited rate.
    var queue = 200_000
}

/// Two subflows joined by a virtual link. Payload bytes are a function of their stream offset, so that every byte that
/// is stored is checked for its place.
final class LinkedPair {
    struct Packet {
        var arrival: MonotonicInstant
        var bytes: [UInt8]
        var toServer: Bool
    }

    var client: Subflow
    /// Placeholder until the SYN arrives.
    var server: Subflow
    private var hasServer = false
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    var source: RandomSource
    var conditions: LinkConditions
    private var flying: [Packet] = []
    private var busyUntil = [MonotonicInstant.zero, MonotonicInstant.zero]
    private let settings: SubflowConfiguration
    /// Bytes to move, client to server and back.
    var goals: [Int64]
    var received: [Int64] = [0, 0]
    private var stored = [IntervalSet(), IntervalSet()]
    var faults: [String] = []
    var receiveBuffer = 400_000
    var events = 0
    private var checks = 0
    private let tuple = FourTuple(
        local: Endpoint(IPAddress(10, 0, 0, 1), 40_000), remote: Endpoint(IPAddress(10, 0, 0, 2), 80))
    private var buffer = [UInt8](repeating: 0, count: 70_000)

    init(_ settings: SubflowConfiguration, _ conditions: LinkConditions, up: Int64, down: Int64, seed: UInt64) {
        source = RandomSource(seed: seed)
        self.conditions = conditions
        self.settings = settings
        goals = [up, down]
        client = Subflow(
            activeOpen: settings, initialSequence: SequenceNumber(source.nextWord() | 0xfff0_0000),
            timestampOffset: source.nextWord(), now: now)
        server = Subflow(
            activeOpen: settings, initialSequence: SequenceNumber(0), timestampOffset: 0, now: now)
    }

    /// Bytes of both directions; a period that no segment or burst length divides.
    private static let patterns: [[UInt8]] = [1 as UInt64, 2].map { seed in
        var source = RandomSource(seed: seed)
        return (0..<period).map { _ in UInt8(truncatingIfNeeded: source.nextWord()) }
    }
    private static let period = 70_001

    /// What stands at these stream offsets; at most a period long.
    static func slice(_ range: Range<Int64>, fromClient: Bool) -> ArraySlice<UInt8> {
        let start = Int(range.lowerBound % Int64(period))
        let pattern = patterns[fromClient ? 0 : 1]
        if start + range.count <= period { return pattern[start..<start + range.count] }
        return pattern[start..<period] + pattern[0..<start + range.count - period]
    }

    static func matches(_ bytes: ArraySlice<UInt8>, _ offset: Int64, fromClient: Bool) -> Bool {
        bytes.elementsEqual(slice(offset..<offset + Int64(bytes.count), fromClient: fromClient))
    }

    var isFinished: Bool {
        guard client.phase == .closed || client.phase == .timeWait, let phase = serverPhase else { return false }
        return phase == .closed || phase == .timeWait
    }

    var serverPhase: SubflowPhase? { hasServer ? server.phase : nil }

    /// Runs until both have closed; false: it did not end in time.
    func run(limit: TimeSpan = .seconds(600 as Int64)) -> Bool {
        let end = now + limit
        while now < end, faults.isEmpty {
            transmit()
            if isFinished { return true }
            var next = client.nextDeadline
            if hasServer { next = min(next, server.nextDeadline) }
            if let packet = flying.last { next = min(next, packet.arrival) }
            if next == .distantFuture {
                faults.append("nothing will ever happen: \(client.phase) \(String(describing: serverPhase))")
                return false
            }
            now = max(now, next)
            deliver()
            advance()
            events += 1
        }
        if faults.isEmpty { faults.append("unfinished after \(events) events") }
        return false
    }

    /// `flying` is sorted by arrival, latest first.
    private func enqueue(_ packet: Packet) {
        var index = 0
        while index < flying.count, flying[index].arrival > packet.arrival { index += 1 }
        flying.insert(packet, at: index)
    }

    private func advance() {
        let outcome = client.advance(to: now)
        if let failure = outcome.failure { faults.append("client: \(failure)") }
        if hasServer, let failure = server.advance(to: now).failure { faults.append("server: \(failure)") }
    }

    private func deliver() {
        while let packet = flying.last, packet.arrival <= now {
            flying.removeLast()
            let raw = unsafe packet.bytes.span.bytes
            guard let ip = try? IPHeader(raw), let segment = try? TCPSegment(raw, ip: ip, checksum: .trusted) else {
                faults.append("unreadable packet")
                return
            }
            if packet.toServer, !hasServer {
                guard segment.flags == .syn else { continue }
                server = Subflow(
                    passiveOpen: settings, initialSequence: SequenceNumber(source.nextWord() | 0xffff_0000),
                    timestampOffset: source.nextWord(), syn: segment, now: now)
                hasServer = true
                continue
            }
            if packet.toServer {
                receive(&server, segment, packet.bytes, 0)
            } else {
                receive(&client, segment, packet.bytes, 1)
            }
        }
    }

    private func receive(_ flow: inout Subflow, _ segment: TCPSegment, _ bytes: [UInt8], _ direction: Int) {
        let outcome = flow.receive(segment, now: now)
        if outcome.change == .reset || outcome.change == .refused { faults.append("\(outcome.change)") }
        if let range = outcome.payload {
            let start = segment.payloadOffset + outcome.payloadSkip
            if !Self.matches(bytes[start..<start + range.count], range.lowerBound, fromClient: direction == 0) {
                faults.append("wrong bytes at \(range)")
                return
            }
            stored[direction].insert(range)
            _ = flow.store(range, now: now)
            received[direction] = stored[direction].count
        }
        checkInvariant(flow)
    }

    private func checkInvariant(_ flow: borrowing Subflow) {
        checks += 1
        if checks % 8 == 0, let fault = flow.brokenInvariant() { faults.append(fault) }
    }

    // MARK: Sending

    private func transmit() {
        pump(&client, 0)
        if hasServer { pump(&server, 1) }
    }

    private func pump(_ flow: inout Subflow, _ direction: Int) {
        for _ in 0..<10_000 {
            if flow.phase == .closed { return }
            switch flow.opportunity(now: now) {
            case .reset: send(&flow, .reset, direction)
            case .synchronize: send(&flow, .synchronize, direction)
            case .retransmit(let range): send(&flow, .retransmit(range), direction)
            case .fin: send(&flow, .fin, direction)
            case .probe: send(&flow, .probe, direction)
            case .acknowledge: if !sendData(&flow, direction) { send(&flow, .acknowledge, direction) }
            case .nothing: if !sendData(&flow, direction) { return }
            }
        }
        faults.append("sending never stops")
    }

    private func sendData(_ flow: inout Subflow, _ direction: Int) -> Bool {
        let left = goals[direction] - (flow.sendNext - 1)
        if left <= 0 {
            if flow.canSendData {
                flow.close()
                return sendData(&flow, direction)
            }
            return false
        }
        let length = min(Int(left), flow.sendRoom(now: now), settings.maximumBurst)
        flow.setDataWaiting(length <= 0 ? .behindOwnWindow : .none, now: now)
        guard length > 0 else { return false }
        let mapping = SentMapping(dataOffset: flow.sendNext, subflowOffset: flow.sendNext, length: Int32(length))
        send(&flow, .data(mapping, length: length, push: false, fin: false), direction)
        return true
    }

    private func send(_ flow: inout Subflow, _ emission: Subflow.Emission, _ direction: Int) {
        let start = flow.sendNext
        var payload = start..<start
        if case .data(_, let length, _, _) = emission { payload = start..<start + Int64(length) }
        if case .retransmit(let range) = emission {
            payload = range.subflowOffset..<range.subflowOffset + Int64(range.length)
            if range.dataOffset != range.subflowOffset, range.length > 0 { faults.append("mapping moved") }
        }
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        let header = flow.emit(
            emission, tuple: direction == 0 ? tuple : tuple.reversed, multipath: OptionBlock(),
            window: receiveBuffer, into: &raw, at: 20, now: now)
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: IPHeader.tcp,
            payloadLength: min(header + payload.count, 65_515), into: &raw, at: 0)
        buffer.replaceSubrange(
            20 + header..<20 + header + payload.count, with: Self.slice(payload, fromClient: direction == 0))
        checkInvariant(flow)
        forward(header, payload.count, direction)
    }

    /// Cuts super-frames into segments, as a device would, and puts them on the link.
    private func forward(_ header: Int, _ payload: Int, _ direction: Int) {
        let limit = settings.maximumSegmentSize - (header - 20)
        var position = 0
        repeat {
            let count = min(limit, payload - position)
            var bytes = Array(buffer[0..<20 + header])
            bytes += buffer[20 + header + position..<20 + header + position + count]
            let base = SequenceNumber(
                (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[24 + $1]) } &+ UInt32(position))
            for index in 0..<4 {
                bytes[24 + index] = UInt8(truncatingIfNeeded: base.rawValue >> UInt32(24 - 8 * index))
            }
            // FIN stands on the last segment only.
            if position + count < payload { bytes[33] &= ~1 }
            relength(&bytes)
            launch(bytes, direction)
            position += count
        } while position < payload
    }

    private func relength(_ bytes: inout [UInt8]) {
        let count = bytes.count
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        _ = IPHeader.emit(
            source: tuple.local.address, destination: tuple.remote.address, protocolNumber: IPHeader.tcp,
            payloadLength: count - 20, into: &raw, at: 0)
    }

    private func launch(_ bytes: [UInt8], _ direction: Int) {
        if source.chance(conditions.loss) { return }
        let copies = source.chance(conditions.duplication) ? 2 : 1
        for _ in 0..<copies {
            var departure = now
            if conditions.rate > 0 {
                let start = max(now, busyUntil[direction])
                let backlog = (start - now).nanoseconds / 1_000 * Int64(conditions.rate) / 1_000_000
                if backlog > Int64(conditions.queue) { continue }
                let time = TimeSpan.nanoseconds(Int64(bytes.count) * 1_000_000_000 / Int64(conditions.rate))
                departure = start + time
                busyUntil[direction] = departure
            }
            let jitter = conditions.jitter.nanoseconds
            let extra = jitter > 0 ? Int64(source.next() % UInt64(jitter)) : 0
            enqueue(
                Packet(
                    arrival: departure + conditions.delay + .nanoseconds(extra), bytes: bytes,
                    toServer: direction == 0))
        }
    }
}
