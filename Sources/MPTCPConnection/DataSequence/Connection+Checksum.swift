import BasicContainers
import TCPSubflow
import TransportValues
import WireFormats

extension Connection {
    /// Keeps bytes whose mapping has a checksum until the whole mapping is here and proven (RFC 8684 §3.3.1).
    mutating func hold(
        _ index: Int, _ range: Range<Int64>, _ piece: RawSpan, _ mapping: ReceiveMapping, now: MonotonicInstant,
        counters: inout StackCounters
    ) -> Bool {
        let dataEnd = mapping.dataEnd
        guard receive.admits(mapping.dataOffset..<dataEnd, slack: windowSlack) || dataEnd <= receive.next else {
            counters.count(.NoDSSInWindow)
            return false
        }
        if range == mapping.subflow, range.lowerBound == contexts[index].tcp.receiveNext {
            return deliverWhole(index, piece, mapping, now: now, counters: &counters)
        }
        // A mapping that is missing is not registered yet: room for its pieces begins at RCV.NXT at the latest.
        let next = contexts[index].tcp.receiveNext
        let from = min(next, contexts[index].mappings.first?.subflow.lowerBound ?? next)
        guard keep(index, range, piece, from: from, now: now) else { return false }
        return deliverHeld(index, now: now, counters: &counters)
    }

    /// Keeps bytes of a subflow beside the stream; what lies below `from` is no longer needed. False: too far ahead.
    mutating func keep(
        _ index: Int, _ range: Range<Int64>, _ piece: RawSpan, from: Int64, now: MonotonicInstant
    ) -> Bool {
        contexts[index].holding.discard(below: from)
        let start = contexts[index].holding.start
        guard range.lowerBound >= start, range.upperBound - start <= Int64(2 * receive.maximum) else { return false }
        let live = start..<max(start, min(contexts[index].holding.limit, contexts[index].holdingEnd))
        contexts[index].holding.reserve(Int(range.upperBound - start), preserving: live)
        contexts[index].holding.write(piece, at: range.lowerBound)
        contexts[index].holdingEnd = max(contexts[index].holdingEnd, range.upperBound)
        _ = contexts[index].tcp.store(range, now: now)
        return true
    }

    /// A segment that is exactly its mapping, in order: proven from the packet, copied once.
    private mutating func deliverWhole(
        _ index: Int, _ piece: RawSpan, _ mapping: ReceiveMapping, now: MonotonicInstant,
        counters: inout StackCounters
    ) -> Bool {
        guard verify(mapping, sum: InternetChecksum.sum(piece), counters: &counters) else {
            let isHeld = failChecksum(index, mapping, now: now, counters: &counters)
            return isHeld && keep(index, mapping.subflow, piece, from: mapping.subflow.lowerBound, now: now)
        }
        switch receive.place(piece, at: mapping.dataOffset, slack: windowSlack) {
        case .stored: break
        case .duplicate: counters.count(.DuplicateData)
        case .outsideWindow, .full: return false
        }
        _ = contexts[index].tcp.store(mapping.subflow, now: now)
        // Only what this segment brought: what it joined on to waits for its own proof.
        contexts[index].mappings.removeAll(below: mapping.subflow.upperBound)
        return deliverHeld(index, now: now, counters: &counters)
    }

    /// Delivers the mappings that are complete, in the subflow's order.
    private mutating func deliverHeld(
        _ index: Int, now: MonotonicInstant, counters: inout StackCounters
    ) -> Bool {
        while let mapping = contexts[index].mappings.first,
            mapping.subflow.upperBound <= contexts[index].tcp.receiveNext
        {
            let count = Int(mapping.subflow.upperBound - mapping.subflow.lowerBound)
            guard mapping.subflow.lowerBound >= contexts[index].holding.start,
                mapping.subflow.upperBound <= contexts[index].holding.limit
            else {
                // Delivered before, by a mapping that this one repeats.
                contexts[index].mappings.removeFirst()
                continue
            }
            let start = mapping.subflow.lowerBound
            let sum = InternetChecksum.sum(
                contexts[index].holding.firstSlice(at: start, count: count),
                then: contexts[index].holding.secondSlice(at: start, count: count))
            guard verify(mapping, sum: sum, counters: &counters) else {
                return failChecksum(index, mapping, now: now, counters: &counters)
            }
            // The window was checked when the bytes were taken, and its edge never moves back.
            var holding = ByteRing()
            swap(&holding, &contexts[index].holding)
            placeHeld(holding, mapping, count: count)
            swap(&holding, &contexts[index].holding)
            contexts[index].mappings.removeFirst()
            contexts[index].holding.discard(below: mapping.subflow.upperBound)
        }
        if contexts[index].mappings.isEmpty { contexts[index].holding.release() }
        return true
    }

    private mutating func placeHeld(_ holding: borrowing ByteRing, _ mapping: ReceiveMapping, count: Int) {
        let start = mapping.subflow.lowerBound
        let slack = windowSlack
        let first = holding.firstSlice(at: start, count: count)
        _ = receive.place(first, at: mapping.dataOffset, slack: slack)
        let second = holding.secondSlice(at: start, count: count)
        if second.byteCount > 0 {
            _ = receive.place(second, at: mapping.dataOffset + Int64(first.byteCount), slack: slack)
        }
    }

    private func verify(_ mapping: ReceiveMapping, sum: UInt64, counters: inout StackCounters) -> Bool {
        let length = mapping.subflow.upperBound - mapping.subflow.lowerBound + (mapping.hasFin ? 1 : 0)
        let expected = InternetChecksum.dataSequenceChecksum(
            dataSequence: keys.remoteIDSN.advanced(by: mapping.dataOffset).rawValue,
            subflowSequence: UInt32(truncatingIfNeeded: mapping.subflow.lowerBound), length: UInt16(length),
            payloadSum: sum)
        if expected == mapping.checksum { return true }
        counters.count(.DataCsumErr)
        return false
    }

    //= RFC 8684 §3.7 a failed checksum closes the subflow with RST and MP_FAIL, and the data comes again on another one;
    // the only subflow goes on as TCP. False: the subflow was reset.
    private mutating func failChecksum(
        _ index: Int, _ mapping: ReceiveMapping, now: MonotonicInstant, counters: inout StackCounters
    ) -> Bool {
        if holdAfterFailure(index, mapping, now: now, counters: &counters) {
            counters.count(.DSSCorruptionFallback)
            return true
        }
        counters.count(.DSSCorruptionReset)
        contexts[index].failedDataSequence = keys.remoteIDSN.advanced(by: mapping.dataOffset).rawValue
        resetSubflow(index, reason: MPTCPReset.middleboxInterference, why: "DSS checksum failed")
        return false
    }

    /// The checksum of a mapping that is sent; computed once, kept for its retransmissions.
    func outgoingChecksum(dataOffset: Int64, subflowOffset: Int64, length: Int, dataFin: Bool) -> UInt16 {
        let sum = InternetChecksum.sum(
            send.ring.firstSlice(at: dataOffset, count: length),
            then: send.ring.secondSlice(at: dataOffset, count: length))
        return InternetChecksum.dataSequenceChecksum(
            dataSequence: keys.localIDSN.advanced(by: dataOffset).rawValue,
            subflowSequence: UInt32(truncatingIfNeeded: subflowOffset), length: UInt16(length + (dataFin ? 1 : 0)),
            payloadSum: sum)
    }
}

extension InternetChecksum {
    /// The sum over two slices of one run of bytes; after an odd first slice the second's bytes change places.
    static func sum(_ first: RawSpan, then second: RawSpan) -> UInt64 {
        let head = sum(first)
        if second.byteCount == 0 { return head }
        let tail = sum(second)
        return head &+ (first.byteCount % 2 == 0 ? tail : swapped(tail))
    }
}
