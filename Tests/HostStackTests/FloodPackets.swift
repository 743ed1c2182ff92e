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
