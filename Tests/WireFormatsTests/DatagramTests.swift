import Testing
import TransportValues

import WireFormats

@Suite struct DatagramTests {
    @Test(arguments: [false, true])
    func udpRoundTrip(_ isIPv6: Bool) throws {
        var random = RandomSource(seed: 8)
        let source = random.address(isIPv6: isIPv6)
        let destination = random.address(isIPv6: isIPv6)
        for count in [0, 1, 100, 1399] {
            let payload = random.bytes(count)
            let headerLength = isIPv6 ? 40 : 20
            var bytes = filled(headerLength + 8 + count) { raw in
                for (index, byte) in payload.enumerated() { raw.store(byte: byte, at: headerLength + 8 + index) }
                _ = IPHeader.emit(
                    source: source, destination: destination, protocolNumber: IPHeader.udp, payloadLength: 8 + count,
                    into: &raw, at: 0)
                let length = UDPHeader.emit(
                    sourcePort: 53, destinationPort: 5353, payloadLength: count, source: source,
                    destination: destination, into: &raw, at: headerLength)
                #expect(length == 8)
            }
            let ip = try bytes.lend { try IPHeader($0) }
            let udp = try bytes.lend { try UDPHeader($0, ip: ip, checksum: .unverified) }
            #expect(udp.sourcePort == 53 && udp.destinationPort == 5353)
            #expect(udp.payloadOffset == headerLength + 8 && udp.payloadLength == count)
            bytes[headerLength] ^= 1
            #expect(throws: WireError.badChecksum) {
                try bytes.lend { try UDPHeader($0, ip: ip, checksum: .unverified) }
            }
            // No checksum at all: allowed in IPv4 only (RFC 8200 §8.1).
            bytes[headerLength + 6] = 0
            bytes[headerLength + 7] = 0
            let bare = try? bytes.lend { try UDPHeader($0, ip: ip, checksum: .unverified) }
            #expect((bare != nil) == !isIPv6)
        }
    }

    @Test func virtioHeaderRoundTrip() throws {
        let packet = TransmitMetadata(
            interface: InterfaceID(0), length: 60_000, headerLength: 72, networkHeaderLength: 40, segmentSize: 1428,
            checksumPartial: true, isIPv6: true)
        let header = VirtioNetHeader(packet)
        let bytes = filled(12) { raw in #expect(header.emit(into: &raw, at: 2) == 10) }
        // Little-endian machines only, as all that this is built for are.
        #expect(bytes == [0, 0, 1, 4, 72, 0, 0x94, 5, 40, 0, 16, 0])
        let read = try Array(bytes[2...]).lend { try VirtioNetHeader($0) }
        #expect(read == header)
        #expect(read.received.checksum == .trusted && read.received.segmentSize == 1428)
        let plain = try [UInt8](repeating: 0, count: 10).lend { try VirtioNetHeader($0) }
        #expect(plain.received.checksum == .unverified && plain.received.segmentSize == 0)
        #expect(throws: WireError.truncated) { try [UInt8](repeating: 0, count: 9).lend { try VirtioNetHeader($0) } }
        #expect(throws: WireError.unsupported) { try [0, 2, 0, 0, 0, 0, 0, 0, 0, 0].lend { try VirtioNetHeader($0) } }
        let ecn = try [2, 0x81, 0, 0, 0, 0, 0, 0, 0, 0].lend { try VirtioNetHeader($0) }
        #expect(ecn.hasECN && ecn.segmentation == .tcp4 && ecn.isDataValid)
    }
}
