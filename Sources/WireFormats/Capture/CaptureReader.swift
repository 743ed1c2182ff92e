/// Reads the frames of a pcap or pcapng file one after another, in either byte order.
///
/// pcap: draft-ietf-opsawg-pcap, with micro- or nanoseconds. pcapng: draft-ietf-opsawg-pcapng, with any number of
/// sections; blocks that carry no packet, and packet blocks of the obsolete kind, are passed over. Hostile bytes throw;
/// nothing traps.
public struct CaptureReader: Sendable {
    /// The whole file.
    public let bytes: [UInt8]
    /// All interfaces described so far: a pcap file has one, and in pcapng those of later sections are added as they
    /// come.
    public private(set) var interfaces: [CaptureInterface] = []

    /// Where the next block or record begins.
    private var position = 0
    private var format: Format
    private var isBigEndian: Bool
    /// How an interface's times count, in parallel to ``interfaces``.
    private var clocks: [CaptureClock] = []
    /// The index in ``interfaces`` of the current section's first.
    private var sectionStart = 0

    private enum Format: Sendable { case pcap, pcapng }

    /// Block types of pcapng.
    enum BlockType {
        static var section: UInt32 { 0x0a0d_0d0a }
        static var interface: UInt32 { 1 }
        static var simplePacket: UInt32 { 3 }
        static var enhancedPacket: UInt32 { 6 }
    }

    /// - Parameter bytes: the whole file.
    public init(_ bytes: [UInt8]) throws(CaptureError) {
        self.bytes = bytes
        guard bytes.count >= 4 else { throw .truncated }
        isBigEndian = true
        format = .pcap
        let magic = word32(0)
        switch magic {
        case BlockType.section: format = .pcapng
        case 0xa1b2_c3d4, 0xa1b2_3c4d: try readPcapHeader(nanoseconds: magic == 0xa1b2_3c4d)
        case 0xd4c3_b2a1, 0x4d3c_b2a1:
            isBigEndian = false
            try readPcapHeader(nanoseconds: magic == 0x4d3c_b2a1)
        default: throw .unknownFormat
        }
    }

    /// The next frame, or nil at the end of the file.
    public mutating func next() throws(CaptureError) -> CapturedFrame? {
        switch format {
        case .pcap: return try nextRecord()
        case .pcapng:
            while position < bytes.count {
                if let frame = try nextBlock() { return frame }
            }
            return nil
        }
    }

    /// The IP packet within a frame, as a place in ``bytes``; nil when the frame holds none.
    public func networkPacket(of frame: CapturedFrame) -> Range<Int>? {
        let span = unsafe bytes.span.bytes.extracting(frame.range)
        guard let offset = interfaces[frame.interface].linkType.networkOffset(in: span) else { return nil }
        return frame.range.lowerBound + offset..<frame.range.upperBound
    }

    // MARK: pcap

    private mutating func readPcapHeader(nanoseconds: Bool) throws(CaptureError) {
        guard bytes.count >= 24 else { throw .truncated }
        guard word16(4) == 2 else { throw .unsupportedVersion }
        // The high bits of the link type tell of a frame check sequence.
        let linkType = CaptureLinkType(rawValue: UInt16(truncatingIfNeeded: word32(20)))
        interfaces = [CaptureInterface(name: "", linkType: linkType, snapLength: Int(word32(16)))]
        clocks = [nanoseconds ? .nanoseconds : .microseconds]
        position = 24
    }

    private mutating func nextRecord() throws(CaptureError) -> CapturedFrame? {
        if position == bytes.count { return nil }
        guard bytes.count - position >= 16 else { throw .truncated }
        let length = Int(word32(position + 8))
        guard length <= bytes.count - position - 16 else { throw .truncated }
        let seconds = Int64(word32(position))
        let fraction = clocks[0].nanoseconds(UInt64(word32(position + 4)))
        let frame = CapturedFrame(
            interface: 0, time: seconds * 1_000_000_000 + fraction,
            range: position + 16..<position + 16 + length, originalLength: max(length, Int(word32(position + 12))))
        position += 16 + length
        return frame
    }

    // MARK: pcapng

    private mutating func nextBlock() throws(CaptureError) -> CapturedFrame? {
        guard bytes.count - position >= 12 else { throw .truncated }
        // The section block's type is a palindrome, so that it is read before its byte order is known.
        let isSection = word32(position) == BlockType.section
        if isSection {
            isBigEndian = true
            switch word32(position + 8) {
            case 0x1a2b_3c4d: break
            case 0x4d3c_2b1a: isBigEndian = false
            default: throw .unknownFormat
            }
        }
        let type = word32(position)
        let length = Int(word32(position + 4))
        guard length >= 12, length % 4 == 0 else { throw .badLength }
        guard length <= bytes.count - position else { throw .truncated }
        guard Int(word32(position + length - 4)) == length else { throw .badLength }
        let body = position + 8..<position + length - 4
        position += length
        switch type {
        case BlockType.section: try readSection(body)
        case BlockType.interface: try readInterface(body)
        case BlockType.enhancedPacket: return try readEnhancedPacket(body)
        case BlockType.simplePacket: return try readSimplePacket(body)
        default: break
        }
        return nil
    }

    private mutating func readSection(_ body: Range<Int>) throws(CaptureError) {
        guard body.count >= 16 else { throw .badLength }
        guard word16(body.lowerBound + 4) == 1 else { throw .unsupportedVersion }
        sectionStart = interfaces.count
    }

    private mutating func readInterface(_ body: Range<Int>) throws(CaptureError) {
        guard body.count >= 8 else { throw .badLength }
        var interface = CaptureInterface(
            name: "", linkType: CaptureLinkType(rawValue: word16(body.lowerBound)),
            snapLength: Int(word32(body.lowerBound + 4)))
        var clock = CaptureClock.microseconds
        var offset = body.lowerBound + 8
        // Options: code, length, value padded to 4 bytes; code 0 ends them.
        while body.upperBound - offset >= 4 {
            let code = word16(offset)
            let length = Int(word16(offset + 2))
            if code == 0 { break }
            guard length <= body.upperBound - offset - 4 else { throw .badLength }
            let value = offset + 4..<offset + 4 + length
            switch code {
            case 2: interface.name = String(decoding: bytes[value], as: UTF8.self)
            case 9 where length == 1: clock.resolution = bytes[value.lowerBound]
            case 14 where length == 8: clock.offsetSeconds = Int64(bitPattern: word64(value.lowerBound))
            default: break
            }
            offset = value.upperBound + (-length & 3)
        }
        interfaces.append(interface)
        clocks.append(clock)
    }

    private func readEnhancedPacket(_ body: Range<Int>) throws(CaptureError) -> CapturedFrame {
        guard body.count >= 20 else { throw .badLength }
        let start = body.lowerBound
        let interface = Int(word32(start)) + sectionStart
        guard interface < interfaces.count else { throw .unknownInterface }
        let length = Int(word32(start + 12))
        guard length <= body.count - 20 else { throw .badLength }
        let ticks = UInt64(word32(start + 4)) << 32 | UInt64(word32(start + 8))
        return CapturedFrame(
            interface: interface, time: clocks[interface].time(ticks), range: start + 20..<start + 20 + length,
            originalLength: max(length, Int(word32(start + 16))))
    }

    private func readSimplePacket(_ body: Range<Int>) throws(CaptureError) -> CapturedFrame {
        guard body.count >= 4 else { throw .badLength }
        guard sectionStart < interfaces.count else { throw .unknownInterface }
        let original = Int(word32(body.lowerBound))
        let limit = interfaces[sectionStart].snapLength
        let length = limit > 0 ? min(original, limit) : original
        guard length <= body.count - 4 else { throw .badLength }
        return CapturedFrame(
            interface: sectionStart, time: 0, range: body.lowerBound + 4..<body.lowerBound + 4 + length,
            originalLength: original)
    }

    // MARK: numbers

    private func word16(_ offset: Int) -> UInt16 {
        let value = unsafe bytes.span.bytes.word16(offset)
        return isBigEndian ? value : value.byteSwapped
    }

    private func word32(_ offset: Int) -> UInt32 {
        let value = unsafe bytes.span.bytes.word32(offset)
        return isBigEndian ? value : value.byteSwapped
    }

    private func word64(_ offset: Int) -> UInt64 {
        let value = unsafe bytes.span.bytes.word64(offset)
        return isBigEndian ? value : value.byteSwapped
    }
}

/// How the ticks of an interface become nanoseconds since 1970.
struct CaptureClock: Sendable {
    /// if_tsresol: the negative power of ten, or of two when the high bit is set, that a tick is of a second.
    var resolution: UInt8
    /// if_tsoffset.
    var offsetSeconds: Int64 = 0

    static var microseconds: Self { Self(resolution: 6) }
    static var nanoseconds: Self { Self(resolution: 9) }

    /// Ticks of less than a second, or few enough of them, as nanoseconds; saturating.
    func nanoseconds(_ ticks: UInt64) -> Int64 {
        let perSecond = ticksPerSecond
        guard perSecond > 0 else { return 0 }
        let (seconds, rest) = ticks.quotientAndRemainder(dividingBy: perSecond)
        // rest < perSecond, so the quotient of the double-width division is below 10^9.
        let fraction = perSecond.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(fraction)
        return overflow || carry ? .max : Int64(clamping: sum)
    }

    func time(_ ticks: UInt64) -> Int64 {
        let (offset, overflow) = offsetSeconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = nanoseconds(ticks).addingReportingOverflow(offset)
        return overflow || carry ? (offsetSeconds < 0 ? .min : .max) : sum
    }

    /// 0 for a resolution finer than 64 bits count.
    private var ticksPerSecond: UInt64 {
        let exponent = Int(resolution & 0x7f)
        if resolution & 0x80 != 0 { return exponent < 64 ? 1 << UInt64(exponent) : 0 }
        guard exponent <= 19 else { return 0 }
        return (0..<exponent).reduce(1 as UInt64) { power, _ in power * 10 }
    }
}
