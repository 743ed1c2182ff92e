import TransportValues
import WireFormats

/// A NAT: see ``Middlebox/Action/translateAddresses(outside:timeout:forwardsTo:)``.
struct AddressTranslator: BoxProcess {
    private struct Mapping {
        var inside: Endpoint
        var outsidePort: UInt16
        var remote: Endpoint
        var lastUse: MonotonicInstant
    }

    private struct OutsideKey: Hashable {
        var port: UInt16
        var remote: Endpoint
    }

    private struct InsideKey: Hashable {
        var inside: Endpoint
        var remote: Endpoint
    }

    /// Mappings at a time; a packet that would need more is dropped.
    private static let limit = 8192

    private let outside: IPAddress
    private let timeout: TimeSpan
    private let target: IPAddress?
    private var byInside: [InsideKey: Mapping] = [:]
    private var byOutside: [OutsideKey: InsideKey] = [:]
    private(set) var interventions: UInt64 = 0

    init(outside: IPAddress, timeout: TimeSpan, forwardsTo target: IPAddress?) {
        self.outside = outside
        self.timeout = timeout
        self.target = target
    }

    mutating func handle(
        _ packet: BoxPacket, isOutward: Bool, now: MonotonicInstant, randomness: inout RandomSource,
        into output: inout BoxOutput
    ) {
        guard packet.family == outside.isIPv6 else { return output.pass(packet, isOutward: isOutward) }
        var packet = packet
        if isOutward {
            guard let port = mapping(packet.source, packet.destination, now, &randomness) else { return drop() }
            packet.source = Endpoint(outside, port)
        } else {
            guard let inside = inward(packet, now) else { return drop() }
            packet.destination = inside
        }
        interventions += 1
        output.pass(packet, isOutward: isOutward)
    }

    private mutating func drop() { interventions += 1 }

    private mutating func mapping(
        _ inside: Endpoint, _ remote: Endpoint, _ now: MonotonicInstant, _ randomness: inout RandomSource
    ) -> UInt16? {
        let key = InsideKey(inside: inside, remote: remote)
        if let known = byInside[key], now - known.lastUse <= timeout {
            byInside[key]!.lastUse = now
            return known.outsidePort
        }
        forget(key)
        if byInside.count >= Self.limit { forgetOld(now) }
        guard byInside.count < Self.limit else { return nil }
        for _ in 0..<64 {
            let port = UInt16.random(in: 20_000...60_000, using: &randomness)
            if byOutside[OutsideKey(port: port, remote: remote)] != nil { continue }
            add(key, outsidePort: port, now)
            return port
        }
        return nil
    }

    private mutating func inward(_ packet: BoxPacket, _ now: MonotonicInstant) -> Endpoint? {
        guard packet.destination.address == outside else { return nil }
        let outsideKey = OutsideKey(port: packet.destination.port, remote: packet.source)
        if let key = byOutside[outsideKey], let known = byInside[key] {
            if now - known.lastUse <= timeout {
                byInside[key]!.lastUse = now
                return known.inside
            }
            forget(key)
        }
        guard let target, packet.flags.contains(.syn), byInside.count < Self.limit else { return nil }
        let inside = Endpoint(target, packet.destination.port)
        add(InsideKey(inside: inside, remote: packet.source), outsidePort: packet.destination.port, now)
        return inside
    }

    private mutating func add(_ key: InsideKey, outsidePort: UInt16, _ now: MonotonicInstant) {
        byInside[key] = Mapping(inside: key.inside, outsidePort: outsidePort, remote: key.remote, lastUse: now)
        byOutside[OutsideKey(port: outsidePort, remote: key.remote)] = key
    }

    private mutating func forget(_ key: InsideKey) {
        guard let known = byInside.removeValue(forKey: key) else { return }
        byOutside[OutsideKey(port: known.outsidePort, remote: known.remote)] = nil
    }

    private mutating func forgetOld(_ now: MonotonicInstant) {
        for key in byInside.filter({ now - $0.value.lastUse > timeout }).keys { forget(key) }
    }
}
