import BasicContainers
import TCPSubflow
import TransportValues
import WireFormats

extension Connection {
    /// The options beside DSS of an accepted segment.
    mutating func receiveControl(
        _ index: Int, _ segment: TCPSegment, now: MonotonicInstant, counters: inout StackCounters
    ) {
        if let option = segment.options.multipath.other {
            receiveControl(index, option, now: now, counters: &counters)
        }
        if let option = segment.options.multipath.second, !phase.isClosed {
            receiveControl(index, option, now: now, counters: &counters)
        }
    }

    private mutating func receiveControl(
        _ index: Int, _ option: MPTCPOption, now: MonotonicInstant, counters: inout StackCounters
    ) {
        switch option {
        case .capable, .join:
            // Their places are the handshakes'.
            break
        case .addAddress(let address):
            receiveAddAddress(address, now: now, counters: &counters)
        case .removeAddress(let removal):
            receiveRemoveAddress(removal, now: now, counters: &counters)
        case .priority(let priority):
            counters.count(.MPPrioRx)
            receivePriority(index, priority, counters: &counters)
        case .fail(let failure):
            receiveFail(index, failure, now: now, counters: &counters)
        case .fastClose(let close):
            receiveFastClose(close, counters: &counters)
        case .reset:
            // Says why on a RST; on anything else it means nothing.
            counters.count(.optionWrongSegment)
        case .experimental:
            counters.count(.optionUnknown)
        }
    }

    //= RFC 8684 §3.3.8 MP_PRIO changes the backup flag of the subflow it comes on; RFC 6824 §3.3.8: or of those of an
    // address ID of the sender's
    private mutating func receivePriority(_ index: Int, _ priority: MPPriority, counters: inout StackCounters) {
        guard let id = priority.addressID else {
            contexts[index].peerWantsBackup = priority.backup
            return
        }
        guard keys.version == .zero else { return counters.count(.optionWrongVersion) }
        for other in contexts.indices where !contexts[other].isClosed && remoteID(of: other) == id {
            contexts[other].peerWantsBackup = priority.backup
        }
    }

    //= RFC 8684 §3.5 MP_FASTCLOSE with our key ends the connection; a RST goes out on every subflow
    private mutating func receiveFastClose(_ close: MPFastClose, counters: inout StackCounters) {
        guard close.receiverKey == keys.local else { return counters.count(.fastcloseBadKey) }
        counters.count(.MPFastcloseRx)
        closeAll(.fastClosed)
    }
}
