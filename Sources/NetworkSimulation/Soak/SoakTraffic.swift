import HostStack
import MPTCPConnection
import TransportPolicies
import TransportValues

/// The connections of an episode: opens them, drives both ends, and pairs them by what the header says.
final class SoakTraffic {
    private struct Key: Hashable {
        var host: Int
        var connection: ConnectionID
    }

    /// Both ends; the server's is nil until its header has come.
    struct Pair {
        var client: SoakFlow
        var server: SoakFlow?
    }

    private static let ports: [(port: UInt16, mode: MultipathMode)] = [
        (5001, .automatic), (5002, .version1), (5003, .version0), (5004, .off),
    ]

    let world: SoakWorld
    private var random: RandomSource
    private var flows: [Key: SoakFlow] = [:]
    private var pairs: [UInt64: Pair] = [:]
    /// Server ends that ended without a header.
    private var nameless: [SoakFlow] = []
    private(set) var openFlows = 0
    private var nextID: UInt64 = 1
    private var unopened = 0

    init(_ world: SoakWorld) {
        self.world = world
        random = world.random.fork()
        for host in world.network.hosts { listen(host) }
        world.network.application = { [self] network, host, event in handle(event, host, network) }
    }

    private var isDamaging: Bool { world.episode.weather == .damaging }

    private func configuration(_ mode: MultipathMode) -> ConnectionConfiguration {
        var settings = ConnectionConfiguration()
        settings.multipath = mode
        settings.requestChecksum = isDamaging || random.chance(0.25)
        settings.checksumInVersion0 = isDamaging || random.chance(0.8)
        settings.refusesDamage = true
        settings.acceptUnprovenAddresses = random.chance(0.7)
        settings.pathUse = PathUse.allCases[Int.random(in: 0..<4, using: &random)]
        settings.nagle = random.chance(0.7)
        if random.chance(0.3) { settings.congestion = .newreno }
        if random.chance(0.3) { settings.sendBuffer = Int.random(in: 8_192...262_144, using: &random) }
        if random.chance(0.3) {
            settings.initialReceiveWindow = Int.random(in: 4_096...65_536, using: &random)
            settings.receiveBuffer = Int.random(in: 16_384...1_048_576, using: &random)
        }
        return settings
    }

    private func listen(_ host: SimulatedHost) {
        for (port, mode) in Self.ports {
            do {
                _ = try host.stack.listen(
                    on: Endpoint(.anyIPv6, port), backlog: 256, configuration: configuration(mode), now: .zero)
            } catch {
                world.network.violation = "can't listen: \(error)"
            }
        }
    }

    // MARK: Opening

    func schedule() {
        var time = MonotonicInstant.zero
        let mean = 60.0 / world.episode.connectionsPerMinute
        while true {
            // Bursts and pauses: a quarter of the connections come together with others.
            if !random.chance(0.25) { time = time + TimeSpan(seconds: mean * 4 / 3 * 2 * random.nextUnit()) }
            if time - .zero >= world.episode.duration { return }
            world.network.schedule(at: time) { [self] network in open(network) }
        }
    }

    private func drawSize() -> Int64 {
        switch random.nextUnit() {
        case ..<0.3: Int64.random(in: 0...2_000, using: &random)
        case ..<0.7: Int64(world.logUniform(2_000, 64_000))
        case ..<0.95: Int64(world.logUniform(64_000, 512_000))
        default: Int64(world.logUniform(512_000, 4_000_000))
        }
    }

    private func drawHeader() -> SoakHeader {
        defer { nextID += 1 }
        let shape = random.nextUnit()
        // No byte at all, not even a header.
        if shape < 0.05 { return SoakHeader(id: nextID, upload: -1, download: 0, answersLate: false) }
        return SoakHeader(
            id: nextID, upload: shape < 0.4 || shape > 0.75 ? drawSize() : 0,
            download: shape > 0.4 ? drawSize() : 0, answersLate: random.chance(0.2))
    }

    private func open(_ network: Network) {
        guard let (client, local, remote) = drawEnds() else { return }
        let port = Self.ports[
            isDamaging ? Int.random(in: 0..<3, using: &random) : Int.random(in: 0..<4, using: &random)]
        let draw = random.nextUnit()
        let mode: MultipathMode =
            isDamaging ? port.mode : draw < 0.1 ? .off : draw < 0.4 ? .version1 : draw < 0.6 ? .version0 : .automatic
        let header = drawHeader()
        do {
            let connection = try client.stack.connect(
                to: Endpoint(remote, port.port), from: local, configuration: configuration(mode), now: network.now)
            let flow = SoakFlow(host: client, connection: connection, header: header, isClient: true, now: network.now)
            let total = max(0, header.upload) + header.download
            if random.chance(0.03) { flow.abortsAfter = Int64.random(in: 0...total + 1, using: &random) }
            if header.download == 0, total < 64_000, random.chance(0.05) { flow.releasesEarly = true }
            if total < 256_000, random.chance(0.05) { slowDown(flow) }
            pairs[header.id] = Pair(client: flow)
            adopt(flow)
            scheduleMischief(flow)
        } catch { unopened += 1 }
    }

    /// A link, its client end and family, where no translator hides the server.
    private func drawEnds() -> (SimulatedHost, IPAddress, IPAddress)? {
        for _ in 0..<32 {
            let link = world.links[Int.random(in: 0..<world.links.count, using: &random)]
            let end = random.chance(0.5) ? 0 : 1
            let isIPv6 = random.chance(0.4)
            if let hidden = link.hidden, hidden.isIPv6 == isIPv6, hidden.end.rawValue != end { continue }
            return (
                link.ends[end], SoakWorld.address(link: link.index, end: end, isIPv6: isIPv6),
                SoakWorld.address(link: link.index, end: 1 - end, isIPv6: isIPv6)
            )
        }
        return nil
    }

    private func adopt(_ flow: SoakFlow) {
        flows[Key(host: flow.host.index, connection: flow.connection)] = flow
        openFlows += 1
    }

    /// Something out of turn: an abort by the clock, another use of paths.
    private func scheduleMischief(_ flow: SoakFlow) {
        let later = world.network.now + .microseconds(Int64(world.logUniform(100, 5_000_000)))
        if random.chance(0.02) {
            world.network.schedule(at: later) { network in flow.abort(now: network.now) }
        } else if random.chance(0.1) {
            let use = PathUse.allCases[Int.random(in: 0..<4, using: &random)]
            world.network.schedule(at: later) { network in
                if !flow.isOver { flow.host.stack.setPathUse(flow.connection, use, now: network.now) }
            }
        }
    }

    private func slowDown(_ flow: SoakFlow) {
        flow.readQuota = Int.random(in: 4_096...65_536, using: &random)
        wakeLater(flow, every: .milliseconds(Int64.random(in: 50...500, using: &random)))
    }

    private func wakeLater(_ flow: SoakFlow, every interval: TimeSpan) {
        world.network.schedule(at: world.network.now + interval) { [self] network in
            if flow.isOver || flow.hasAborted { return }
            network.drive(flow)
            settle(flow)
            wakeLater(flow, every: interval)
        }
    }

    // MARK: Events

    private func handle(_ event: HostEvent, _ host: SimulatedHost, _ network: Network) {
        switch event {
        case .acceptable(let listener):
            while let connection = host.stack.accept(listener) {
                let flow = SoakFlow(host: host, connection: connection, header: nil, isClient: false, now: network.now)
                if random.chance(0.01) { flow.abortsAfter = Int64.random(in: 0...50_000, using: &random) }
                adopt(flow)
                network.drive(flow)
                settle(flow)
            }
        case .connected(let id), .readable(let id), .writable(let id), .finished(let id), .closed(let id, _):
            guard let flow = flows[Key(host: host.index, connection: id)] else { return }
            network.drive(flow, event)
            settle(flow)
        }
    }

    /// Notes what a flow has come to.
    private func settle(_ flow: SoakFlow) {
        if !flow.isClient, let id = flow.header?.id, pairs[id] != nil, pairs[id]?.server == nil {
            pairs[id]?.server = flow
        }
        let key = Key(host: flow.host.index, connection: flow.connection)
        guard flow.isOver, flows.removeValue(forKey: key) != nil else { return }
        openFlows -= 1
        if !flow.isClient, flow.header == nil { nameless.append(flow) }
    }

    // MARK: The end

    func reportHanging(_ outcome: inout SoakOutcome) {
        for flow in flows.values where outcome.violations.count < 8 {
            outcome.violations.append("hangs: \(SoakJudge.describe(flow))")
        }
    }

    func judgeAll(_ outcome: inout SoakOutcome) {
        outcome.unopened = unopened
        let judge = SoakJudge(weather: world.episode.weather)
        for id in pairs.keys.sorted() {
            if let pair = pairs[id] { judge.judge(pair, &outcome) }
        }
        for flow in nameless { judge.judgeNameless(flow, &outcome) }
    }
}

extension Network {
    /// Lets a flow act on an event, or on its own.
    func drive(_ flow: SoakFlow, _ event: HostEvent? = nil) {
        // Out of the class: a span of a stored property would end with the statement.
        var storage: [UInt8] = []
        swap(&storage, &applicationBuffer)
        drive(flow, event, &storage)
        swap(&storage, &applicationBuffer)
    }

    private func drive(_ flow: SoakFlow, _ event: HostEvent?, _ storage: inout [UInt8]) {
        let now = now
        var span = storage.mutableSpan
        var buffer = unsafe span.mutableBytes
        flow.act(on: event, buffer: &buffer, now: now)
    }
}
