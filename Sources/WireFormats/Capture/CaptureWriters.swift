/// Writes classic pcap with nanoseconds, big-endian: a header, then one record a frame. It does no I/O: every function
/// appends to the caller's bytes.
public enum PcapWriter {
    /// Appends the file's header.
    public static func header(_ linkType: CaptureLinkType, snapLength: Int = 262_144, into file: inout [UInt8]) {
        file.append(word32: 0xa1b2_3c4d)
        file.append(word16: 2)
        file.append(word16: 4)
        file.append(word64: 0)
        file.append(word32: UInt32(clamping: snapLength))
        file.append(word32: UInt32(linkType.rawValue))
    }

    /// Appends a frame.
    /// - Parameters:
    ///   - time: nanoseconds since 1970; what pcap's 32 bits of seconds cannot say becomes the nearest that they can.
    ///   - originalLength: the frame's length on the link when `frame` is cut short.
    public static func record(_ frame: RawSpan, time: Int64, originalLength: Int? = nil, into file: inout [UInt8]) {
        let positive = max(0, time)
        file.append(word32: UInt32(clamping: positive / 1_000_000_000))
        file.append(word32: UInt32(positive % 1_000_000_000))
        file.append(word32: UInt32(clamping: frame.byteCount))
        file.append(word32: UInt32(clamping: max(originalLength ?? 0, frame.byteCount)))
        file.append(frame)
    }
}

/// Writes pcapng with one section, nanosecond times and named interfaces, big-endian. It does no I/O: every function
/// appends to the caller's bytes.
public struct PcapngWriter: Sendable {
    /// Interfaces described so far.
    public private(set) var interfaceCount = 0

    /// Whether a frame was sent or received, as the packet block's flags say it.
    public enum Direction: UInt32, Sendable {
        case unknown = 0
        case inbound = 1
        case outbound = 2
    }

    /// Appends the section header block.
    /// - Parameter application: names the writer, as text of at most 65,535 bytes of UTF-8.
    public init(application: String = "swift-mptcp", into file: inout [UInt8]) {
        Self.block(0x0a0d_0d0a, into: &file) { file in
            file.append(word32: 0x1a2b_3c4d)
            file.append(word16: 1)
            file.append(word16: 0)
            file.append(word64: .max)
            Self.option(4, Array(application.utf8.prefix(0xffff)), into: &file)
            file.append(word32: 0)
        }
    }

    /// Appends an interface description; returns the number that frames name it by.
    public mutating func addInterface(
        name: String, linkType: CaptureLinkType, snapLength: Int = 0, into file: inout [UInt8]
    ) -> Int {
        Self.block(1, into: &file) { file in
            file.append(word16: linkType.rawValue)
            file.append(word16: 0)
            file.append(word32: UInt32(clamping: snapLength))
            Self.option(2, Array(name.utf8.prefix(0xffff)), into: &file)
            Self.option(9, [9], into: &file)
            file.append(word32: 0)
        }
        interfaceCount += 1
        return interfaceCount - 1
    }

    /// Appends an enhanced packet block.
    /// - Parameters:
    ///   - time: nanoseconds since 1970, not negative.
    ///   - originalLength: the frame's length on the link when `frame` is cut short.
    /// - Precondition: `interface` was returned by ``addInterface(name:linkType:snapLength:into:)``.
    public func packet(
        _ frame: RawSpan, interface: Int, time: Int64, direction: Direction = .unknown, originalLength: Int? = nil,
        into file: inout [UInt8]
    ) {
        precondition(interface >= 0 && interface < interfaceCount)
        let start = Self.begin(6, into: &file)
        file.append(word32: UInt32(interface))
        file.append(word64: UInt64(max(0, time)))
        file.append(word32: UInt32(clamping: frame.byteCount))
        file.append(word32: UInt32(clamping: max(originalLength ?? 0, frame.byteCount)))
        file.append(frame)
        file.pad(from: start)
        if direction != .unknown {
            file.append(word16: 2)
            file.append(word16: 4)
            file.append(word32: direction.rawValue)
            file.append(word32: 0)
        }
        Self.end(start, into: &file)
    }

    private static func block(_ type: UInt32, into file: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
        let start = begin(type, into: &file)
        body(&file)
        end(start, into: &file)
    }

    private static func begin(_ type: UInt32, into file: inout [UInt8]) -> Int {
        let start = file.count
        file.append(word32: type)
        file.append(word32: 0)
        return start
    }

    /// Sets the block's length, which is what was written, at both of its ends.
    private static func end(_ start: Int, into file: inout [UInt8]) {
        let length = UInt32(file.count - start + 4)
        file.append(word32: length)
        for index in 0..<4 { file[start + 4 + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index)) }
    }

    private static func option(_ code: UInt16, _ value: [UInt8], into file: inout [UInt8]) {
        let start = file.count
        file.append(word16: code)
        file.append(word16: UInt16(value.count))
        file += value
        file.pad(from: start)
    }
}

extension [UInt8] {
    fileprivate mutating func append(word16 value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    fileprivate mutating func append(word32 value: UInt32) {
        append(word16: UInt16(truncatingIfNeeded: value >> 16))
        append(word16: UInt16(truncatingIfNeeded: value))
    }

    fileprivate mutating func append(word64 value: UInt64) {
        append(word32: UInt32(truncatingIfNeeded: value >> 32))
        append(word32: UInt32(truncatingIfNeeded: value))
    }

    fileprivate mutating func append(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }

    /// Zeros up to the next multiple of 4 bytes from `start`.
    fileprivate mutating func pad(from start: Int) {
        while (count - start) % 4 != 0 { append(0) }
    }
}
