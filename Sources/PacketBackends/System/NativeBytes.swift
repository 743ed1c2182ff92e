import TransportValues

/// Bounds-checked reads of the kernel's structures: host byte order, no alignment assumed.
extension RawSpan {
    /// The value at `offset`, or nil when it does not lie wholly inside.
    func native<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value? {
        guard offset >= 0, offset <= byteCount - MemoryLayout<Value>.size else { return nil }
        return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: type)
    }

    /// The value at `offset` in network byte order, or nil when it does not lie wholly inside.
    func network<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value? {
        native(type, at: offset).map { Value(bigEndian: $0) }
    }

    /// The IPv4 (4 bytes) or IPv6 (16 bytes) address that fills the span; nil for any other length.
    var address: IPAddress? {
        switch byteCount {
        case 4: network(UInt32.self, at: 0).map { IPAddress(ipv4: $0) }
        case 16:
            if let high = network(UInt64.self, at: 0), let low = network(UInt64.self, at: 8) {
                IPAddress(high: high, low: low)
            } else {
                nil
            }
        default: nil
        }
    }

    /// The text before the first zero byte.
    var text: String {
        var bytes: [UInt8] = []
        for index in 0..<byteCount {
            guard let byte = native(UInt8.self, at: index), byte != 0 else { break }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Appends an integer in host byte order.
    mutating func append<Value: FixedWidthInteger>(native value: Value) {
        var rest = Value(littleEndian: value)
        for _ in 0..<MemoryLayout<Value>.size {
            append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }
}

extension IPAddress {
    /// 4 or 16 bytes in network order.
    var networkBytes: [UInt8] {
        if !isIPv6 { return (0..<4).map { UInt8(truncatingIfNeeded: ipv4 >> UInt32(24 - 8 * $0)) } }
        return (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 % 8))) }
    }
}
