public import TransportValues

extension Subflow {
    /// The connection kept these payload bytes, a subrange of ``SegmentOutcome/payload``: RCV.NXT, SACK and ACK state
    /// advance. Anything outside the window is disregarded.
    /// - Returns: true when the peer's FIN became in order by it and was consumed.
    public mutating func store(_ range: Range<Int64>, now: MonotonicInstant) -> Bool {
        guard phase.mayReceiveData else { return false }
        let lower = max(range.lowerBound, receiving.next)
        let upper = min(range.upperBound, receiving.edge, receiving.fin ?? .max)
        guard lower < upper else { return false }
        if lower > receiving.next {
            storeBeyondGap(lower..<upper)
            return false
        }
        statistics.bytesReceived &+= UInt64(upper &- receiving.next)
        receiving.next = upper
        if !receiving.ranges.isEmpty { joinRanges() }
        guard receiving.fin == receiving.next else { return false }
        consumeFin(now)
        return true
    }

    private mutating func storeBeyondGap(_ range: Range<Int64>) {
        guard receiving.ranges.insert(range, limit: ReceiveState.maximumRanges) else {
            statistics.outOfOrderRefused &+= 1
            return
        }
        noteRecent(range.lowerBound)
        acknowledging.isImmediate = true
    }

    /// Swallows stored ranges that RCV.NXT has reached.
    private mutating func joinRanges() {
        //= RFC 5681 §4.2: an ACK SHOULD be sent at once when a segment fills in all or part of a gap
        acknowledging.isImmediate = true
        while let range = receiving.ranges.popFirst(startingUpTo: receiving.next) {
            if range.upperBound > receiving.next {
                statistics.bytesReceived &+= UInt64(range.upperBound &- receiving.next)
                receiving.next = range.upperBound
            }
        }
        if receiving.ranges.isEmpty { receiving.recent = InlineArray(repeating: -1) }
    }

    /// Puts `offset` in front of the list of recent changes.
    private mutating func noteRecent(_ offset: Int64) {
        guard let block = receiving.ranges.range(containing: offset) else { return }
        var kept = InlineArray<4, Int64>(repeating: -1)
        kept[0] = offset
        var count = 1
        for index in 0..<4 where count < 4 {
            let other = receiving.recent[index]
            if other < 0 || block.contains(other) || !receiving.ranges.contains(other) { continue }
            kept[count] = other
            count &+= 1
        }
        receiving.recent = kept
    }

    /// Remembers where the peer's FIN stands. False: it contradicts what is known, and is ignored.
    mutating func noteFin(at offset: Int64) -> Bool {
        if let known = receiving.fin {
            if known != offset { statistics.finsIgnored &+= 1 }
            return known == offset
        }
        let highest = receiving.ranges.last?.upperBound ?? receiving.next
        guard offset >= max(receiving.next, highest), offset <= receiving.edge else {
            statistics.finsIgnored &+= 1
            return false
        }
        receiving.fin = offset
        return true
    }

    /// RCV.NXT moves over the peer's FIN.
    mutating func consumeFin(_ now: MonotonicInstant) {
        receiving.next &+= 1
        receiving.finConsumed = true
        receiving.edge = max(receiving.edge, receiving.next)
        acknowledging.isImmediate = true
        phase = phase.afterReceivingFin
        if phase == .timeWait { enterTimeWait(now) }
    }
}
