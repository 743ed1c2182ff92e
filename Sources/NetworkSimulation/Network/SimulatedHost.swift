public import HostStack
public import TransportValues

/// A host of the simulation: the real stack, and the links its interfaces are on.
public final class SimulatedHost {
    public let name: String
    let index: Int
    public var stack: Host
    /// By `InterfaceID`: the link and which of its ends; nil when the interface is gone.
    var attachments: [Attachment?] = []
    var drivers: [ConnectionID: Int] = [:]
    var services: [ListenerID: Service] = [:]
    /// Packets for an interface that is on no link.
    public internal(set) var strayPackets: UInt64 = 0
    /// The earliest event in the queue for this host's timers.
    var scheduled = MonotonicInstant.distantFuture

    struct Attachment {
        var link: Int
        var end: LinkEnd
    }

    /// What a listener's connections are for.
    struct Service {
        var plan: StreamPlan
    }

    init(name: String, index: Int, configuration: HostConfiguration, randomness: RandomSource, now: MonotonicInstant) {
        self.name = name
        self.index = index
        stack = Host(configuration, randomness: randomness, now: now)
    }

    func attachment(of interface: InterfaceID) -> Attachment? {
        let index = Int(interface.rawValue)
        return index >= 0 && index < attachments.count ? attachments[index] : nil
    }

    func attach(_ interface: InterfaceID, to link: Int, end: LinkEnd) {
        let index = Int(interface.rawValue)
        while attachments.count <= index { attachments.append(nil) }
        attachments[index] = Attachment(link: link, end: end)
    }
}

/// The two ends of a duplex link.
public enum LinkEnd: Int, Sendable, BitwiseCopyable {
    case a = 0
    case b = 1

    var other: Self { self == .a ? .b : .a }
}

/// Where one end of a link is plugged in.
public struct LinkPort {
    public var host: SimulatedHost
    public var name: String
    public var addresses: [(address: IPAddress, prefixLength: Int)]
    /// The largest packet that the stack may hand over: the MTU, or up to 65,535 when it is to be segmented for it.
    public var maximumPacket: Int
    /// Whether checksums are finished for the stack.
    public var checksumOffload: Bool

    public init(
        _ host: SimulatedHost, name: String, addresses: [(address: IPAddress, prefixLength: Int)],
        maximumPacket: Int = 0, checksumOffload: Bool = false
    ) {
        self.host = host
        self.name = name
        self.addresses = addresses
        self.maximumPacket = maximumPacket
        self.checksumOffload = checksumOffload
    }
}

/// A link and what is plugged into its two ends.
struct DuplexLink: ~Copyable {
    var path: EmulatedLink
    var ends: (a: Port, b: Port)
    var scheduled = MonotonicInstant.distantFuture

    struct Port {
        var host: Int
        var interface: InterfaceID
    }

    func port(_ end: LinkEnd) -> Port { end == .a ? ends.a : ends.b }
}
