/// The link layers that captures are read and written with, by their LINKTYPE numbers.
@frozen
public struct CaptureLinkType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var ethernet: Self { Self(rawValue: 1) }
    /// IPv4 or IPv6 without a link header; the first nibble tells which.
    @inlinable public static var rawIP: Self { Self(rawValue: 101) }
    /// Linux "cooked" capture, version 1.
    @inlinable public static var linuxCooked: Self { Self(rawValue: 113) }
    @inlinable public static var ipv4: Self { Self(rawValue: 228) }
    @inlinable public static var ipv6: Self { Self(rawValue: 229) }
    /// Linux "cooked" capture, version 2.
    @inlinable public static var linuxCooked2: Self { Self(rawValue: 276) }

    /// Where the IP packet begins in a captured frame; nil when the frame is too short, is of another protocol or has
    /// a link layer that is not known here. Up to two VLAN tags are stepped over.
    public func networkOffset(in frame: RawSpan) -> Int? {
        switch self {
        case .rawIP, .ipv4, .ipv6: return frame.byteCount > 0 ? 0 : nil
        case .ethernet: return Self.afterEtherType(in: frame, at: 12)
        case .linuxCooked: return Self.afterEtherType(in: frame, at: 14)
        case .linuxCooked2:
            guard frame.byteCount >= 20, Self.isIP(frame.word16(0)) else { return nil }
            return 20
        default: return nil
        }
    }

    private static func isIP(_ etherType: UInt16) -> Bool { etherType == 0x0800 || etherType == 0x86dd }

    private static func afterEtherType(in frame: RawSpan, at start: Int) -> Int? {
        var offset = start
        for _ in 0...2 {
            guard frame.byteCount >= offset &+ 2 else { return nil }
            let etherType = frame.word16(offset)
            if isIP(etherType) { return offset &+ 2 }
            // 802.1Q and 802.1ad tags.
            guard etherType == 0x8100 || etherType == 0x88a8 else { return nil }
            offset &+= 4
        }
        return nil
    }
}

/// Why a capture file cannot be read on.
public enum CaptureError: Error, Hashable, Sendable, BitwiseCopyable {
    /// Neither pcap nor pcapng.
    case unknownFormat
    /// A version of the format that is not understood.
    case unsupportedVersion
    /// The file ends within a header, block or record.
    case truncated
    /// A length that is impossible, or two that disagree.
    case badLength
    /// A packet names an interface that its section has not described.
    case unknownInterface
}

/// An interface that a capture names.
public struct CaptureInterface: Hashable, Sendable {
    /// Empty where the file gives none.
    public var name: String
    public var linkType: CaptureLinkType
    /// Most bytes that were kept of a frame; 0 means all of them.
    public var snapLength: Int

    public init(name: String, linkType: CaptureLinkType, snapLength: Int = 0) {
        self.name = name
        self.linkType = linkType
        self.snapLength = snapLength
    }
}

/// One frame of a capture, as a place in the file's bytes.
public struct CapturedFrame: Hashable, Sendable {
    /// An index into ``CaptureReader/interfaces``.
    public var interface: Int
    /// Nanoseconds since 1970; 0 where the file gives no time.
    public var time: Int64
    /// The captured bytes within ``CaptureReader/bytes``.
    public var range: Range<Int>
    /// Bytes that the frame had on the link, at least as many as were captured.
    public var originalLength: Int
}
