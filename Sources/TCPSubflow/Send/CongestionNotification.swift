import TransportPolicies
import TransportValues
import WireFormats

/// Explicit congestion notification (RFC 3168), both halves.
struct NotificationState: BitwiseCopyable {
    /// Both SYNs agreed.
    var isEnabled = false
    /// The peer's SYN asked, for our SYN/ACK.
    var peerOffers = false
    /// As receiver: CE was seen and the peer's CWR not yet; every acknowledgement says ECE.
    var echoes = false
    /// As sender: the next new data says CWR.
    var announcesReduction = false
    /// As sender: ECE below this belongs to a window that was lowered already.
    var reducedUntil: Int64 = 0
}

extension Subflow {
    /// Whether ECN is offered or agreed to. BBR's draft has no response to marks, so it sends nothing that can be marked.
    private var wantsNotification: Bool { configuration.explicitCongestionNotification && reducesProportionally }

    /// The ECN field for the packet of an emission: 0, or 2 for ECT(0).
    ///
    ///= RFC 3168 §6.1.4, §6.1.5: not on bare acknowledgements, not on retransmissions, not on window probes
    public borrowing func congestionField(of emission: Emission) -> UInt8 {
        guard notification.isEnabled, case .data = emission else { return 0 }
        return 2
    }

    /// The flags that a SYN or SYN/ACK adds.
    ///
    ///= RFC 3168 §6.1.1: ECE and CWR in a SYN offer, ECE alone in a SYN/ACK agrees; a SYN that was not answered is sent
    // again without, since there are boxes that drop it
    func notificationFlags(isAnswer: Bool) -> TCPFlags {
        guard wantsNotification else { return [] }
        if isAnswer { return notification.isEnabled ? .ece : [] }
        return handshake.transmissions == 0 ? [.ece, .cwr] : []
    }

    /// The peer's SYN or SYN/ACK arrived.
    mutating func negotiateNotification(_ flags: TCPFlags) {
        guard wantsNotification else { return }
        if flags.contains(.ack) {
            notification.isEnabled = flags.contains(.ece) && !flags.contains(.cwr) && handshake.transmissions == 1
        } else {
            //= RFC 3168 §6.1.1: only a SYN with both flags offers
            notification.isEnabled = flags.isSuperset(of: [.ece, .cwr])
        }
    }

    /// As receiver: a segment of data arrived.
    mutating func noteMark(_ segment: TCPSegment) {
        guard notification.isEnabled else { return }
        //= RFC 3168 §6.1.3: ECE in every ACK until a data packet with CWR; a mark on that very packet begins anew
        if segment.flags.contains(.cwr), segment.payloadLength > 0 { notification.echoes = false }
        guard segment.congestionField == 3 else { return }
        statistics.congestionMarks &+= 1
        if !notification.echoes { acknowledging.isImmediate = true }
        notification.echoes = true
    }

    /// As sender: an acceptable acknowledgement arrived.
    mutating func noteEcho(_ segment: TCPSegment, _ now: MonotonicInstant) {
        guard notification.isEnabled, segment.flags.contains(.ece) else { return }
        statistics.congestionEchoes &+= 1
        //= RFC 3168 §6.1.2: at most one reduction a window of data, by loss or by mark
        guard send.unacknowledged >= notification.reducedUntil, recovery.phase == .open, !sent.isEmpty else { return }
        notification.reducedUntil = send.next
        notification.announcesReduction = true
        statistics.notifiedReductions &+= 1
        recovery.reducedAt = now
        recovery.mayUndo = false
        congestion.ecnMarked(inFlight: send.flight, now: now)
        updatePacing()
    }

    /// The flags that a segment with an acknowledgement adds.
    mutating func takeNotificationFlags(isNewData: Bool) -> TCPFlags {
        guard notification.isEnabled else { return [] }
        var flags: TCPFlags = notification.echoes ? .ece : []
        if isNewData, notification.announcesReduction {
            //= RFC 3168 §6.1.2: CWR in the first new data packet after the reduction
            flags.insert(.cwr)
            notification.announcesReduction = false
        }
        return flags
    }
}
