/// What is known of a packet's TCP or UDP checksum when it is received.
@frozen
public enum ChecksumState: UInt8, Sendable, BitwiseCopyable {
    /// To be verified over the bytes.
    case unverified
    /// The device or the sending kernel vouches for it; the field may hold only the pseudo-header's sum
    /// (virtio-net's `VIRTIO_NET_HDR_F_NEEDS_CSUM` or `F_DATA_VALID`).
    case trusted
}

/// What a backend knows of a received packet beside its bytes.
@frozen
public struct ReceivedPacketMetadata: Sendable, BitwiseCopyable {
    public var checksum: ChecksumState
    /// Payload bytes of each segment that the device merged into this packet; 0 for an ordinary packet.
    public var segmentSize: Int

    @inlinable
    public init(checksum: ChecksumState = .unverified, segmentSize: Int = 0) {
        self.checksum = checksum
        self.segmentSize = segmentSize
    }
}

/// What the stack says of a packet that it has written for sending.
@frozen
public struct TransmitMetadata: Sendable, BitwiseCopyable {
    public var interface: InterfaceID
    /// Bytes of the IP packet.
    public var length: Int
    /// Bytes of IP and TCP header together; the payload follows.
    public var headerLength: Int
    /// Bytes of the IP header; the TCP header follows.
    public var networkHeaderLength: Int
    /// Payload bytes a segment when the device is to segment the packet; 0 when it goes out as it is.
    public var segmentSize: Int
    /// Whether the checksum field holds only the pseudo-header's sum and the device is to finish it.
    public var checksumPartial: Bool
    public var isIPv6: Bool
    /// Payload that still stands in its sender's ring, so that a device which gathers takes it from there.
    public var lent = LentPayload.none

    @inlinable
    public init(
        interface: InterfaceID, length: Int, headerLength: Int, networkHeaderLength: Int, segmentSize: Int = 0,
        checksumPartial: Bool = false, isIPv6: Bool = false
    ) {
        self.interface = interface
        self.length = length
        self.headerLength = headerLength
        self.networkHeaderLength = networkHeaderLength
        self.segmentSize = segmentSize
        self.checksumPartial = checksumPartial
        self.isIPv6 = isIPv6
    }
}

/// Where a packet's payload is when it was not copied behind its headers.
@frozen
public struct LentPayload: Sendable, BitwiseCopyable {
    /// Whose ring it is: the host's number of the connection.
    public var owner: Int32
    /// Bytes; 0 when the packet is complete.
    public var length: Int32
    /// The first byte's place in the ring.
    public var offset: Int64

    @inlinable public static var none: LentPayload { LentPayload(owner: -1, length: 0, offset: 0) }

    @inlinable
    public init(owner: Int32, length: Int32, offset: Int64) {
        self.owner = owner
        self.length = length
        self.offset = offset
    }
}
