import MPTCPConnection
public import TransportValues
import WireFormats

/// What is remembered of one peer on one network.
public struct PeerRecord: Sendable, Equatable {
    public enum Kind: String, Sendable, Equatable {
        /// It answered version 1 with plain TCP: the next connection tries version 0 (a version 0 listener ignores a
        /// MP_CAPABLE without a key).
        case triesVersionZero
        case speaksVersionZero
        /// Neither version was answered.
        case plain
        /// SYNs with MP_CAPABLE vanish on the way.
        case capableVanishes
    }

    public var interface: InterfaceID
    public var peer: IPAddress
    public var kind: Kind
    /// Forgotten then.
    public var until: MonotonicInstant
    /// How often in a row it came to this.
    public var times: Int

    public init(interface: InterfaceID, peer: IPAddress, kind: Kind, until: MonotonicInstant, times: Int) {
        self.interface = interface
        self.peer = peer
        self.kind = kind
        self.until = until
        self.times = times
    }
}

/// Which version to begin with, by peer and network (RFC 8684 §3.1: a host may remember what worked; §3.9 for SYNs that
/// vanish). Bounded; the record that ends first makes room.
struct PeerMemory {
    private struct Key: Hashable {
        var interface: InterfaceID
        var peer: IPAddress
    }

    static let limit = 1024
    static let shortest = TimeSpan.seconds(600)
    private var records: [Key: PeerRecord] = [:]

    var all: [PeerRecord] { Array(records.values) }

    mutating func removeAll() { records.removeAll() }
    mutating func removeAll(on interface: InterfaceID) { records = records.filter { $0.key.interface != interface } }

    /// Takes what an earlier run has learnt; what is known already counts for more.
    mutating func remember(_ record: PeerRecord) {
        let key = Key(interface: record.interface, peer: record.peer)
        guard records[key] == nil, records.count < Self.limit else { return }
        records[key] = record
    }

    /// The version for the next connection; nil: plain TCP.
    func version(for peer: IPAddress, on interface: InterfaceID, now: MonotonicInstant) -> MultipathVersion? {
        //= RFC 8684 §3.1 the highest version is offered first, but to a peer that is known to speak only the other
        guard let record = records[Key(interface: interface, peer: peer)], now < record.until else { return .one }
        switch record.kind {
        case .triesVersionZero, .speaksVersionZero: return .zero
        case .plain: return .one
        case .capableVanishes: return nil
        }
    }

    mutating func learn(
        _ lesson: OpeningLesson, peer: IPAddress, on interface: InterfaceID, now: MonotonicInstant
    ) {
        let key = Key(interface: interface, peer: peer)
        let before = records[key]
        let kind: PeerRecord.Kind
        switch lesson {
        case .speaks(.one):
            records[key] = nil
            return
        case .speaks(.zero): kind = .speaksVersionZero
        case .plainAfter(.one): kind = before?.kind == .plain ? .plain : .triesVersionZero
        case .plainAfter(.zero): kind = .plain
        case .capableVanishes: kind = .capableVanishes
        }
        let times = before?.kind == kind ? min(before!.times + 1, 64) : 1
        if before == nil, records.count >= Self.limit, let oldest = records.min(by: { $0.value.until < $1.value.until })
        {
            records[oldest.key] = nil
        }
        // What does not get through is tried again ever more rarely, after ten minutes at first and ten hours at last.
        let patience = Self.shortest * Int64(1 << min(times - 1, 6))
        records[key] = PeerRecord(interface: interface, peer: peer, kind: kind, until: now + patience, times: times)
    }
}
