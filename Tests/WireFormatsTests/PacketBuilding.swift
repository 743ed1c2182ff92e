import TransportValues

import WireFormats

/// A whole packet around these option bytes and payload, checksums done.
func packet(
    optionBytes: [UInt8], flags: TCPFlags = .ack, payload: [UInt8] = [], isIPv6: Bool = false
) -> [UInt8] {
    let source = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(10, 0, 0, 1)
    let destination = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 2) : IPAddress(10, 0, 0, 2)
    precondition(optionBytes.count <= 40)
    let padded = optionBytes + [UInt8](repeating: 0, count: -optionBytes.count & 3)
    let length = 20 + padded.count + payload.count
    var bytes = [UInt8](repeating: 0, count: (isIPv6 ? 40 : 20) + length)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    let offset = IPHeader.emit(
        source: source, destination: destination, protocolNumber: IPHeader.tcp, payloadLength: length,
        identification: 7, into: &raw, at: 0)
    let fields = TCPHeaderFields(
        sourcePort: 1000, destinationPort: 2000, sequence: SequenceNumber(1), acknowledgment: SequenceNumber(2),
        flags: flags, window: 500)
    _ = emitTCPHeader(fields, options: OptionBlock(), into: &raw, at: offset)
    raw.store(byte: UInt8((20 + padded.count) / 4) << 4, at: offset + 12)
    for (index, byte) in (padded + payload).enumerated() { raw.store(byte: byte, at: offset + 20 + index) }
    finishTCPChecksum(
        packet: &raw, at: offset, length: length, source: source, destination: destination, partial: false)
    return bytes
}

/// A buffer that `body` writes into.
func filled(_ count: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    body(&raw)
    return bytes
}

/// The segment in these bytes, its checksum verified.
func segment(_ bytes: [UInt8]) throws -> TCPSegment {
    let span = unsafe bytes.span.bytes
    return try TCPSegment(span, ip: try IPHeader(span), checksum: .unverified)
}

func options(_ optionBytes: [UInt8], flags: TCPFlags = .ack) throws -> TCPOptions {
    try segment(packet(optionBytes: optionBytes, flags: flags)).options
}

extension OptionBlock {
    var bytes: [UInt8] { (0..<count).map { self[$0] } }
}

extension RandomSource {
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value {
        Value(truncatingIfNeeded: next())
    }

    mutating func maybe<Value>(_ value: (inout RandomSource) -> Value) -> Value? {
        chance(0.5) ? value(&self) : nil
    }

    mutating func address(isIPv6: Bool) -> IPAddress {
        isIPv6 ? IPAddress(high: next(), low: next()) : IPAddress(ipv4: nextWord())
    }
}
