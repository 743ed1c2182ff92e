import HostStack
import MPTCPConnection
import TransportValues

/// The hosts and links of an episode, and what happens to them.
///
/// Link *n* (from 1) is 10.*n*.0.0/24 and fd00:0:0:*n*::/64; its ends are .1 and .2, a translator's outside is .77.
final class SoakWorld {
    struct Link {
        var index: Int
        var ends: [SimulatedHost]
        /// The end and family that a translator hides: it can't be connected to from the other side.
        var hidden: (end: LinkEnd, isIPv6: Bool)?
        var away: Set<Int> = []
        var boxes: [Middlebox] = []
    }

    let episode: SoakEpisode
    let network: Network
    var random: RandomSource
    private(set) var links: [Link] = []
    private let audit: StackAudit

    init(_ episode: SoakEpisode) {
        self.episode = episode
        random = RandomSource(seed: episode.seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x736f_616b)
        network = Network(seed: episode.seed)
        audit = StackAudit(hosts: 3)
        network.audit = audit
        let hosts = ["ada", "bob", "eve"].map { network.addHost($0) }
        for (one, other) in [(0, 1), (0, 1), (0, 1), (0, 2), (0, 2), (1, 2)] { addLink(hosts[one], hosts[other]) }
    }

    static func address(link: Int, end: Int, isIPv6: Bool) -> IPAddress {
        isIPv6
            ? IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(link + 1), low: UInt64(end + 1))
            : IPAddress(10, UInt8(link + 1), 0, UInt8(end + 1))
    }

    static func outside(link: Int, isIPv6: Bool) -> IPAddress {
        isIPv6
            ? IPAddress(high: 0xfd00_0000_0000_0000 | UInt64(link + 1), low: 77) : IPAddress(10, UInt8(link + 1), 0, 77)
    }

    private func addLink(_ a: SimulatedHost, _ b: SimulatedHost) {
        let index = links.count
        var link = Link(index: index, ends: [a, b])
        let boxes = drawBoxes(for: &link)
        // Two changes within one mapping may leave its checksum as it was: there a mapping is one segment.
        let offload = random.chance(0.3) && episode.weather != .damaging
        let ports = [a, b].enumerated().map { end, host in
            LinkPort(
                host, name: "link\(index)",
                addresses: [
                    (Self.address(link: index, end: end, isIPv6: false), 24),
                    (Self.address(link: index, end: end, isIPv6: true), 64),
                ], maximumPacket: offload ? 65_535 : 0, checksumOffload: offload)
        }
        let mtu = [1500, 1500, 1400, 9000][Int.random(in: 0..<4, using: &random)]
        _ = network.connect(
            ports[0], ports[1], forward: drawLink(mtu: mtu), backward: drawLink(mtu: mtu), boxes: boxes)
        links.append(link)
    }

    /// Between `low` and `high`, each octave as likely (evenly within it).
    func logUniform(_ low: Double, _ high: Double) -> Double {
        let ratio = high / low
        let octaves = Double(ratio.exponent) + ratio.significand - 1
        let drawn = random.nextUnit() * octaves
        let whole = drawn.rounded(.down)
        return low * Double(sign: .plus, exponent: Int(whole), significand: 1 + drawn - whole)
    }

    private func drawLink(mtu: Int) -> LinkConfiguration {
        let rate = BitRate(bitsPerSecond: Int64(logUniform(2e6, 100e6)))
        let isClean = random.chance(0.4)
        let worst = episode.weather == .rough ? 3.0 : 1.0
        return LinkConfiguration(
            rate: rate, delay: .microseconds(Int64(logUniform(500, 100_000))),
            queueBytes: max(64_000, 4 * mtu, Int(rate.bitsPerSecond / 80)),
            loss: isClean ? 0 : random.nextUnit() * 0.02 * worst, reordering: isClean ? 0 : random.nextUnit() * 0.03,
            reorderingDelay: .microseconds(Int64(logUniform(500, 20_000))),
            duplication: isClean ? 0 : random.nextUnit() * 0.02, corruption: isClean ? 0 : random.nextUnit() * 0.01,
            mtu: mtu)
    }

    private func drawBoxes(for link: inout Link) -> [Middlebox] {
        let draw = random.nextUnit()
        let count = draw < 0.4 ? 0 : draw < 0.7 ? 1 : draw < 0.9 ? 2 : 3
        var boxes: [Middlebox] = []
        for _ in 0..<count {
            let inside: LinkEnd = random.chance(0.5) ? .a : .b
            for action in SoakBoxes.draw(episode.weather, link: link.index, using: &random) {
                if case .translateAddresses(let outside, _, _) = action {
                    if link.hidden != nil { continue }
                    link.hidden = (inside, outside.isIPv6)
                }
                boxes.append(Middlebox(action, inside: inside))
            }
        }
        // What a proxy has acknowledged and can't get through is lost for TCP; no end can repair it.
        if boxes.contains(where: { if case .acknowledgeEarly = $0.action { true } else { false } }) {
            boxes.removeAll { if case .blackHole = $0.action { true } else { false } }
        }
        link.boxes = boxes
        return boxes
    }

    // MARK: Faults

    func scheduleFaults() {
        var time = MonotonicInstant.zero
        while true {
            time = time + .milliseconds(Int64(logUniform(1_000, 20_000)))
            if time - .zero >= episode.duration { return }
            network.schedule(at: time) { [self] _ in fault() }
        }
    }

    private func fault() {
        let link = Int.random(in: 0..<links.count, using: &random)
        let isRough = episode.weather != .fair
        switch random.nextUnit() {
        case ..<0.45:
            // What is away already stays so for its time.
            guard network.isUp(link) else { return }
            let length = logUniform(0.05, isRough && random.chance(0.3) ? 90 : 8)
            network.setLink(link, up: false)
            network.schedule(at: network.now + .milliseconds(Int64(length * 1000))) { $0.setLink(link, up: true) }
        case ..<0.7:
            let mtu = network.mtu(of: link)
            network.configure(link, forward: drawLink(mtu: mtu), backward: drawLink(mtu: mtu))
        case ..<0.9 where isRough:
            removeAddress(on: link)
        case 0.9... where isRough:
            links[link].hidden = nil
            network.install(drawBoxes(for: &links[link]), on: link)
        default: break
        }
    }

    /// Takes an address from one end, and gives it back after a while: REMOVE_ADDR, ADD_ADDR.
    private func removeAddress(on link: Int) {
        let end = random.chance(0.5) ? 0 : 1
        let isIPv6 = random.chance(0.5)
        let host = links[link].ends[end]
        let address = Self.address(link: link, end: end, isIPv6: isIPv6)
        guard links[link].away.insert(end * 2 + (isIPv6 ? 1 : 0)).inserted else { return }
        host.stack.removeAddress(address, now: network.now)
        network.schedule(at: network.now + .milliseconds(Int64(logUniform(100, 60_000)))) { [self] network in
            links[link].away.remove(end * 2 + (isIPv6 ? 1 : 0))
            let interface = network.interface(of: link, end: end == 0 ? .a : .b)
            host.stack.addAddress(address, prefixLength: isIPv6 ? 64 : 24, to: interface)
            host.stack.announceAddresses(now: network.now)
        }
    }

    /// The faults are over; boxes stay.
    func calm() {
        for link in links { network.setLink(link.index, up: true) }
    }

    var isIdle: Bool { links.allSatisfy { network.isEmpty($0.index) } }

    func measure(_ outcome: inout SoakOutcome) {
        outcome.links = links.map { "link \($0.index + 1), \($0.ends[0].name) to \($0.ends[1].name): \($0.boxes)" }
        outcome.packets = network.packetsDelivered
        outcome.invariantChecks = audit.checks
        outcome.peakBytes = audit.peakBytes
        outcome.digest = network.digest
    }
}
