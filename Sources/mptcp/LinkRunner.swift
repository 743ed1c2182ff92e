import CLinux
import Glibc
import NetworkSimulation
import PacketBackends
import TransportValues

/// The two TUN devices, each in its namespace.
struct LinkDevices: ~Copyable {
    var a: TunDevice
    var b: TunDevice

    /// A thread is in one namespace at a time; a device stays where it was made. An end without a namespace is made
    /// first, since there is no way back.
    init(from: LinkEndSpecification, to: LinkEndSpecification) throws(BackendError) {
        if to.namespace == nil {
            let last = try Self.make(to)
            let first = try Self.make(from)
            self.init(a: first, b: last)
        } else {
            let first = try Self.make(from)
            let last = try Self.make(to)
            self.init(a: first, b: last)
        }
    }

    private init(a: consuming TunDevice, b: consuming TunDevice) {
        self.a = a
        self.b = b
    }

    private static func make(_ end: LinkEndSpecification) throws(BackendError) -> TunDevice {
        if let namespace = end.namespace, unsafe clinux_enter_namespace(namespace) != 0 {
            switch errno {
            case ENOENT:
                throw .invalidPath(
                    end.description, reason: "there is no such network namespace (`ip netns add \(namespace)` makes it)"
                )
            case EPERM, EACCES: throw .permissionDenied(operation: "enter the network namespace \(namespace)")
            default: throw .system(operation: "enter the network namespace \(namespace)", code: errno)
            }
        }
        return try TunDevice(end.specification, offload: false)
    }
}

/// Carries packets between two devices by the wall clock.
struct LinkRunner: ~Copyable {
    private var devices: LinkDevices
    private var link: EmulatedLink
    private let boxes: [String]
    private let signals: Int32
    private let timer: Int32
    private var buffer = [UInt8](repeating: 0, count: packetHeadroom + largestPacket)
    /// Taken away or brought back, in the order of time, relative to the start.
    private var switches: [(time: TimeSpan, isUp: Bool)] = []
    private var isStopped = false
    private var lateness = Lateness()
    /// Packets that the receiving kernel did not take.
    private var refused: UInt64 = 0

    /// How late packets were handed over, against the model's instants.
    struct Lateness {
        var packets: UInt64 = 0
        var total: Int64 = 0
        var worst: Int64 = 0
        /// More than 0.2 ms late.
        var late: UInt64 = 0

        mutating func note(_ nanoseconds: Int64) {
            packets += 1
            total += nanoseconds
            worst = max(worst, nanoseconds)
            if nanoseconds > 200_000 { late += 1 }
        }
    }

    init(
        devices: consuming LinkDevices, link: consuming EmulatedLink, boxes: [String], signals: Int32, timer: Int32
    ) {
        self.devices = devices
        self.link = link
        self.boxes = boxes
        self.signals = signals
        self.timer = timer
    }

    mutating func schedule(_ outages: [LinkOutage]) {
        for outage in outages { switches += [(outage.start, false), (outage.start + outage.length, true)] }
        switches.sort { $0.time < $1.time }
    }

    /// Runs until a signal, or for a time. Returns what ended it early.
    mutating func run(for duration: TimeSpan?) -> BackendError? {
        let start = Self.now()
        let end = duration.map { start + $0 } ?? .distantFuture
        do throws(BackendError) {
            while !isStopped {
                let read = try readDevices()
                try deliver()
                let now = Self.now()
                if now >= end { return nil }
                let change = flip(at: now, since: start)
                if read { continue }
                let next = min(link.nextDeparture, min(end, change))
                // A sleep shorter than this costs more time than it fills.
                if next - now > .microseconds(15) { wait(until: next) }
            }
            return nil
        } catch {
            return error
        }
    }

    /// A link that is late is a wrong link: ask to run before the hosts that use it. Not granted: no harm.
    static func raisePriority(for configurations: [LinkConfiguration]) {
        let isTimed = configurations.contains { $0.delay > .zero || $0.rate != .unlimited }
        var parameters = sched_param()
        parameters.sched_priority = 1
        // Without a delay or rate the time is the machine's own, and a flood would take a whole core from it.
        if isTimed, unsafe sched_setscheduler(0, SCHED_FIFO, &parameters) == 0 { return }
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -10)
    }

    private static func now() -> MonotonicInstant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Puts what the kernels sent onto the link; false when there was nothing.
    private mutating func readDevices() throws(BackendError) -> Bool {
        // The bindings keep the closures from borrowing all of self.
        let fromA = try Self.read(&devices.a, .a, into: &link)
        let fromB = try Self.read(&devices.b, .b, into: &link)
        return fromA || fromB
    }

    private static func read(
        _ device: inout TunDevice, _ end: LinkEnd, into link: inout EmulatedLink
    ) throws(BackendError) -> Bool {
        try device.receive { packet, _ in link.enqueue(packet, from: end, now: now()) } > 0
    }

    private mutating func deliver() throws(BackendError) {
        try Self.deliver(&link, to: &devices.b, .b, &buffer, &lateness, &refused)
        try Self.deliver(&link, to: &devices.a, .a, &buffer, &lateness, &refused)
    }

    private static func deliver(
        _ link: inout EmulatedLink, to device: inout TunDevice, _ end: LinkEnd, _ memory: inout [UInt8],
        _ lateness: inout Lateness, _ refused: inout UInt64
    ) throws(BackendError) {
        var span = memory.mutableSpan
        var buffer = unsafe span.mutableBytes
        while link.nextDeparture != .distantFuture {
            let now = now()
            let due = link.nextDeparture
            if due > now { return }
            var length = 0
            let arrived = link.dequeue(to: end, now: now) { packet in
                length = packet.byteCount
                unsafe buffer.withUnsafeMutableBytes { target in
                    unsafe packet.withUnsafeBytes { source in
                        let offset = unsafe UnsafeMutableRawBufferPointer(rebasing: target[packetHeadroom...])
                        unsafe offset.copyMemory(from: source)
                    }
                }
            }
            // What is due is for the other end, or a box has kept it.
            guard arrived else { return }
            lateness.note((now - due).nanoseconds)
            let metadata = TransmitMetadata(
                interface: InterfaceID(0), length: length, headerLength: 0, networkHeaderLength: 0)
            if try device.send(&buffer, headroom: packetHeadroom, metadata: metadata) != .sent { refused += 1 }
        }
    }

    /// Takes the link away or brings it back when it is time; returns when that is next.
    private mutating func flip(at now: MonotonicInstant, since start: MonotonicInstant) -> MonotonicInstant {
        while let change = switches.first {
            if start + change.time > now { return start + change.time }
            setUp(change.isUp, now: now)
            switches.removeFirst()
        }
        return .distantFuture
    }

    private mutating func setUp(_ isUp: Bool, now: MonotonicInstant) {
        link.setUp(isUp, now: now)
    }

    /// Sleeps until a packet, a signal or the instant. A timer descriptor, unlike poll's own timeout, has no slack.
    private mutating func wait(until next: MonotonicInstant) {
        _ = clinux_timer_set(timer, next.nanoseconds)
        let input = Int16(POLLIN)
        var descriptors = [
            pollfd(fd: devices.a.descriptor, events: input, revents: 0),
            pollfd(fd: devices.b.descriptor, events: input, revents: 0),
            pollfd(fd: timer, events: input, revents: 0), pollfd(fd: signals, events: input, revents: 0),
        ]
        if unsafe poll(&descriptors, 4, -1) > 0, descriptors[3].revents != 0 { readSignals() }
    }

    private mutating func readSignals() {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while unsafe Glibc.read(signals, &information, size) == size {
            switch Int32(bitPattern: information.ssi_signo) {
            case SIGUSR1: setUp(false, now: Self.now())
            case SIGUSR2: setUp(true, now: Self.now())
            default: isStopped = true
            }
        }
    }

    func summary(from: LinkEndSpecification, to: LinkEndSpecification, seed: UInt64) -> String {
        var text = Self.line("\(from.description) → \(to.description)", link.counters(from: .a))
        text += Self.line("\(to.description) → \(from.description)", link.counters(from: .b))
        for (box, count) in zip(boxes, link.interventions) { text += "box \(box): \(count) interventions\n" }
        if refused > 0 { text += "refused by the receiving kernel: \(refused) packets\n" }
        let mean = lateness.packets > 0 ? lateness.total / Int64(lateness.packets) : 0
        text += "late by \(mean / 1000) µs on average, \(lateness.worst / 1000) µs at worst"
        text += ", \(lateness.late) of \(lateness.packets) packets by more than 200 µs; seed \(seed)\n"
        return text
    }

    private static func line(_ name: String, _ counters: LinkCounters) -> String {
        var parts = [
            "\(counters.offeredPackets) packets offered (\(counters.offeredBytes) bytes)",
            "\(counters.deliveredPackets) delivered (\(counters.deliveredBytes) bytes)",
        ]
        let events = [
            ("lost", counters[.lost]), ("queue full", counters[.queueFull]), ("link down", counters[.linkDown]),
            ("bad size", counters[.badSize]), ("out of memory", counters[.memory]), ("reordered", counters.reordered),
            ("duplicated", counters.duplicated), ("corrupted", counters.corrupted),
        ]
        for (event, count) in events where count > 0 { parts.append("\(count) \(event)") }
        return "\(name): \(parts.joined(separator: ", "))\n"
    }
}
