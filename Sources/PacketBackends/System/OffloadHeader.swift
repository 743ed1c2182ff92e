import CLinux
import TransportValues

/// The 10-byte legacy virtio-net header (VIRTIO 1.2 §5.1.6) before each packet on a TUN device or packet socket: host
/// byte order, without `num_buffers`.
enum OffloadHeader {
    static let length = 10

    private static let needsChecksum: UInt8 = 1
    private static let dataValid: UInt8 = 2
    private static let segmentNone: UInt8 = 0
    private static let segmentTCPv4: UInt8 = 1
    private static let segmentTCPv6: UInt8 = 4
    /// Where the checksum stands in a TCP header (RFC 9293 §3.1).
    private static let tcpChecksumOffset: UInt16 = 16

    /// Writes the header at `offset`.
    /// - Parameter linkHeaderLength: bytes between this header and the IP packet.
    static func write(
        _ metadata: TransmitMetadata, linkHeaderLength: Int, into buffer: inout MutableRawSpan, at offset: Int
    ) {
        let segments = metadata.segmentSize > 0
        // Segmenting implies finishing each segment's checksum: a device takes the one only with the other.
        let partial = metadata.checksumPartial || segments
        let kind = !segments ? segmentNone : metadata.isIPv6 ? segmentTCPv6 : segmentTCPv4
        buffer.storeBytes(of: partial ? needsChecksum : 0, toByteOffset: offset, as: UInt8.self)
        buffer.storeBytes(of: kind, toByteOffset: offset + 1, as: UInt8.self)
        let header = partial ? UInt16(truncatingIfNeeded: linkHeaderLength + metadata.headerLength) : 0
        let start = partial ? UInt16(truncatingIfNeeded: linkHeaderLength + metadata.networkHeaderLength) : 0
        buffer.storeBytes(of: header, toByteOffset: offset + 2, as: UInt16.self)
        buffer.storeBytes(of: UInt16(truncatingIfNeeded: metadata.segmentSize), toByteOffset: offset + 4, as: UInt16.self)
        buffer.storeBytes(of: start, toByteOffset: offset + 6, as: UInt16.self)
        buffer.storeBytes(of: partial ? tcpChecksumOffset : 0, toByteOffset: offset + 8, as: UInt16.self)
    }

    /// What the header at the span's beginning says of the packet behind it; nil when it is cut short.
    static func read(_ bytes: RawSpan) -> ReceivedPacketMetadata? {
        guard bytes.byteCount >= length, let flags = bytes.native(UInt8.self, at: 0),
            let kind = bytes.native(UInt8.self, at: 1), let size = bytes.native(UInt16.self, at: 4)
        else { return nil }
        return ReceivedPacketMetadata(
            checksum: flags & (needsChecksum | dataValid) != 0 ? .trusted : .unverified,
            segmentSize: kind == segmentNone ? 0 : Int(size))
    }
}
