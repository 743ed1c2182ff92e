public import HostStack
public import TransportValues

/// What a stack has learnt of one peer on one network, in a form that outlives the process.
public struct KnownPeer: Sendable, Equatable {
    /// The path and its subnet, e.g. `eth0@192.168.1.0/24`: what can be told of a network without asking anybody.
    public var network: String
    public var peer: IPAddress
    public var kind: PeerRecord.Kind
    /// Seconds until it is forgotten.
    public var remaining: Double
    /// How often in a row it came to this; each time it is remembered for longer.
    public var times: Int

    public init(network: String, peer: IPAddress, kind: PeerRecord.Kind, remaining: Double, times: Int) {
        self.network = network
        self.peer = peer
        self.kind = kind
        self.remaining = remaining
        self.times = times
    }
}

extension MPTCPStack {
    /// What the stack knows of peers (RFC 8684 §3.1, §3.9).
    public func knownPeers() async -> [KnownPeer] { await loop.knownPeers() }

    /// Takes what an earlier run knew of peers on this stack's networks; the rest is left out.
    public func remember(_ peers: [KnownPeer]) async { await loop.remember(peers) }

    /// The networks that the stack is in, as ``KnownPeer/network`` names them.
    public func networks() async -> [String] { await loop.networks().map(\.name) }
}

extension StackLoop {
    func networks() -> [(name: String, interface: InterfaceID, isIPv6: Bool)] {
        pathStatus().flatMap { path in
            path.addresses.map { prefix in
                ("\(path.name)@\(prefix.network)", path.interface, prefix.address.isIPv6)
            }
        }
    }

    func knownPeers() -> [KnownPeer] {
        let networks = networks()
        let now = now
        return engine.host.rememberedPeers.compactMap { record in
            guard record.until > now,
                let network = networks.first(where: {
                    $0.interface == record.interface && $0.isIPv6 == record.peer.isIPv6
                })
            else { return nil }
            return KnownPeer(
                network: network.name, peer: record.peer, kind: record.kind,
                remaining: (record.until - now).seconds, times: record.times)
        }
    }

    func remember(_ peers: [KnownPeer]) {
        let networks = networks()
        for peer in peers where peer.remaining > 0 {
            guard let network = networks.first(where: { $0.name == peer.network && $0.isIPv6 == peer.peer.isIPv6 })
            else { continue }
            engine.host.remember(
                PeerRecord(
                    interface: network.interface, peer: peer.peer, kind: peer.kind,
                    until: now + TimeSpan(seconds: peer.remaining), times: peer.times))
        }
    }
}

extension AddressPrefix {
    /// The subnet: the address without its host part.
    var network: AddressPrefix {
        let bits = (address.isIPv6 ? 0 : 96) + prefixLength
        // Masks of 64 bits each; an IPv4 address stands in the low 32 bits.
        let high: UInt64 = bits >= 64 ? .max : bits <= 0 ? 0 : .max << UInt64(64 - bits)
        let low: UInt64 = bits >= 128 ? .max : bits <= 64 ? 0 : .max << UInt64(128 - bits)
        return AddressPrefix(IPAddress(high: address.high & high, low: address.low & low), prefixLength)
    }
}
