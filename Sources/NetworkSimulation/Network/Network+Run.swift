import BasicContainers
import HostStack
public import TransportValues
import WireFormats

extension Network {
    /// Why a run ended.
    public enum RunEnd: Hashable, Sendable {
        /// The condition came true.
        case conditionMet
        /// The time given was reached.
        case timeReached
        /// Nothing is left that could happen.
        case idle
        /// See ``Network/violation``.
        case violated
    }

    /// Lets everything happen that is due until `end`, and sets the clock to it.
    @discardableResult
    public func run(until end: MonotonicInstant) -> RunEnd { run(until: end) { false } }

    /// As ``run(until:)``, but stops as soon as `condition` holds; it is asked after each event.
    @discardableResult
    public func run(until end: MonotonicInstant, orWhen condition: () -> Bool) -> RunEnd {
        for host in hosts { pump(host) }
        while true {
            if violation != nil { return .violated }
            if condition() { return .conditionMet }
            guard let (time, wake) = events.popFirst(dueAt: end) else {
                let isIdle = events.nextTime == .distantFuture
                if end != .distantFuture { now = max(now, end) }
                return isIdle ? .idle : .timeReached
            }
            guard noteTime(time) else { return .violated }
            handle(wake, due: time)
        }
    }

    /// Runs until every stream has closed.
    @discardableResult
    public func runUntilStreamsClosed(limit: MonotonicInstant) -> RunEnd {
        run(until: limit) { openStreams == 0 }
    }

    /// A stack whose deadline never moves on would hold the clock for ever.
    private func noteTime(_ time: MonotonicInstant) -> Bool {
        sameInstantWakes = time > now ? 0 : sameInstantWakes + 1
        now = max(now, time)
        if sameInstantWakes < 100_000 { return true }
        violation =
            "time stands still at \(now.nanoseconds) ns: "
            + hosts.flatMap { host in host.stack.overdueDescriptions(at: now).map { "\(host.name): \($0)" } }.joined()
        return false
    }

    private func handle(_ wake: Wake, due: MonotonicInstant) {
        switch wake {
        case .link(let index):
            // A stale entry: the link has been rescheduled since.
            guard links[index].scheduled == due else { return }
            links[index].scheduled = .distantFuture
            deliver(index, to: .b)
            deliver(index, to: .a)
            scheduleLink(index)
        case .host(let index):
            let host = hosts[index]
            guard host.scheduled == due else { return }
            host.scheduled = .distantFuture
            host.stack.advance(to: now)
            pump(host)
            if let audit, let sentence = audit.afterTimer(of: host) { violation = sentence }
        case .reader(let index):
            wakeReader(index)
        case .action(let index):
            actions[index]?(self)
            actions[index] = nil
            for host in hosts { pump(host) }
        }
    }

    /// Hands over what has arrived at one end of a link, one packet after another, each with all its consequences.
    private func deliver(_ link: Int, to end: LinkEnd) {
        let port = links[link].port(end)
        let host = hosts[port.host]
        let isAttached = host.attachment(of: port.interface) != nil
        while violation == nil {
            let arrived = links[link].path.dequeue(to: end, now: now) { packet in
                note(packet, link: link, end: end)
                guard isAttached else { return }
                tap?(packet, Sighting(time: now, host: host, interface: port.interface, isSent: false, link: link))
                host.stack.receive(packet, on: port.interface, metadata: ReceivedPacketMetadata(), now: now)
            }
            if !arrived { return }
            pump(host)
            if let invariant, let sentence = invariant(self, host) { violation = sentence }
            if let audit, let sentence = audit.afterPacket(to: host) { violation = sentence }
        }
    }

    private func note(_ packet: RawSpan, link: Int, end: LinkEnd) {
        packetsDelivered += 1
        digest.combine(UInt64(bitPattern: now.nanoseconds))
        digest.combine(UInt64(link * 2 + end.rawValue))
        digest.combine(packet)
    }

    /// Lets a host send, and its applications act on events, until neither has anything left to do now.
    func pump(_ host: SimulatedHost) {
        repeat {
            transmit(host)
        } while handleEvents(host)
        let deadline = host.stack.nextDeadline
        if deadline < host.scheduled {
            host.scheduled = max(deadline, now)
            events.insert(.host(host.index), at: host.scheduled)
        }
    }

    private func transmit(_ host: SimulatedHost) {
        var span = transmitBuffer.mutableSpan
        var buffer = unsafe span.mutableBytes
        var scratchSpan = segmentBuffer.mutableSpan
        var scratch = unsafe scratchSpan.mutableBytes
        while let metadata = host.stack.transmit(into: &buffer, headroom: 0, now: now) {
            let packet = buffer.bytes.extracting(0..<metadata.length)
            guard let attachment = host.attachment(of: metadata.interface) else {
                host.strayPackets += 1
                continue
            }
            do {
                try SoftwareSegmentation.forEachPacket(of: packet, metadata: metadata, scratch: &scratch) { piece in
                    tap?(
                        piece,
                        Sighting(
                            time: now, host: host, interface: metadata.interface, isSent: true, link: attachment.link))
                    links[attachment.link].path.enqueue(piece, from: attachment.end, now: now)
                }
            } catch {
                violation = "\(host.name) sent a packet that can't be segmented: \(error)"
            }
            scheduleLink(attachment.link)
        }
    }

    func scheduleLink(_ index: Int) {
        let departure = links[index].path.nextDeparture
        if departure < links[index].scheduled {
            links[index].scheduled = max(departure, now)
            events.insert(.link(index), at: links[index].scheduled)
        }
    }
}
