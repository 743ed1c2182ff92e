import ArgumentParser
import CLinux
import Glibc
import HostStack
import MPTCPConnection
import NetworkSimulation
import TransportValues

/// The demo at work: the simulation, held to the wall clock, and its display.
struct DemoRun {
    private let plan: DemoPlan
    private let isPaced: Bool
    private let network: Network
    private let capture: DemoCapture?
    private let signals: Int32
    private var display: DemoDisplay
    private var meter: DemoMeter
    private var phase = Phase.bothPaths

    private static let step = TimeSpan.milliseconds(10)

    private enum Phase {
        case bothPaths
        case onePath(since: MonotonicInstant)
        case bothAgain
    }

    init(_ plan: DemoPlan, isPaced: Bool, capture: DemoCapture?) throws {
        self.plan = plan
        self.isPaced = isPaced
        self.capture = capture
        let scenario = plan.scenario
        network = scenario.makeNetwork()
        display = DemoDisplay(plan)
        meter = DemoMeter(paths: plan.paths.count)
        signals = unsafe clinux_signal_descriptor([SIGINT, SIGTERM], 2)
        if let capture { network.tap = { packet, sighting in capture.note(packet, sighting) } }
        try scenario.start(on: network)
    }

    mutating func perform() -> DemoOutcome {
        display.begin()
        let start = Self.wallClock()
        var previous = start
        var moment = meter.moment(network, plan)
        var isInterrupted = false
        var owed = TimeSpan.zero
        while network.violation == nil, !isDone, !isInterrupted, network.now < .zero + .milliseconds(600_000) {
            let wall = Self.wallClock()
            // A machine too slow for real time shows a slower world, not one that jumps.
            owed = isPaced ? min(owed + (wall - previous), .milliseconds(50)) : .milliseconds(50)
            previous = wall
            // Steps of one length, so that what the demo does to the links does not depend on the machine.
            while owed >= Self.step, !isDone {
                owed = owed - Self.step
                network.runUntilStreamsClosed(limit: network.now + Self.step)
                moment = meter.moment(network, plan)
                switchPaths(moment)
            }
            display.show(moment)
            isInterrupted = pause(isPaced ? 8 : 0)
        }
        display.end(moment)
        capture?.close()
        let outcome = DemoOutcome(
            network, plan, wall: Self.wallClock() - start, isInterrupted: isInterrupted)
        standardOutput(outcome.table)
        if let fault = capture?.fault { standardError("mptcp demo: the capture is incomplete: \(fault)") }
        return outcome
    }

    private var isDone: Bool {
        let streams = network.streams
        return streams.allSatisfy { $0.closed != nil } && !streams.isEmpty
    }

    private mutating func switchPaths(_ moment: DemoDisplay.Moment) {
        let name = "path \(plan.victim + 1)"
        switch phase {
        case .bothPaths:
            guard Double(moment.received) >= Double(plan.bytes) * plan.lossOfPathAt else { return }
            network.setLink(plan.victim, up: false)
            phase = .onePath(since: network.now)
            display.announce("\(name) is taken away, with everything on it", at: meter.moment(network, plan))
        case .onePath(let since):
            guard network.now - since >= plan.absence else { return }
            network.setLink(plan.victim, up: true)
            phase = .bothAgain
            display.announce("\(name) is back", at: meter.moment(network, plan))
        case .bothAgain:
            break
        }
    }

    private static func wallClock() -> MonotonicInstant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Sleeps; true when a signal asks to stop.
    private func pause(_ milliseconds: Int32) -> Bool {
        var descriptor = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&descriptor, 1, milliseconds) > 0
    }
}

/// Rates over the last half second, from the receiving stack's own figures.
struct DemoMeter {
    private struct Sample {
        var time: MonotonicInstant
        var bytes: [Int64]
        var total: Int64
    }

    private var samples: [Sample] = []
    private let paths: Int

    init(paths: Int) { self.paths = paths }

    mutating func moment(_ network: Network, _ plan: DemoPlan) -> DemoDisplay.Moment {
        var sample = Sample(time: network.now, bytes: Array(repeating: 0, count: paths), total: 0)
        let streams = network.streams
        if let server = streams.firstIndex(where: { !$0.isClient }) {
            sample.total = streams[server].received
            for subflow in network.snapshot(of: server)?.subflows ?? [] {
                let path = Int(subflow.local.address.ipv4 >> 8 & 0xff) - 1
                if sample.bytes.indices.contains(path) { sample.bytes[path] += Int64(subflow.bytesReceived) }
            }
        }
        samples.append(sample)
        while samples.count > 2, sample.time - samples[0].time > .milliseconds(500) { samples.removeFirst() }
        let oldest = samples[0]
        let seconds = max(0.001, (sample.time - oldest.time).seconds)
        return DemoDisplay.Moment(
            time: sample.time - .zero,
            paths: (0..<paths).map { path in
                DemoDisplay.Moment.Path(
                    bytes: sample.bytes[path], rate: Double(sample.bytes[path] - oldest.bytes[path]) / seconds,
                    isUp: network.isUp(path))
            },
            received: sample.total, rate: Double(sample.total - oldest.total) / seconds)
    }
}
