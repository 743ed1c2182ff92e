public import TransportValues

/// What became of one packet that was handed to a device.
public enum SendResult: Sendable, Equatable {
    /// The device has it, or it waits in a bounded queue for the neighbour's address.
    case sent
    /// No room now; the packet is still the caller's. Writable again: poll the descriptor for output.
    case wouldBlock
    /// Gone; a counter of ``BackendCounters`` says why. To the stack this is a loss like any other.
    case dropped
}

/// Bytes that must be free before the IP packet in the buffer given to ``PacketBackend/send(_:headroom:metadata:)``:
/// room for a virtio-net and a link-layer header, so that each packet goes out in one contiguous write.
public let packetHeadroom = 64

/// The largest IP packet that a backend takes or delivers, bytes.
public let largestPacket = 65_535

/// Packets in and out of one network path. Descriptors never block.
///
/// A loop polls ``descriptor`` for input and calls ``receive(_:)`` until it returns less than a batch; it polls
/// ``auxiliaryDescriptor``, where there is one, and calls ``serviceAuxiliary()``.
public protocol PacketBackend: ~Copyable {
    /// To poll for input.
    var descriptor: Int32 { get }
    /// A netlink socket to poll for input as well; nil: none.
    var auxiliaryDescriptor: Int32? { get }
    /// The device's MTU, bytes of IP packet.
    var mtu: Int { get }
    /// The largest IP packet that ``send(_:headroom:metadata:)`` takes when ``TransmitMetadata/segmentSize`` is set.
    var maximumPacket: Int { get }
    /// Whether the device finishes a TCP checksum whose field holds only the pseudo-header's sum.
    var checksumOffload: Bool { get }
    /// Payload of this many bytes and more is taken from where it is by
    /// ``send(_:headroom:metadata:payload:_:)`` with less work than it is to copy it; `.max`: never.
    var gathersFrom: Int { get }

    /// Reads up to ``receiveBatch`` packets; `body` gets each IP packet, which is valid only during the call.
    /// - Returns: how many were read from the device, 0 when it would block.
    /// - Throws: ``BackendError/interfaceGone(_:)`` when the device no longer exists.
    mutating func receive(_ body: (RawSpan, ReceivedPacketMetadata) -> Void) throws(BackendError) -> Int

    /// Sends the `metadata.length` bytes of IP packet that stand in `buffer` from byte `headroom` on. The bytes before
    /// it are overwritten.
    /// - Precondition: `headroom >= packetHeadroom` and the packet lies inside `buffer`.
    /// - Throws: ``BackendError/interfaceGone(_:)`` when the device no longer exists.
    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult

    /// Sends a packet whose headers stand in `buffer` and whose payload in two slices, the second may be empty.
    /// - Precondition: ``gathersFrom`` is not `.max`; the slices and `metadata.headerLength` make `metadata.length`.
    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata, payload first: RawSpan,
        _ second: RawSpan
    ) throws(BackendError) -> SendResult

    /// Reads what the kernel says about links, addresses, routes and neighbours.
    mutating func serviceAuxiliary() throws(BackendError)

    /// What has happened to the path since the last call; nil: nothing more.
    mutating func nextEvent() -> BackendEvent?

    var counters: BackendCounters { get }
}

extension PacketBackend where Self: ~Copyable {
    public var gathersFrom: Int { .max }

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata, payload first: RawSpan,
        _ second: RawSpan
    ) throws(BackendError) -> SendResult {
        preconditionFailure("this backend takes whole packets only")
    }
}

/// Packets read by one call of ``PacketBackend/receive(_:)`` at most: enough to spread the cost of a wake-up, few
/// enough that the loop's timers are not late.
public let receiveBatch = 64

/// A change of a path that the stack above wants to know.
public enum BackendEvent: Sendable, Equatable {
    case addressAdded(InterfaceAddress)
    case addressRemoved(InterfaceAddress)
    case mtuChanged(Int)
    /// What can be reached through the interface is another set of destinations.
    case routesChanged
    /// The link went down or came up (administratively, or its carrier).
    case linkChanged(isUp: Bool)
}

/// Packets counted by what became of them. All are packets unless the name says otherwise.
public struct BackendCounters: Sendable, Equatable {
    public var packetsReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var packetsSent: UInt64 = 0
    public var bytesSent: UInt64 = 0

    /// Received, but shorter than the headers the device promised.
    public var receivedTruncated: UInt64 = 0
    /// Received, but larger than any buffer of ours (a kernel with "big TCP" switched on).
    public var receivedOversized: UInt64 = 0
    /// Received for a port that is the kernel's or nobody's.
    public var receivedForeignPort: UInt64 = 0
    /// Lost before we read them: the socket's receive buffer was full (the kernel's count).
    public var receiveOverruns: UInt64 = 0

    /// Not sent: no route to the destination on this interface.
    public var noRoute: UInt64 = 0
    /// Not sent: the next hop's link-layer address did not become known, or its queue was full.
    public var neighbourUnresolved: UInt64 = 0
    /// Not sent: the link is down.
    public var linkDown: UInt64 = 0
    /// Not sent: the device or its queue discipline refused the packet for want of room.
    public var deviceFull: UInt64 = 0
    /// Not sent: the kernel refused the packet as malformed or larger than the MTU.
    public var refusedByKernel: UInt64 = 0
    /// Netlink messages that made no sense and were skipped.
    public var malformedNetlink: UInt64 = 0
    /// Times that the kernel had more to say by netlink than its buffer held, and everything was read anew.
    public var netlinkOverruns: UInt64 = 0

    public init() {}

    /// Every counter with its name, for reports.
    public var all: [(name: String, value: UInt64)] {
        [
            ("packetsReceived", packetsReceived), ("bytesReceived", bytesReceived), ("packetsSent", packetsSent),
            ("bytesSent", bytesSent), ("receivedTruncated", receivedTruncated),
            ("receivedOversized", receivedOversized), ("receivedForeignPort", receivedForeignPort),
            ("receiveOverruns", receiveOverruns), ("noRoute", noRoute), ("neighbourUnresolved", neighbourUnresolved),
            ("linkDown", linkDown), ("deviceFull", deviceFull), ("refusedByKernel", refusedByKernel),
            ("malformedNetlink", malformedNetlink), ("netlinkOverruns", netlinkOverruns),
        ]
    }
}
