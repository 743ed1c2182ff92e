public import TransportValues

/// The 10-byte header before each packet of a TUN device opened with `IFF_VNET_HDR`, and of a packet socket with
/// `PACKET_VNET_HDR` (virtio 1.2 §5.1.6, without the number of buffers). Its fields stand in the machine's own order,
/// as Linux gives them unless `TUNSETVNETLE` or `TUNSETVNETBE` says otherwise.
@frozen
public struct VirtioNetHeader: BitwiseCopyable, Sendable, Hashable {
    @frozen
    public enum Segmentation: UInt8, BitwiseCopyable, Sendable {
        case none = 0
        case tcp4 = 1
        case udp = 3
        case tcp6 = 4
        case udpL4 = 5
    }

    /// Bytes on the wire.
    @inlinable public static var length: Int { 10 }

    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum field holds the pseudo-header's sum only.
    public var needsChecksum: Bool
    /// `VIRTIO_NET_HDR_F_DATA_VALID`: the checksum was verified.
    public var isDataValid: Bool
    public var segmentation: Segmentation
    /// `VIRTIO_NET_HDR_GSO_ECN`.
    public var hasECN: Bool
    /// Bytes of headers before the payload; a hint.
    public var headerLength: UInt16
    /// Payload bytes of each segment.
    public var segmentSize: UInt16
    /// Where the checksum begins to count, from the packet's first byte.
    public var checksumStart: UInt16
    /// Where the checksum is stored, from ``checksumStart``.
    public var checksumOffset: UInt16

    @inlinable
    public init(
        needsChecksum: Bool = false, isDataValid: Bool = false, segmentation: Segmentation = .none,
        hasECN: Bool = false, headerLength: UInt16 = 0, segmentSize: UInt16 = 0, checksumStart: UInt16 = 0,
        checksumOffset: UInt16 = 0
    ) {
        self.needsChecksum = needsChecksum
        self.isDataValid = isDataValid
        self.segmentation = segmentation
        self.hasECN = hasECN
        self.headerLength = headerLength
        self.segmentSize = segmentSize
        self.checksumStart = checksumStart
        self.checksumOffset = checksumOffset
    }

    /// The header that goes before a TCP packet of ours.
    @inlinable
    public init(_ metadata: TransmitMetadata) {
        self.init()
        if metadata.checksumPartial {
            needsChecksum = true
            checksumStart = UInt16(truncatingIfNeeded: metadata.networkHeaderLength)
            checksumOffset = 16
        }
        if metadata.segmentSize > 0 {
            segmentation = metadata.isIPv6 ? .tcp6 : .tcp4
            segmentSize = UInt16(truncatingIfNeeded: metadata.segmentSize)
            headerLength = UInt16(truncatingIfNeeded: metadata.headerLength)
        }
    }

    /// What the header tells the stack of the packet behind it.
    @inlinable
    public var received: ReceivedPacketMetadata {
        ReceivedPacketMetadata(
            checksum: needsChecksum || isDataValid ? .trusted : .unverified,
            segmentSize: segmentation == .none ? 0 : Int(segmentSize))
    }

    /// Reads the header at the beginning of `bytes`.
    /// - Throws: ``WireError/truncated``, or ``WireError/unsupported`` for an unknown kind of segmentation.
    @inlinable
    public init(_ bytes: RawSpan) throws(WireError) {
        guard bytes.byteCount >= Self.length else { throw .truncated }
        let kind = bytes.byte(1)
        guard let segmentation = Segmentation(rawValue: kind & 0x7f) else { throw .unsupported }
        let flags = bytes.byte(0)
        self.init(
            needsChecksum: flags & 1 != 0, isDataValid: flags & 2 != 0, segmentation: segmentation,
            hasECN: kind & 0x80 != 0, headerLength: bytes.native16(2), segmentSize: bytes.native16(4),
            checksumStart: bytes.native16(6), checksumOffset: bytes.native16(8))
    }

    /// Writes the header's 10 bytes at `offset`; returns their number.
    /// - Precondition: they fit into `packet`.
    @inlinable @_lifetime(packet: copy packet) @discardableResult
    public func emit(into packet: inout MutableRawSpan, at offset: Int) -> Int {
        packet.store(byte: (needsChecksum ? 1 : 0) | (isDataValid ? 2 : 0), at: offset)
        packet.store(byte: segmentation.rawValue | (hasECN ? 0x80 : 0), at: offset &+ 1)
        packet.storeBytes(of: headerLength, toByteOffset: offset &+ 2, as: UInt16.self)
        packet.storeBytes(of: segmentSize, toByteOffset: offset &+ 4, as: UInt16.self)
        packet.storeBytes(of: checksumStart, toByteOffset: offset &+ 6, as: UInt16.self)
        packet.storeBytes(of: checksumOffset, toByteOffset: offset &+ 8, as: UInt16.self)
        return Self.length
    }
}
