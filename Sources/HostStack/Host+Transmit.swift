import BasicContainers
import DequeModule
import MPTCPConnection
public import TransportValues
import WireFormats

extension Host {
    /// Writes the next packet that is due into `buffer` from byte `headroom` on; nil: none now. Call until nil.
    ///
    /// - Precondition: `buffer` holds `headroom` bytes and the largest packet of any interface behind them.
    public mutating func transmit(
        into buffer: inout MutableRawSpan, headroom: Int, now: MonotonicInstant
    ) -> TransmitMetadata? {
        // One answer to strangers, one packet of a connection: a flood of SYNs does not hold the connections up.
        if !repliesHeld, let packet = transmitReply(into: &buffer, headroom: headroom) {
            repliesHeld = !ready.isEmpty
            return packet
        }
        repliesHeld = false
        while !ready.isEmpty {
            let slot = ready[0]
            let index = Int(slot)
            let packet =
                slots[index].connection?.transmit(into: &buffer, headroom: headroom, now: now, counters: &counters)
                ?? nil
            if var packet {
                packet.lent.owner = slot
                takeTurns(slot)
                if slots[index].connection?.hasEvents == true { follow(slot, now: now) }
                return packet
            }
            ready.removeFirst()
            slots[index].isReady = false
            // Timers may have been set by sending; only a new subflow is a reason to come back at once.
            follow(slot, now: now, queue: false)
        }
        return transmitReply(into: &buffer, headroom: headroom)
    }

    private mutating func transmitReply(into buffer: inout MutableRawSpan, headroom: Int) -> TransmitMetadata? {
        while !replies.isEmpty {
            let reply = replies.removeFirst()
            if routes.isUp(reply.interface) { return reply.emit(into: &buffer, headroom: headroom) }
        }
        return nil
    }

    /// A connection with much to send leaves the head of the queue to others from time to time.
    private mutating func takeTurns(_ slot: Int32) {
        turn += 1
        guard turn >= 16, ready.count > 1 else { return }
        turn = 0
        ready.removeFirst()
        ready.append(slot)
    }
}

extension Host {
    /// Lends the payload that ``transmit(into:headroom:now:)`` left in its ring, in at most two slices, until the host is
    /// called again for anything else.
    public borrowing func withLentPayload<Result, Failure: Error>(
        _ lent: LentPayload, _ body: (RawSpan, RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard lent.length > 0, slots.indices.contains(Int(lent.owner)) else { return try body(RawSpan(), RawSpan()) }
        switch slots[Int(lent.owner)].connection {
        case .some(let connection): return try connection.withLentPayload(lent, body)
        case .none: return try body(RawSpan(), RawSpan())
        }
    }

    /// Copies a lent payload behind its headers: the packet that began at byte `headroom` of `buffer` is whole then.
    public borrowing func complete(
        _ metadata: inout TransmitMetadata, in buffer: inout MutableRawSpan, headroom: Int
    ) {
        let lent = metadata.lent
        metadata.lent = .none
        guard lent.length > 0, slots.indices.contains(Int(lent.owner)) else { return }
        slots[Int(lent.owner)].copyLentPayload(lent, into: &buffer, at: headroom + metadata.headerLength)
    }
}
