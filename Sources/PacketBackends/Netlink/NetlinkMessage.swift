import CLinux

/// Walks netlink messages and their attributes (netlink(7), rtnetlink(7)) with every length checked: a length that does
/// not fit ends the walk.
enum Netlink {
    static let headerLength = 16
    static let attributeHeaderLength = 4

    /// Netlink aligns messages and attributes to 4 bytes.
    static func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

    struct Header {
        var type: UInt16
        var flags: UInt16
        var sequence: UInt32
    }

    /// Calls `body` with each message's header and the bytes after it.
    /// - Returns: false when the bytes ended in something that is no message.
    static func forEachMessage<Failure>(
        in bytes: RawSpan, _ body: (Header, RawSpan) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        var offset = 0
        while offset < bytes.byteCount {
            guard let length = bytes.native(UInt32.self, at: offset),
                let type = bytes.native(UInt16.self, at: offset + 4),
                let flags = bytes.native(UInt16.self, at: offset + 6),
                let sequence = bytes.native(UInt32.self, at: offset + 8), Int(length) >= headerLength,
                Int(length) <= bytes.byteCount - offset
            else { return false }
            let end = offset + Int(length)
            try body(
                Header(type: type, flags: flags, sequence: sequence), bytes.extracting(offset + headerLength..<end))
            offset = min(aligned(end), bytes.byteCount)
        }
        return true
    }

    /// Calls `body` with each attribute's type (without its flag bits) and payload, from `start` on.
    /// - Returns: false when the bytes ended in something that is no attribute.
    @discardableResult
    static func forEachAttribute(in bytes: RawSpan, from start: Int, _ body: (Int, RawSpan) -> Void) -> Bool {
        var offset = start
        while offset < bytes.byteCount {
            guard let length = bytes.native(UInt16.self, at: offset),
                let type = bytes.native(UInt16.self, at: offset + 2), Int(length) >= attributeHeaderLength,
                Int(length) <= bytes.byteCount - offset
            else { return false }
            body(
                Int(type & 0x3fff), bytes.extracting(offset + attributeHeaderLength..<offset + Int(length)))
            offset = min(aligned(offset + Int(length)), bytes.byteCount)
        }
        return start <= bytes.byteCount
    }
}

/// A request to the kernel, built front to back.
struct NetlinkRequest {
    private(set) var bytes: [UInt8]

    /// - Parameters:
    ///   - type: RTM_*.
    ///   - flags: NLM_F_*; NLM_F_REQUEST is added.
    init(_ type: Int, flags: Int32) {
        bytes = []
        bytes.reserveCapacity(128)
        bytes.append(native: UInt32(0))
        bytes.append(native: UInt16(type))
        bytes.append(native: UInt16(flags | NLM_F_REQUEST))
        bytes.append(native: UInt32(0))
        bytes.append(native: UInt32(0))
    }

    mutating func append<Value: FixedWidthInteger>(_ value: Value) { bytes.append(native: value) }

    mutating func attribute(_ type: Int, _ payload: [UInt8]) {
        bytes.append(native: UInt16(Netlink.attributeHeaderLength + payload.count))
        bytes.append(native: UInt16(type))
        bytes += payload
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    mutating func attribute(_ type: Int, _ value: UInt32) {
        var payload: [UInt8] = []
        payload.append(native: value)
        attribute(type, payload)
    }

    /// Appends an attribute that holds attributes.
    mutating func nested(_ type: Int, _ body: (inout NetlinkRequest) -> Void) {
        let start = bytes.count
        bytes.append(native: UInt16(0))
        bytes.append(native: UInt16(type))
        body(&self)
        patch(UInt16(bytes.count - start), at: start)
    }

    /// The finished message.
    func sealed(sequence: UInt32) -> [UInt8] {
        var copy = self
        copy.patch(UInt32(bytes.count), at: 0)
        copy.patch(sequence, at: 8)
        return copy.bytes
    }

    private mutating func patch<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        var field: [UInt8] = []
        field.append(native: value)
        bytes.replaceSubrange(offset..<offset + field.count, with: field)
    }
}
