import TransportPolicies
public import TransportValues
import WireFormats

extension Subflow {
    /// What must or may be sent now, most urgent first. Pure and cheap; asked after every packet.
    public borrowing func opportunity(now: MonotonicInstant) -> SendOpportunity {
        if resetDue != .none { return .reset }
        if phase == .closed { return .nothing }
        if handshake.synchronizeDue { return .synchronize }
        if let range = nextRetransmission(now) { return .retransmit(range) }
        if send.finQueued, phase.maySendFin, send.finOffset == nil { return .fin }
        if timers.probeDue { return .probe }
        if acknowledging.isDue(now), phase.isSynchronized { return .acknowledge }
        return .nothing
    }

    /// New payload bytes that congestion window and the peer's window allow now; 0: none. Whole segments when more than
    /// one fits.
    public borrowing func sendRoom(now: MonotonicInstant) -> Int {
        guard canSendData, sent.pendingLost == 0, !sent.isFull else { return 0 }
        let segment = dataPayloadLimit
        //= RFC 8684 §3.3.5 each subflow keeps to the window that was advertised on it
        let offered = Int(max(0, send.peerWindowEdge &- send.next))
        if offered < segment, !sent.isEmpty, Int64(offered) < send.maximumPeerWindow / 2 {
            //= RFC 9293 §3.8.6.2.1: silly windows are not filled while something is outstanding
            return 0
        }
        var window = sendWindow
        if recovery.probe.allowance > 0 { window = max(window, inFlight &+ recovery.probe.allowance) }
        if sent.isEmpty, let last = send.lastDataSent, now - last > idleLimit { window = min(window, restartWindow) }
        let room = window &- inFlight
        //= RFC 6675 §5 step C, RFC 5681 §3.1: a segment goes out when cwnd - pipe >= 1 SMSS
        guard room >= min(segment, window) else { return 0 }
        let paced = pacer.room(rate: pacingRate, segment: segment, now: now)
        if paced <= 0, recovery.probe.allowance == 0 { return 0 }
        let allowed = min(room, offered, max(paced, segment))
        if allowed <= segment { return allowed }
        return allowed &- allowed % segment
    }

    /// RW of RFC 5681 §4.1.
    var restartWindow: Int {
        let size = segmentPayloadLimit(multipathOptionBytes: 0)
        return initialWindow(size)
    }

    /// The most payload one segment may carry beside `multipathOptionBytes` of Multipath TCP options.
    ///
    ///= RFC 6691 §2, RFC 9293 §3.7.1 MUST-16: MSS counts no options; the sender subtracts what it sends of them
    public borrowing func segmentPayloadLimit(multipathOptionBytes: Int) -> Int {
        max(1, send.segmentLimit &- (timestamps.enabled ? 12 : 0) &- min(max(0, multipathOptionBytes), 40))
    }

    /// The payload of a segment with the options that data last carried.
    var dataPayloadLimit: Int { segmentPayloadLimit(multipathOptionBytes: send.multipathOptionBytes) }

    /// Option bytes that remain for Multipath TCP in this emission; SACK blocks yield to them.
    public borrowing func optionRoom(for emission: Emission) -> Int { ownOptions(for: emission, now: .zero).remaining }

    /// A RST that ends this subflow, not one that answers a stray segment of the handshake.
    private var stampsReset: Bool { configuration.wire.stampedResets && resetDue == .abort }

    /// Our own options of a segment, all but SACK blocks.
    borrowing func ownOptions(for emission: Emission, now: MonotonicInstant) -> OptionBlock {
        var options = OptionBlock()
        let stamp = TCPTimestamps(value: timestamps.clock(now), echo: timestamps.recent)
        guard emission == .synchronize else {
            //= RFC 7323 §3.2: once negotiated, timestamps MUST be in every segment but a RST
            // Deviation: Linux too leaves them out of an option that takes more than 28 bytes.
            let isBare = emission == .unstampedAcknowledge || emission == .reset && !stampsReset
            if timestamps.enabled, !isBare { options.append(stamp) }
            return options
        }
        // A SYN/ACK answers what was offered; a SYN offers.
        let isAnswer = phase == .synReceived
        options.append(maximumSegmentSize: UInt16(truncatingIfNeeded: configuration.maximumSegmentSize))
        let stamped = configuration.timestamps && (!isAnswer || handshake.peerOffersTimestamps)
        let selective = configuration.sack && (!isAnswer || handshake.peerOffersSACK)
        if selective && stamped && configuration.wire.packsSynchronize {
            options.appendSACKPermitted(with: stamp)
        } else {
            if selective { options.appendSACKPermitted() }
            if stamped { options.append(stamp) }
        }
        if configuration.offersWindowScale && (!isAnswer || handshake.peerOffersScale) {
            options.append(windowScale: configuration.windowScale)
        }
        return options
    }
}
