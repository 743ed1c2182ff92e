import CLinux
import Glibc
public import TransportValues
import WireFormats

/// A TUN device of our own: what the kernel routes to it we receive, what we send the kernel takes as received.
///
/// With the kernel's consent packets carry a virtio-net header: one packet of up to 64 KB stands for many segments, and
/// TCP checksums are left to the receiver. The device vanishes with this value.
public struct TunDevice: PacketBackend, ~Copyable {
    private let device: OwnedDescriptor
    /// Whether each packet begins with a virtio-net header.
    private let hasOffloadHeader: Bool
    private var incoming: PacketMemory
    public let name: String
    public let mtu: Int
    /// The stack's addresses on this device, and the kernel's.
    public let assignments: [TunSpecification.Assignment]
    public private(set) var counters = BackendCounters()

    public var descriptor: Int32 { device.rawValue }
    public var auxiliaryDescriptor: Int32? { nil }
    public var checksumOffload: Bool { hasOffloadHeader }
    public var maximumPacket: Int { hasOffloadHeader ? largestPacket : mtu }
    // Measured: below some 8 KB a copy costs less than two more vectors.
    public var gathersFrom: Int { hasOffloadHeader ? 8192 : .max }

    /// Creates the device, gives the kernel's end its addresses and brings it up.
    /// - Parameter offload: false for a device without virtio-net headers, as old kernels have it.
    /// - Throws: ``BackendError/permissionDenied(operation:)``, ``BackendError/interfaceBusy(_:)``,
    ///   ``BackendError/missingFeature(_:mend:)`` without /dev/net/tun.
    public init(_ specification: TunSpecification, offload: Bool = true) throws(BackendError) {
        let operation = "create the TUN device \(specification.name)"
        let descriptor = unsafe clinux_open("/dev/net/tun", O_RDWR | O_NONBLOCK, 0)
        if descriptor < 0, errno == ENOENT || errno == ENODEV || errno == ENXIO {
            throw .missingFeature("/dev/net/tun", mend: "load its module (`modprobe tun`)")
        }
        let device = try OwnedDescriptor(descriptor, operation)
        let withHeader = try Self.attach(device, specification.name, offload: offload, operation)
        if withHeader {
            _ = clinux_tun_set_header_size(device.rawValue, Int32(VirtioNetHeader.length))
            // What the kernel may leave to us. A kernel that does not know one of these hands us plain packets.
            let all = UInt32(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
            if clinux_tun_set_offload(device.rawValue, all) != 0 {
                _ = clinux_tun_set_offload(device.rawValue, UInt32(TUN_F_CSUM))
            }
        }
        var configurator = try TunConfigurator(name: specification.name)
        try configurator.apply(specification)
        hasOffloadHeader = withHeader
        incoming = PacketMemory(count: VirtioNetHeader.length + largestPacket + 5)
        name = specification.name
        mtu = specification.mtu
        assignments = specification.assignments
        self.device = device
    }

    /// TUNSETIFF, without the virtio-net header where the kernel refuses it.
    /// - Returns: whether packets carry that header.
    private static func attach(
        _ device: borrowing OwnedDescriptor, _ name: String, offload: Bool, _ operation: String
    ) throws(BackendError) -> Bool {
        let plain = IFF_TUN | IFF_NO_PI
        var isAttached = false
        var withHeader = offload
        while !isAttached {
            var field = [CChar](repeating: 0, count: Int(IFNAMSIZ))
            for (index, byte) in name.utf8.enumerated() where index < field.count - 1 {
                field[index] = CChar(bitPattern: byte)
            }
            let flags = withHeader ? plain | IFF_VNET_HDR : plain
            isAttached = unsafe clinux_tun_attach(device.rawValue, &field, flags) == 0
            if isAttached { break }
            let code = errno
            if code == EINVAL, withHeader, unsafe name.withCString({ unsafe if_nametoindex($0) }) == 0 {
                withHeader = false
                continue
            }
            // EINVAL for a name that exists: it is no TUN device, or one with other flags.
            if code == EBUSY || code == EEXIST || code == EINVAL { throw .interfaceBusy(name) }
            throw .from(code, operation)
        }
        return withHeader
    }

    public mutating func receive(
        _ body: (RawSpan, ReceivedPacketMetadata) -> Void
    ) throws(BackendError) -> Int {
        let header = hasOffloadHeader ? VirtioNetHeader.length : 0
        var count = 0
        while count < receiveBatch {
            let length = unsafe read(device.rawValue, incoming.pointer, incoming.count)
            if length < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { break }
                throw failure("read from \(name)")
            }
            if length == 0 { break }
            count += 1
            guard length > header else {
                counters.receivedTruncated += 1
                continue
            }
            var metadata = ReceivedPacketMetadata()
            if header > 0, let told = try? VirtioNetHeader(incoming.bytes(0..<header)) { metadata = told.received }
            counters.packetsReceived += 1
            counters.bytesReceived += UInt64(length - header)
            body(incoming.bytes(header..<length), metadata)
        }
        return count
    }

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata
    ) throws(BackendError) -> SendResult {
        precondition(headroom >= packetHeadroom && metadata.length > 0)
        precondition(metadata.length <= buffer.byteCount - headroom)
        let start = writeOffloadHeader(metadata, into: &buffer, before: headroom)
        let length = headroom + metadata.length - start
        return try send(metadata, length) { device in
            unsafe buffer.withUnsafeMutableBytes { unsafe write(device, $0.baseAddress! + start, length) }
        }
    }

    public mutating func send(
        _ buffer: inout MutableRawSpan, headroom: Int, metadata: TransmitMetadata, payload first: RawSpan,
        _ second: RawSpan
    ) throws(BackendError) -> SendResult {
        precondition(headroom >= packetHeadroom && metadata.headerLength <= buffer.byteCount - headroom)
        precondition(metadata.headerLength + first.byteCount + second.byteCount == metadata.length)
        let start = writeOffloadHeader(metadata, into: &buffer, before: headroom)
        let headers = headroom + metadata.headerLength - start
        return try send(metadata, headroom + metadata.length - start) { device in
            unsafe buffer.withUnsafeMutableBytes { head in
                unsafe first.withUnsafeBytes { one in
                    unsafe second.withUnsafeBytes { two in
                        let pieces: [3 of iovec] = unsafe [
                            iovec(iov_base: head.baseAddress! + start, iov_len: headers),
                            iovec(iov_base: UnsafeMutableRawPointer(mutating: one.baseAddress), iov_len: one.count),
                            iovec(iov_base: UnsafeMutableRawPointer(mutating: two.baseAddress), iov_len: two.count),
                        ]
                        return unsafe pieces.span.withUnsafeBufferPointer {
                            unsafe writev(device, $0.baseAddress, two.isEmpty ? 2 : 3)
                        }
                    }
                }
            }
        }
    }

    /// - Returns: where the packet now begins.
    private func writeOffloadHeader(
        _ metadata: TransmitMetadata, into buffer: inout MutableRawSpan, before headroom: Int
    ) -> Int {
        guard hasOffloadHeader else { return headroom }
        VirtioNetHeader(metadata).emit(into: &buffer, at: headroom - VirtioNetHeader.length)
        return headroom - VirtioNetHeader.length
    }

    /// One system call until it is not interrupted, and what its result means.
    @inline(__always)
    private mutating func send(
        _ metadata: TransmitMetadata, _ length: Int, _ attempt: (Int32) -> Int
    ) throws(BackendError) -> SendResult {
        while true {
            let written = attempt(device.rawValue)
            if written == length {
                counters.packetsSent += 1
                counters.bytesSent += UInt64(metadata.length)
                return .sent
            }
            switch written < 0 ? errno : EINVAL {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case EIO: counters.linkDown += 1
            case ENOBUFS, ENOMEM: counters.deviceFull += 1
            case EINVAL, EMSGSIZE, EFAULT: counters.refusedByKernel += 1
            default: throw failure("write to \(name)")
            }
            return .dropped
        }
    }

    public mutating func serviceAuxiliary() {}

    public mutating func nextEvent() -> BackendEvent? { nil }

    /// EBADFD is TUN's word for a device that was deleted under us.
    private borrowing func failure(_ operation: String) -> BackendError {
        errno == EBADFD || errno == ENODEV || errno == ENXIO ? .interfaceGone(name) : .fromErrno(operation)
    }
}
