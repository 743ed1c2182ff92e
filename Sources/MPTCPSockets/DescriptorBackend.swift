internal import Glibc
internal import PacketBackends
internal import TransportValues

/// Packets over a descriptor that somebody else opened: one IP packet a message, no headers before it.
struct DescriptorBackend: ~Copyable, PacketBackend {
    let descriptor: Int32
    let mtu: Int
    let name: String
    private var buffer: [UInt8]
    private(set) var counters = BackendCounters()

    var auxiliaryDescriptor: Int32? { nil }
    var maximumPacket: Int { mtu }
    var checksumOffload: Bool { false }

    init(_ path: DescriptorPath) throws(BackendError) {
        let flags = fcntl(path.descriptor, F_GETFL)
        guard flags >= 0, fcntl(path.descriptor, F_SETFL, flags | O_NONBLOCK) >= 0 else {
            throw .system(operation: "use descriptor \(path.descriptor) of path \(path.name)", code: errno)
        }
        descriptor = path.descriptor
        mtu = path.mtu
        name = path.name
        buffer = [UInt8](repeating: 0, count: largestPacket)
    }

    deinit { close(descriptor) }

    mutating func receive(_ body: (RawSpan, ReceivedPacketMetadata) -> Void) throws(BackendError) -> Int {
        var received = 0
        while received < receiveBatch {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            if count < 0, errno == ECONNREFUSED { break }  // a datagram pair whose other end is closed
            // A sequenced pair reports the other end's close as an empty message.
            guard count > 0 else { throw .interfaceGone(name) }
            received += 1
            counters.packetsReceived += 1
            counters.bytesReceived += UInt64(count)
            unsafe body(buffer.span.extracting(0..<count).bytes, ReceivedPacketMetadata())
        }
        return received
    }

    mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        precondition(metadata.length <= buffer.byteCount - headroom)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe write(descriptor, bytes.baseAddress! + headroom, metadata.length)
            }
            if count == metadata.length {
                counters.packetsSent += 1
                counters.bytesSent += UInt64(count)
                return .sent
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case EPIPE, ECONNRESET, ENOTCONN, EBADFD: throw .interfaceGone(name)
            case ENOBUFS, ECONNREFUSED:
                counters.deviceFull += 1
                return .dropped
            default:
                counters.refusedByKernel += 1
                return .dropped
            }
        }
    }

    mutating func serviceAuxiliary() throws(BackendError) {}

    mutating func nextEvent() -> BackendEvent? { nil }
}
