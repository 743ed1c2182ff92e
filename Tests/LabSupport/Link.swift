import Foundation

/// What a link between the two namespaces is made of. Both directions are alike.
public enum LinkKind: Sendable, CustomStringConvertible {
    /// Ethernet: a veth pair, each end shaped to `megabits` per second by a token bucket; nil: not shaped.
    case veth(megabits: Int?)
    /// Layer 3: two TUN devices joined by `mptcp link` in real time.
    case emulated(LinkProfile)

    public var description: String {
        switch self {
        case .veth(let megabits): megabits.map { "veth \($0) Mbit/s" } ?? "veth"
        case .emulated(let profile): "link \(profile)"
        }
    }
}

/// The knobs of one emulated link, each direction.
public struct LinkProfile: Sendable, CustomStringConvertible {
    public var megabits: Int
    /// One way, milliseconds.
    public var delay: Double
    /// 0…100.
    public var lossPercent: Double
    public var queueKilobytes: Int
    public var seed: UInt64
    /// More options of `mptcp link`: middleboxes, outages, what the way back has of its own.
    public var options: [String]

    public init(
        megabits: Int, delay: Double = 0, lossPercent: Double = 0, queueKilobytes: Int = 256, seed: UInt64 = 1,
        options: [String] = []
    ) {
        self.options = options
        self.megabits = megabits
        self.delay = delay
        self.lossPercent = lossPercent
        self.queueKilobytes = queueKilobytes
        self.seed = seed
    }

    public var description: String {
        "\(megabits) Mbit/s \(delay) ms \(lossPercent) % seed \(seed)"
    }

    var arguments: [String] {
        [
            "--rate", "\(megabits)mbit", "--delay", "\(delay)ms", "--loss", "\(lossPercent)%",
            "--queue", "\(queueKilobytes)kB", "--seed", String(seed),
        ] + options
    }
}

/// One link, up. It goes down with this object (an emulated one at once, a veth pair with its namespace).
public final class Link {
    private let emulator: ChildProcess?

    /// - Parameters:
    ///   - addresses: what each end gets, with prefix length.
    public init(
        _ kind: LinkKind, from: Namespace, _ fromDevice: String, _ fromAddresses: [String],
        to: Namespace, _ toDevice: String, _ toAddresses: [String]
    ) throws {
        switch kind {
        case .veth(let megabits):
            emulator = nil
            try run("ip link add \(fromDevice) netns \(from.name) type veth peer name \(toDevice) netns \(to.name)")
            try Self.configure(from, fromDevice, fromAddresses, megabits)
            try Self.configure(to, toDevice, toAddresses, megabits)
        case .emulated(let profile):
            let ends = [(from, fromDevice, fromAddresses), (to, toDevice, toAddresses)].map {
                space, device, addresses in
                (["\(space.name):\(device)"] + addresses.map { "address=\($0)" }).joined(separator: ",")
            }
            let process = try ChildProcess(
                [LabEnvironment.tool, "link", "--from", ends[0], "--to", ends[1]] + profile.arguments, limit: 600)
            try process.waitForOutput("ready")
            emulator = process
        }
    }

    /// Takes an emulated link away, its devices staying up, or brings it back.
    public func setUp(_ up: Bool) throws {
        guard let emulator else { throw LabError("only an emulated link can be taken away") }
        emulator.kill(up ? SIGUSR2 : SIGUSR1)
    }

    /// Ends an emulated link in order; what it says of each direction and box.
    public func summary() -> String {
        guard let emulator else { return "" }
        emulator.kill(SIGTERM)
        _ = emulator.wait(upTo: 5)
        return emulator.output
    }

    deinit {
        emulator?.kill(SIGKILL)
    }

    func freeze() throws {
        guard let emulator else { throw LabError("only an emulated link can be frozen") }
        emulator.kill(SIGSTOP)
    }

    private static func configure(
        _ space: Namespace, _ device: String, _ addresses: [String], _ megabits: Int?
    ) throws {
        for address in addresses {
            try space.ip("address add \(address) dev \(device)")
        }
        try space.ip("link set \(device) up")
        if let megabits {
            // 50 ms of queue: a sender that fills it is not slowed by losses alone.
            try run(
                "tc -n \(space.name) qdisc add dev \(device) root tbf rate \(megabits)mbit burst 128kb latency 50ms")
        }
    }
}
