import HostStack
import TransportValues
import WireFormats

/// One IPv4 TCP segment as bytes.
func rawSegment(
    _ flags: TCPFlags, from: Endpoint, to: Endpoint, sequence: UInt32, acknowledgment: UInt32 = 0,
    window: UInt16 = 65_535, options: OptionBlock = OptionBlock(), payload: [UInt8] = []
) -> [UInt8] {
    var packet = [UInt8](repeating: 0, count: 80 + payload.count)
    var span = packet.mutableSpan
    var raw = unsafe span.mutableBytes
    let fields = TCPHeaderFields(
        sourcePort: from.port, destinationPort: to.port, sequence: SequenceNumber(sequence),
        acknowledgment: SequenceNumber(acknowledgment), flags: flags, window: window)
    let header = emitTCPHeader(fields, options: options, into: &raw, at: 20)
    for (index, byte) in payload.enumerated() {
        raw.storeBytes(of: byte, toByteOffset: 20 + header + index, as: UInt8.self)
    }
    let length = header + payload.count
    finishTCPChecksum(
        packet: &raw, at: 20, length: length, source: from.address, destination: to.address, partial: false)
    _ = IPHeader.emit(
        source: from.address, destination: to.address, protocolNumber: IPHeader.tcp, payloadLength: length,
        identification: 0, trafficClass: 0, hopLimit: 64, into: &raw, at: 0)
    return Array(packet[..<(20 + length)])
}

extension PairedHosts {
    /// SYNs from addresses that nobody has, straight into the server.
    func flood(_ count: Int, from first: UInt32 = 0x0b00_0000, port: UInt16 = 80) {
        for number in 0..<count {
            let bytes = rawSegment(
                .syn, from: Endpoint(IPAddress(ipv4: first &+ UInt32(number)), 1000),
                to: Endpoint(IPAddress(10, 0, 1, 2), port), sequence: UInt32(number))
            server.receive(bytes.rawBytes, on: InterfaceID(0), now: now)
        }
    }
}

/// The packet with one more option behind the others; as it is where 40 bytes are not enough.
func appendingOption(_ packet: [UInt8], _ option: [UInt8]) -> [UInt8] {
    let start = Int(packet[0] & 15) * 4
    let header = Int(packet[start + 12] >> 4) * 4
    let padded = option + [UInt8](repeating: 1, count: (4 - option.count % 4) % 4)
    guard !option.isEmpty, header + padded.count <= 60 else { return packet }
    var result = packet
    result.insert(contentsOf: padded, at: start + header)
    result[start + 12] = UInt8((header + padded.count) / 4) << 4 | packet[start + 12] & 15
    let total = result.count
    result[2] = UInt8(total >> 8)
    result[3] = UInt8(truncatingIfNeeded: total)
    result[10] = 0
    result[11] = 0
    var sum: UInt32 = 0
    for index in stride(from: 0, to: start, by: 2) { sum += UInt32(result[index]) << 8 | UInt32(result[index + 1]) }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    result[10] = UInt8(truncatingIfNeeded: ~sum >> 8)
    result[11] = UInt8(truncatingIfNeeded: ~sum)
    return RawEdit.changingPayload(result) { _ in }
}
