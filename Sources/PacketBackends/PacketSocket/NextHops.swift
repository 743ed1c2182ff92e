import TransportValues

/// A packet that waits for its next hop's link-layer address.
struct WaitingPacket {
    var bytes: [UInt8]
    var metadata: TransmitMetadata
}

/// One neighbour that packets are sent to.
struct NextHop {
    enum State: Equatable {
        /// The kernel has been asked; packets wait.
        case asked
        /// The address is known.
        case known
        /// The address is known; the next packet has the kernel confirm it.
        case doubtful
        /// Nobody answered; the next packet asks again.
        case failed

        var isUsable: Bool { self == .known || self == .doubtful }
    }

    /// Packets that wait at most; more are dropped, as the kernel does (its limit is bytes).
    static let queueLimit = 64

    let address: IPAddress
    var state: State
    /// The Ethernet address in the low 48 bits.
    var linkAddress: UInt64 = 0
    var waiting: [WaitingPacket] = []
}

/// Where packets for each destination go on one Ethernet interface: routes, neighbours, and a cache from destination
/// to neighbour, so that an ordinary packet costs one look-up.
///
/// Knows no socket: it says what is to be asked of the kernel, and is told what the kernel says.
struct NextHops {
    /// Neighbours remembered at most; beyond it those without waiting packets are forgotten and asked for anew.
    static let limit = 512
    /// Bytes that wait for all neighbours together at most.
    static let waitingBytesLimit = 2 << 20

    enum Lookup: Equatable {
        case noRoute
        /// Send to this Ethernet address.
        case link(UInt64)
        /// Send to this Ethernet address, and have the kernel confirm the neighbour.
        case linkToConfirm(UInt64, neighbour: IPAddress)
        /// Let the packet wait at this index; ask the kernel when `ask` says so.
        case wait(Int, ask: Bool)
    }

    private struct CacheEntry {
        var destination = IPAddress.anyIPv4
        var hop: Int32 = -1
        var generation: UInt32 = 0
    }

    private(set) var routes: InterfaceRoutes
    private(set) var hops: [NextHop] = []
    private var cache = [CacheEntry](repeating: CacheEntry(), count: 256)
    /// Cache entries of other generations are void.
    private var generation: UInt32 = 1
    private var waitingBytes = 0

    init(routes: InterfaceRoutes) { self.routes = routes }

    mutating func setRoutes(_ routes: InterfaceRoutes) {
        self.routes = routes
        generation &+= 1
    }

    /// What to do with a packet for `destination`.
    mutating func find(_ destination: IPAddress) -> Lookup {
        let mixed = (destination.low ^ destination.high &* 0x9e37_79b9_7f4a_7c15) &* 0xd6e8_feb8_6659_fd93
        let slot = Int(mixed >> 56)
        var index = Int(cache[slot].hop)
        if cache[slot].generation != generation || cache[slot].destination != destination {
            guard let found = neighbour(for: destination) else { return .noRoute }
            index = found
            cache[slot] = CacheEntry(destination: destination, hop: Int32(index), generation: generation)
        }
        switch hops[index].state {
        case .known: return .link(hops[index].linkAddress)
        case .doubtful:
            hops[index].state = .known
            return .linkToConfirm(hops[index].linkAddress, neighbour: hops[index].address)
        case .asked: return .wait(index, ask: hops[index].waiting.isEmpty)
        case .failed:
            hops[index].state = .asked
            return .wait(index, ask: true)
        }
    }

    private mutating func neighbour(for destination: IPAddress) -> Int? {
        guard let address = routes.nextHop(to: destination) else { return nil }
        if let known = hops.firstIndex(where: { $0.address == address }) { return known }
        if hops.count >= Self.limit {
            hops.removeAll { $0.waiting.isEmpty }
            generation &+= 1
            // All wait for neighbours that do not answer: the oldest give up.
            if hops.count >= Self.limit { waitingBytes -= Self.bytes(hops.removeFirst().waiting) }
        }
        hops.append(NextHop(address: address, state: .asked))
        return hops.count - 1
    }

    /// Lets a packet wait at the index that ``find(_:)`` gave.
    /// - Returns: false when the queue is full.
    mutating func hold(_ packet: WaitingPacket, at index: Int) -> Bool {
        guard hops[index].waiting.count < NextHop.queueLimit,
            waitingBytes + packet.bytes.count <= Self.waitingBytesLimit
        else { return false }
        waitingBytes += packet.bytes.count
        hops[index].waiting.append(packet)
        return true
    }

    /// What a message about a neighbour led to.
    enum Change {
        case nothing
        /// These packets can go now.
        case ready([WaitingPacket])
        /// Nobody answered; so many waiting packets were dropped.
        case dropped(Int)
    }

    /// Takes what the kernel says of a neighbour.
    mutating func learn(_ message: NeighbourMessage, removed: Bool) -> Change {
        guard let index = hops.firstIndex(where: { $0.address == message.address }) else { return .nothing }
        // A forgotten entry (the kernel does not see our use of it) says nothing against the address it had.
        guard !removed, let knowledge = message.knowledge else {
            if hops[index].state == .known { hops[index].state = .doubtful }
            return .nothing
        }
        switch knowledge {
        case .incomplete: return .nothing
        case .failed:
            hops[index].state = .failed
            return .dropped(takeWaiting(index).count)
        case .confirmed, .probing, .stale:
            guard let link = message.linkAddress else { return .nothing }
            hops[index].linkAddress = link
            hops[index].state = knowledge == .stale ? .doubtful : .known
            return .ready(takeWaiting(index))
        }
    }

    /// Neighbours that packets wait for, to be asked for again after messages were lost.
    var awaited: [IPAddress] { hops.filter { !$0.waiting.isEmpty }.map(\.address) }

    /// After lost messages or a link that was down nothing is certain.
    mutating func doubtAll() {
        for index in hops.indices where hops[index].state == .known { hops[index].state = .doubtful }
    }

    private mutating func takeWaiting(_ index: Int) -> [WaitingPacket] {
        let packets = hops[index].waiting
        hops[index].waiting = []
        waitingBytes -= Self.bytes(packets)
        return packets
    }

    private static func bytes(_ packets: [WaitingPacket]) -> Int { packets.reduce(0) { $0 + $1.bytes.count } }
}
