import BasicContainers
import TCPSubflow
import TransportPolicies
import TransportValues
import WireFormats

/// How the peer's direction stands once a checksum failed or the peer began to speak TCP (RFC 8684 §3.7).
enum ReceiveReversion: Equatable {
    /// Mapped: Multipath TCP.
    case none
    /// A checksum failed on the only subflow: what comes from this subflow offset on is kept, and neither delivered nor
    /// acknowledged at the data level, until the peer's infinite mapping says where it belongs.
    case held(from: Int64)
    /// The subflow's stream is the stream.
    case reverted
}

/// Our direction's infinite mapping.
struct InfiniteMapping {
    /// What the DSS says, retroactively: the first byte that was not acknowledged at the data level.
    var dataOffset: Int64
    var subflowOffset: Int64
    /// It stands on every segment until the peer has acknowledged something beyond this subflow offset.
    var until: Int64
    /// The peer showed that it does not know yet.
    var isAsked = false
}

/// A MP_FAIL that is due.
struct FailureNotice {
    var dataSequence: UInt64
    /// Segments that are still to carry it.
    var remaining: Int
}

extension Connection {
    /// What is sent is a TCP stream, ended by FIN and freed by the subflow's acknowledgements.
    var sendsAsTCP: Bool { state.isTCP || sendReverted }
    var receivesAsTCP: Bool { state.isTCP || receiveReversion == .reverted }
    /// Both directions are mapped.
    var isFullyMultipath: Bool { state.isMultipath && !sendReverted && receiveReversion == .none }

    //= RFC 8684 §3.7 a connection that has fallen back does not return to Multipath TCP
    /// Reverts to TCP for good: the two streams go on where they are.
    mutating func fallBack(_ reason: FallbackReason, sendShift: Int64 = 0, receiveShift: Int64 = 0) {
        state = .fallenBack(reason)
        hadChecksum = useChecksum
        useChecksum = false
        fallbackSendShift = sendShift
        fallbackReceiveShift = receiveShift
    }

    /// Falls back in mid-connection, before any other subflow was there: both streams go on on this one.
    mutating func fallBackInPlace(_ index: Int, _ reason: FallbackReason) {
        //= RFC 8684 §3.7 the sender will send one final mapping of length 0, in case only one direction drops options
        infinite = InfiniteMapping(
            dataOffset: send.acknowledged,
            subflowOffset: send.acknowledged - (send.next - contexts[index].tcp.sendNext),
            until: contexts[index].tcp.sendNext)
        fallBack(
            reason, sendShift: send.next - contexts[index].tcp.sendNext,
            receiveShift: receive.next - contexts[index].tcp.receiveNext)
        stopDataLevel(index)
    }

    private mutating func stopDataLevel(_ index: Int) {
        send.reinjections.removeAll()
        dataTimer = .distantFuture
        dataFinTimer = .distantFuture
        if send.finish == .sent { send.finish = .queued }
        if state.isTCP { contexts[index].tcp.sharesWindow = false }
    }

    /// Whether no other subflow carries data; those still in their handshake are given up.
    mutating func becomesOnlySubflow(_ index: Int) -> Bool {
        for other in contexts.indices where other != index && contexts[other].isReady { return false }
        for other in contexts.indices where other != index && !contexts[other].isClosed {
            resetSubflow(other, reason: MPTCPReset.multipathSpecificError, why: "the connection falls back to TCP")
        }
        return true
    }

    // MARK: Our direction

    /// Goes on as TCP on this subflow, announced by an infinite mapping. False: what is under way is not contiguous.
    private mutating func revertSending(_ index: Int, _ reason: FallbackReason) -> Bool {
        if sendsAsTCP { return true }
        let shift = send.next - contexts[index].tcp.sendNext
        //= RFC 8684 §3.7 only if it is known that all unacknowledged data in flight is contiguous
        guard send.acknowledged == send.next || contexts[index].isContiguous(shift: shift, from: send.acknowledged)
        else {
            return false
        }
        sendReverted = true
        reversionReason = reversionReason ?? reason
        fallbackSendShift = shift
        infinite = InfiniteMapping(
            dataOffset: send.acknowledged, subflowOffset: send.acknowledged - shift,
            until: contexts[index].tcp.sendNext)
        stopDataLevel(index)
        contexts[index].tcp.requestAcknowledgement()
        return true
    }

    /// As ``revertSending(_:_:)``, when the subflow's acknowledgements are known to count from now on.
    mutating func revertAfterAcknowledgments(_ index: Int, now: MonotonicInstant) -> Bool {
        guard revertSending(index, .ackWithoutDataAck) else { return false }
        let acknowledged = min(contexts[index].tcp.sendUnacknowledged + fallbackSendShift, send.end)
        if send.acknowledge(upTo: acknowledged) > 0 { noteDataProgress(now: now) }
        send.widen(to: contexts[index].tcp.peerWindowEdge + fallbackSendShift, window: send.largestWindow)
        return true
    }

    /// The infinite mapping for a segment of this subflow, while the peer may not know it.
    func infiniteMapping(_ index: Int) -> DSSMapping? {
        guard let infinite, !contexts[index].isClosed,
            infinite.isAsked || contexts[index].tcp.sendUnacknowledged <= infinite.until
        else { return nil }
        return DSSMapping(
            dataSequence: .eight(keys.localIDSN.advanced(by: infinite.dataOffset).rawValue),
            subflowSequence: UInt32(truncatingIfNeeded: infinite.subflowOffset), length: 0,
            checksum: useChecksum || hadChecksum ? 0 : nil)
    }

    //= RFC 8684 §3.7 after an infinite mapping the sender MUST only use subflow ACKs to clear its send buffer
    mutating func takePlainAcknowledgment(_ index: Int, _ outcome: SegmentOutcome, now: MonotonicInstant) {
        let acknowledged = min(contexts[index].tcp.sendUnacknowledged + fallbackSendShift, send.end)
        if send.acknowledge(upTo: acknowledged) > 0 { noteDataProgress(now: now) }
        send.widen(to: contexts[index].tcp.peerWindowEdge + fallbackSendShift, window: outcome.window)
    }

    // MARK: MP_FAIL

    //= RFC 8684 §3.7 MP_FAIL on the only subflow: an infinite mapping, and MP_FAIL in the reverse direction (RFC 6824:
    // the reverse direction stays as it is)
    mutating func receiveFail(
        _ index: Int, _ failure: MPFail, now: MonotonicInstant, counters: inout StackCounters
    ) {
        counters.count(.MPFailRx)
        if sendsAsTCP {
            infinite?.isAsked = true
            return contexts[index].tcp.requestAcknowledgement()
        }
        // Without checksums it only says that mappings were missing.
        let isRefused = configuration.refusesDamage && useChecksum
        guard contexts[index].isReady, !isRefused, becomesOnlySubflow(index) else {
            return resetSubflow(
                index, reason: MPTCPReset.middleboxInterference, why: FallbackReason.peerSentFail.rawValue)
        }
        guard revertSending(index, .peerSentFail) else {
            counters.count(.FallbackFailed)
            contexts[index].failedDataSequence = failure.dataSequence
            return resetSubflow(
                index, reason: MPTCPReset.middleboxInterference,
                why: "the peer sent MP_FAIL for data that is not contiguous")
        }
        if keys.version == .one, receiveReversion == .none {
            failNotice = FailureNotice(
                dataSequence: keys.remoteIDSN.advanced(by: receive.next).rawValue, remaining: 3)
        }
        finishReversion(index, counters: &counters)
    }

    /// A checksum failed: MP_FAIL, and what follows is held until the peer's infinite mapping. False: that can't be
    /// done here, the subflow is reset.
    mutating func holdAfterFailure(
        _ index: Int, _ mapping: ReceiveMapping, now: MonotonicInstant, counters: inout StackCounters
    ) -> Bool {
        guard !configuration.refusesDamage, receiveReversion == .none, mapping.dataOffset == receive.next,
            mapping.subflow.lowerBound <= contexts[index].tcp.receiveNext, becomesOnlySubflow(index)
        else { return false }
        //= RFC 8684 §3.7 what follows the failed number is neither delivered nor acknowledged at the data level
        receiveReversion = .held(from: mapping.subflow.lowerBound)
        reversionReason = reversionReason ?? .checksumFailed
        receive.forgetFin()
        contexts[index].mappings.removeEverything()
        failNotice = FailureNotice(
            dataSequence: keys.remoteIDSN.advanced(by: mapping.dataOffset).rawValue, remaining: .max)
        failTries = 0
        failTimer = now + contexts[index].tcp.roundTrip.retransmissionTimeout
        contexts[index].tcp.requestAcknowledgement()
        return true
    }

    /// MP_FAIL went out and no infinite mapping has come: again, and then no more.
    mutating func failTimedOut(now: MonotonicInstant, counters: inout StackCounters) {
        failTimer = .distantFuture
        guard case .held = receiveReversion, !phase.isClosed else { return }
        for index in contexts.indices where !contexts[index].isClosed {
            guard failTries < 6 else {
                counters.count(.FallbackFailed)
                resetSubflow(
                    index, reason: MPTCPReset.middleboxInterference, why: "no infinite mapping came after a MP_FAIL")
                settle(index, now: now, counters: &counters)
                continue
            }
            failTries += 1
            failTimer = now + contexts[index].tcp.roundTrip.retransmissionTimeout * Int64(1 << failTries)
            contexts[index].tcp.requestAcknowledgement()
        }
    }

    // MARK: The peer's direction

    //= RFC 8684 §3.3.1 length 0: the mapping lasts for the rest of the subflow; TCP from here on
    mutating func receiveInfiniteMapping(
        _ index: Int, dataOffset: Int64, _ declared: DSSMapping, now: MonotonicInstant, counters: inout StackCounters
    ) {
        guard !receivesAsTCP else { return }
        let shift = dataOffset &- subflowOffset(declared.subflowSequence, index)
        guard contexts[index].isReady, becomesOnlySubflow(index),
            receive.isFinished || shift == receive.next &- firstUndelivered(index)
        else {
            counters.count(.FallbackFailed)
            return resetSubflow(
                index, reason: MPTCPReset.multipathSpecificError,
                why: "infinite mapping that does not continue the stream")
        }
        counters.count(.InfiniteMapRx)
        //= RFC 6824 §3.6 the answer to our MP_FAIL leaves our own direction as it is.
        let isAnswer = receiveReversion != .none && keys.version == .zero
        revertReceiving(index, now: now)
        reversionReason = reversionReason ?? .infiniteMapping
        if !isAnswer, !revertSending(index, .infiniteMapping) {
            counters.count(.FallbackFailed)
            return resetSubflow(
                index, reason: MPTCPReset.middleboxInterference, why: "an infinite mapping while data is not contiguous"
            )
        }
        finishReversion(index, counters: &counters)
    }

    /// Data without a mapping on the only subflow: the peer, or a middlebox, speaks TCP from here on.
    mutating func revertForUnmappedData(_ index: Int, now: MonotonicInstant, counters: inout StackCounters) -> Bool {
        guard becomesOnlySubflow(index), revertSending(index, .dataWithoutMapping) else { return false }
        counters.count(.DssFallback)
        revertReceiving(index, now: now)
        reversionReason = reversionReason ?? .dataWithoutMapping
        finishReversion(index, counters: &counters)
        return true
    }

    /// The subflow offset of the first byte that was received and not delivered to the stream.
    private func firstUndelivered(_ index: Int) -> Int64 {
        if case .held(let from) = receiveReversion { return from }
        // A FIN that was consumed took a number of the subflow and none of the data's.
        let next = contexts[index].tcp.receiveNext - (contexts[index].tcp.hasPeerFinished ? 1 : 0)
        guard useChecksum, let mapping = contexts[index].mappings.first else { return next }
        return min(next, mapping.subflow.lowerBound)
    }

    /// From the first undelivered byte on the subflow's stream is the stream; what was kept is delivered.
    private mutating func revertReceiving(_ index: Int, now: MonotonicInstant) {
        let from = firstUndelivered(index)
        let shift = receive.next - from
        receiveReversion = .reverted
        fallbackReceiveShift = shift
        failTimer = .distantFuture
        failNotice = nil
        receive.forgetFin()
        if useChecksum {
            var ranges = [from..<max(from, contexts[index].tcp.receiveNext)]
            contexts[index].tcp.forEachOutOfOrder { ranges.append($0) }
            var holding = ByteRing()
            swap(&holding, &contexts[index].holding)
            for range in ranges { placeKept(holding, range, shift: shift) }
        }
        contexts[index].mappings.removeEverything()
        if contexts[index].tcp.hasPeerFinished { receivePlainFin(index) }
    }

    private mutating func placeKept(_ holding: borrowing ByteRing, _ range: Range<Int64>, shift: Int64) {
        let low = max(range.lowerBound, holding.start)
        let high = min(range.upperBound, holding.limit)
        guard low < high else { return }
        let first = holding.firstSlice(at: low, count: Int(high - low))
        _ = receive.place(first, at: low + shift, slack: windowSlack)
        let second = holding.secondSlice(at: low, count: Int(high - low))
        if second.byteCount > 0 {
            _ = receive.place(second, at: low + Int64(first.byteCount) + shift, slack: windowSlack)
        }
    }

    private mutating func finishReversion(_ index: Int, counters: inout StackCounters) {
        guard state.isMultipath, sendReverted, receiveReversion == .reverted else { return }
        fallBack(
            reversionReason ?? .infiniteMapping, sendShift: fallbackSendShift, receiveShift: fallbackReceiveShift)
        contexts[index].tcp.sharesWindow = false
    }
}

extension SubflowContext {
    /// Whether everything from a data offset on lies on this subflow, at one distance from the subflow's own numbers.
    func isContiguous(shift: Int64, from dataOffset: Int64) -> Bool {
        sendShift == shift && sendShiftSince <= dataOffset
    }

    /// Notes where data went, so that ``isContiguous(shift:from:)`` knows.
    mutating func noteSent(dataOffset: Int64, subflowOffset: Int64) {
        let shift = dataOffset - subflowOffset
        guard shift != sendShift else { return }
        sendShift = shift
        sendShiftSince = dataOffset
    }
}
