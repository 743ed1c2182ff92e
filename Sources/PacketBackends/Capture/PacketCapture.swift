import CLinux
import Glibc
import WireFormats

/// The file of `--capture`: pcapng, one interface a path, shared by the backends of one loop.
///
/// Writes go through a buffer; call ``flush()`` when the loop is idle. When the file cannot be written (a full disk),
/// the capture ends with what was whole, ``failure`` says why, and traffic goes on.
public final class PacketCapture {
    /// Bytes that are gathered before they are written.
    private static let flushThreshold = 256 << 10

    public let path: String
    /// Why the capture ended before its time; nil: it has not.
    public private(set) var failure: BackendError?
    public private(set) var packetsCaptured: UInt64 = 0
    /// Packets that passed after the failure, or were in the buffer that could not be written.
    public private(set) var packetsLost: UInt64 = 0

    private let file: OwnedDescriptor
    private var writer: PcapngWriter
    private var buffer: [UInt8] = []
    private var bufferedPackets: UInt64 = 0
    /// Bytes in the file, all of them whole blocks.
    private var written = 0

    /// Creates or empties the file.
    /// - Throws: ``BackendError/captureFailed(path:reason:)`` or ``BackendError/permissionDenied(operation:)``.
    public init(path: String) throws(BackendError) {
        let descriptor = unsafe path.withCString { unsafe clinux_open($0, O_WRONLY | O_CREAT | O_TRUNC, 0o644) }
        if descriptor < 0, errno == EACCES || errno == EPERM {
            throw .permissionDenied(operation: "write the capture \(path)")
        }
        if descriptor < 0 { throw .captureFailed(path: path, reason: errorText(errno)) }
        file = OwnedDescriptor(descriptor)
        self.path = path
        buffer.reserveCapacity(Self.flushThreshold + 2 * largestPacket)
        writer = PcapngWriter(into: &buffer)
        flush()
        if let failure { throw failure }
    }

    deinit { flush() }

    private var interfaces: [String: Int] = [:]

    /// Names a path; the number is for ``record(_:interface:direction:)``. A path that comes back has the one it had.
    func addInterface(name: String) -> Int {
        if let known = interfaces[name] { return known }
        let number = writer.addInterface(name: name, linkType: .rawIP, into: &buffer)
        interfaces[name] = number
        return number
    }

    /// Appends an IP packet, as it passes the device: larger than the MTU, or with its checksum undone, where the
    /// device is to finish that.
    func record(_ packet: RawSpan, interface: Int, direction: PcapngWriter.Direction) {
        guard failure == nil else {
            packetsLost += 1
            return
        }
        var now = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        let time = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        writer.packet(packet, interface: interface, time: time, direction: direction, into: &buffer)
        bufferedPackets += 1
        if buffer.count >= Self.flushThreshold { flush() }
    }

    /// Writes what is buffered.
    public func flush() {
        guard failure == nil, !buffer.isEmpty else { return }
        var position = 0
        while position < buffer.count {
            let count = unsafe buffer.withUnsafeBytes {
                unsafe write(file.rawValue, $0.baseAddress! + position, $0.count - position)
            }
            if count > 0 {
                position += count
                continue
            }
            if count < 0, errno == EINTR { continue }
            end(reason: errorText(count < 0 ? errno : ENOSPC), partial: position)
            return
        }
        written += buffer.count
        packetsCaptured += bufferedPackets
        bufferedPackets = 0
        buffer.removeAll(keepingCapacity: true)
    }

    /// Cuts the file after its last whole block, so that it can still be read.
    private func end(reason: String, partial: Int) {
        var whole = 0
        var packets: UInt64 = 0
        let blocks = buffer
        let bytes = unsafe blocks.span.bytes
        while let type = bytes.network(UInt32.self, at: whole), let length = bytes.network(UInt32.self, at: whole + 4),
            whole + Int(length) <= partial
        {
            if type == 6 { packets += 1 }
            whole += Int(length)
        }
        _ = ftruncate(file.rawValue, written + whole)
        packetsCaptured += packets
        packetsLost += bufferedPackets - packets
        bufferedPackets = 0
        buffer = []
        failure = .captureFailed(path: path, reason: reason)
    }
}
