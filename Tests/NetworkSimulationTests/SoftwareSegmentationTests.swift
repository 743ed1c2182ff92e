import Testing
import TransportValues
import WireFormats

/// One TCP packet with timestamps and `payload` bytes; the checksum as the metadata says.
private func superPacket(ipv6: Bool, payload: Int, flags: TCPFlags, partial: Bool) -> (bytes: [UInt8], header: Int) {
    let source = ipv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(10, 0, 1, 1)
    let destination = ipv6 ? IPAddress(high: 0xfd00 << 48, low: 2) : IPAddress(10, 0, 1, 2)
    var bytes = [UInt8](repeating: 0, count: 60 + 60 + payload)
    var span = bytes.mutableSpan
    var packet = unsafe span.mutableBytes
    var options = OptionBlock()
    _ = options.append(TCPTimestamps(value: 7, echo: 9))
    let fields = TCPHeaderFields(
        sourcePort: 1000, destinationPort: 2000, sequence: SequenceNumber(0xffff_ff00),
        acknowledgment: SequenceNumber(5), flags: flags, window: 512)
    let network = ipv6 ? 40 : 20
    let tcp = emitTCPHeader(fields, options: options, into: &packet, at: network)
    _ = IPHeader.emit(
        source: source, destination: destination, protocolNumber: IPHeader.tcp, payloadLength: tcp + payload,
        identification: 0xffff, trafficClass: 2, into: &packet, at: 0)
    for index in 0..<payload {
        packet.storeBytes(of: UInt8(truncatingIfNeeded: index * 7), toByteOffset: network + tcp + index, as: UInt8.self)
    }
    finishTCPChecksum(
        packet: &packet, at: network, length: tcp + payload, source: source, destination: destination, partial: partial)
    return (Array(bytes.prefix(network + tcp + payload)), network + tcp)
}

@Suite struct SoftwareSegmentationTests {
    private func segment(
        _ packet: [UInt8], header: Int, network: Int, size: Int, partial: Bool
    ) throws -> [(ip: IPHeader, tcp: TCPSegment, bytes: [UInt8])] {
        let metadata = TransmitMetadata(
            interface: InterfaceID(0), length: packet.count, headerLength: header, networkHeaderLength: network,
            segmentSize: size, checksumPartial: partial, isIPv6: network == 40)
        var scratch = [UInt8](repeating: 0xee, count: 65_535)
        var span = scratch.mutableSpan
        var buffer = unsafe span.mutableBytes
        var pieces: [[UInt8]] = []
        let count = try unsafe SoftwareSegmentation.forEachPacket(
            of: packet.span.bytes, metadata: metadata, scratch: &buffer
        ) { piece in
            pieces.append((0..<piece.byteCount).map { unsafe piece.unsafeLoad(fromByteOffset: $0, as: UInt8.self) })
        }
        #expect(count == pieces.count)
        return try pieces.map { piece in
            let ip = try unsafe IPHeader(piece.span.bytes)
            // The parser verifies the checksum.
            return (ip, try unsafe TCPSegment(piece.span.bytes, ip: ip, checksum: .unverified), piece)
        }
    }

    @Test(arguments: [false, true], [1, 999, 1000, 1001, 4321, 60_000])
    func piecesAreWhatOneSegmentMeant(ipv6: Bool, payload: Int) throws {
        let flags: TCPFlags = [.ack, .psh, .fin, .cwr]
        let (packet, header) = superPacket(ipv6: ipv6, payload: payload, flags: flags, partial: true)
        let pieces = try segment(packet, header: header, network: ipv6 ? 40 : 20, size: 1000, partial: true)
        #expect(pieces.count == (payload + 999) / 1000)
        var sequence: UInt32 = 0xffff_ff00
        var joined: [UInt8] = []
        for (index, piece) in pieces.enumerated() {
            #expect(piece.tcp.sequence.rawValue == sequence)
            #expect(piece.tcp.flags.contains(.ack))
            #expect(piece.tcp.flags.contains(.cwr) == (index == 0))
            #expect(piece.tcp.flags.contains(.fin) == (index == pieces.count - 1))
            #expect(piece.tcp.flags.contains(.psh) == (index == pieces.count - 1))
            #expect(piece.tcp.options.timestamps?.value == 7)
            #expect(piece.ip.trafficClass == 2)
            #expect(piece.tcp.payloadOffset + piece.tcp.payloadLength == piece.bytes.count)
            if !ipv6 { #expect(UInt16(piece.bytes[4]) << 8 | UInt16(piece.bytes[5]) == 0xffff &+ UInt16(index)) }
            joined += piece.bytes[piece.tcp.payloadOffset...]
            sequence &+= UInt32(piece.tcp.payloadLength)
        }
        #expect(joined == Array(packet[header...]))
    }

    @Test(arguments: [false, true])
    func anUnfinishedChecksumIsFinished(ipv6: Bool) throws {
        let (packet, header) = superPacket(ipv6: ipv6, payload: 0, flags: .ack, partial: true)
        let pieces = try segment(packet, header: header, network: ipv6 ? 40 : 20, size: 0, partial: true)
        #expect(pieces.count == 1)
        #expect(pieces[0].tcp.payloadLength == 0)
    }

    @Test func aFinishedPacketPassesUnchanged() throws {
        let (packet, header) = superPacket(ipv6: false, payload: 3000, flags: [.ack, .fin], partial: false)
        let pieces = try segment(packet, header: header, network: 20, size: 0, partial: false)
        #expect(pieces.map(\.bytes) == [packet])
    }

    @Test func metadataThatDisagreesIsRefused() {
        let (packet, header) = superPacket(ipv6: false, payload: 3000, flags: .ack, partial: true)
        #expect(throws: WireError.badLength) {
            try segment(packet, header: header + 4, network: 20, size: 1000, partial: true)
        }
        #expect(throws: WireError.badLength) {
            try segment(packet, header: header, network: 24, size: 1000, partial: true)
        }
        #expect(throws: WireError.truncated) {
            try segment(Array(packet.prefix(30)), header: header, network: 20, size: 1000, partial: true)
        }
    }
}
