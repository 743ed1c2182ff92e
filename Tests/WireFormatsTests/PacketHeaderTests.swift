import Testing
import TransportValues

@testable import WireFormats

/// A buffer that `body` writes into.
func filled(_ count: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    body(&raw)
    return bytes
}

@Suite struct IPHeaderTests {
    @Test(arguments: 0..<100)
    func roundTrip(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        let isIPv6 = random.chance(0.5)
        let source = random.address(isIPv6: isIPv6)
        let destination = random.address(isIPv6: isIPv6)
        let length = Int(random.next() % 1400)
        let padding = Int(random.next() % 30)
        let trafficClass: UInt8 = random.integer()
        let hopLimit: UInt8 = random.integer()
        let bytes = filled((isIPv6 ? 40 : 20) + length + padding) { raw in
            let count = IPHeader.emit(
                source: source, destination: destination, protocolNumber: IPHeader.udp, payloadLength: length,
                identification: 77, trafficClass: trafficClass, hopLimit: hopLimit, into: &raw, at: 0)
            #expect(count == (isIPv6 ? 40 : 20))
        }
        let header = try bytes.lend { try IPHeader($0) }
        #expect(header.source == source && header.destination == destination)
        #expect(header.trafficClass == trafficClass && header.hopLimit == hopLimit)
        #expect(header.protocolNumber == IPHeader.udp)
        #expect(header.payloadOffset == (isIPv6 ? 40 : 20) && header.payloadLength == length)
        if !isIPv6 { #expect(bytes[6] == 0x40, "DF") }
    }

    private static let version4 = packet(optionBytes: [])
    private static let version6 = packet(optionBytes: [], isIPv6: true)

    private func error(_ bytes: [UInt8]) -> WireError? {
        do throws(WireError) {
            _ = try bytes.lend { bytes throws(WireError) in try IPHeader(bytes) }
            return nil
        } catch { return error }
    }

    /// The bytes with the IPv4 header checksum set right again.
    private func repaired(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let length = Int(bytes[0] & 15) * 4
        bytes[10] = 0
        bytes[11] = 0
        let checksum = ~InternetChecksum.fold(Array(bytes[..<length]).lend { InternetChecksum.sum($0) })
        bytes[10] = UInt8(checksum >> 8)
        bytes[11] = UInt8(checksum & 255)
        return bytes
    }

    @Test func truncatedPacketsAreRefused() {
        for count in 0..<Self.version4.count { #expect(error(Array(Self.version4[..<count])) == .truncated) }
        for count in 0..<Self.version6.count { #expect(error(Array(Self.version6[..<count])) == .truncated) }
    }

    @Test func everyBitOfTheVersion4HeaderCounts() {
        for bit in 0..<160 {
            var bytes = Self.version4
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(error(bytes) != nil, "bit \(bit)")
        }
        #expect(error(Self.version4) == nil)
    }

    @Test func fragmentsAreRefused() {
        for (high, low) in [(0x20, 0), (0x00, 1), (0x1f, 0xff), (0x20, 5)] as [(UInt8, UInt8)] {
            var bytes = Self.version4
            bytes[6] = high
            bytes[7] = low
            #expect(error(repaired(bytes)) == .fragment)
        }
        var bytes = Self.version4
        bytes[6] = 0
        #expect(error(repaired(bytes)) == nil, "without DF")
        #expect(error(withExtension([(44, 8)])) == .fragment)
    }

    @Test func version4OptionsAreSteppedOver() throws {
        for words in 1...10 {
            var bytes = Self.version4
            bytes.insert(contentsOf: [UInt8](repeating: 1, count: 4 * words), at: 20)
            bytes[0] = UInt8(0x45 + words)
            bytes[3] = UInt8(bytes.count)
            let header = try repaired(bytes).lend { try IPHeader($0) }
            #expect(header.payloadOffset == 20 + 4 * words && header.payloadLength == 20)
            #expect(try segment(repaired(bytes)).sourcePort == 1000)
        }
        var short = Self.version4
        short[0] = 0x44
        #expect(error(short) == .badLength)
        var long = Self.version4
        long[0] = 0x4f
        #expect(error(long) == .badLength)
    }

    /// A TCP packet over IPv6 behind extension headers of these kinds and lengths.
    private func withExtension(_ headers: [(kind: UInt8, length: Int)]) -> [UInt8] {
        var bytes = Self.version6
        var all: [UInt8] = []
        for (index, header) in headers.enumerated() {
            var one = [UInt8](repeating: 0, count: header.length)
            one[0] = index + 1 < headers.count ? headers[index + 1].kind : 6
            one[1] = UInt8(header.kind == 51 ? header.length / 4 - 2 : header.length / 8 - 1)
            all += one
        }
        bytes[6] = headers.first?.kind ?? 6
        bytes.insert(contentsOf: all, at: 40)
        let length = bytes.count - 40
        bytes[4] = UInt8(length >> 8)
        bytes[5] = UInt8(length & 255)
        return bytes
    }

    @Test func extensionHeadersAreSteppedOver() throws {
        for headers in [[(0, 8)], [(60, 16), (43, 24)], [(0, 8), (51, 24), (60, 2048)], [(51, 12)]] {
            let bytes = withExtension(headers.map { (UInt8($0.0), $0.1) })
            let header = try bytes.lend { try IPHeader($0) }
            #expect(header.protocolNumber == 6 && header.payloadLength == 20)
            #expect(header.payloadOffset == 40 + headers.reduce(0) { $0 + $1.1 })
            #expect(try segment(bytes).destinationPort == 2000)
        }
        #expect(error(withExtension(Array(repeating: (60, 8), count: 8))) == nil)
        #expect(error(withExtension(Array(repeating: (60, 8), count: 9))) == .tooManyExtensionHeaders)
        #expect(error(withExtension([(59, 8)])) == .unsupported)
        var long = withExtension([(60, 8)])
        long[41] = 200
        #expect(error(long) == .badLength)
        var atEnd = Self.version6
        atEnd[6] = 60
        atEnd[4] = 0
        atEnd[5] = 4
        #expect(error(atEnd) == .truncated)
    }

    @Test func otherVersionsAreRefused() {
        for version in 0..<16 as Range<UInt8> where version != 4 && version != 6 {
            var bytes = Self.version4
            bytes[0] = version << 4 | 5
            #expect(error(bytes) == .badVersion)
        }
    }
}

@Suite struct TCPSegmentTests {
    private func error(_ bytes: [UInt8], checksum: ChecksumState = .unverified) -> WireError? {
        do throws(WireError) {
            _ = try bytes.lend { bytes throws(WireError) in
                try TCPSegment(bytes, ip: try IPHeader(bytes), checksum: checksum)
            }
            return nil
        } catch { return error }
    }

    /// Every bit of addresses, header and payload is covered by a checksum (RFC 9293 §3.1).
    @Test(arguments: [false, true])
    func everyBitCounts(_ isIPv6: Bool) {
        let good = packet(optionBytes: [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], payload: [1, 2, 3], isIPv6: isIPv6)
        #expect(error(good) == nil)
        for bit in (isIPv6 ? 64 : 96)..<good.count * 8 {
            var bytes = good
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(error(bytes) != nil, "bit \(bit)")
        }
    }

    @Test func aTrustedChecksumIsNotLookedAt() throws {
        var bytes = packet(optionBytes: [], payload: [1, 2, 3])
        bytes[36] ^= 0xff
        #expect(error(bytes) == .badChecksum)
        #expect(error(bytes, checksum: .trusted) == nil)
    }

    /// A device finishes the partial checksum by adding up everything from the TCP header on.
    @Test(arguments: [false, true])
    func partialChecksums(_ isIPv6: Bool) throws {
        var bytes = packet(optionBytes: [], payload: [9, 8, 7, 6, 5], isIPv6: isIPv6)
        let good = bytes
        let ip = try bytes.lend { try IPHeader($0) }
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        finishTCPChecksum(
            packet: &raw, at: ip.payloadOffset, length: ip.payloadLength, source: ip.source,
            destination: ip.destination, partial: true)
        let sum = InternetChecksum.sum(raw.bytes.extracting(ip.payloadOffset..<raw.byteCount))
        raw.store(word16: ~InternetChecksum.fold(sum), at: ip.payloadOffset + 16)
        #expect(bytes == good)
    }

    @Test func dataOffsetsAreHeldAgainstTheLength() {
        for words in 0..<16 as Range<UInt8> {
            var bytes = packet(optionBytes: [1, 1, 1, 1], payload: [])
            bytes[32] = words << 4
            let expected: WireError? = words < 5 || words > 6 ? .badLength : nil
            #expect(error(bytes, checksum: .trusted) == expected, "\(words)")
        }
    }

    @Test func aHeaderOfAnotherPacketThrows() throws {
        let long = packet(optionBytes: [], payload: [UInt8](repeating: 0, count: 100))
        let ip = try long.lend { try IPHeader($0) }
        let short = packet(optionBytes: [])
        #expect(throws: WireError.truncated) {
            try short.lend { try TCPSegment($0, ip: ip, checksum: .trusted) }
        }
        var udp = ip
        udp.protocolNumber = 17
        #expect(throws: WireError.wrongProtocol) {
            try long.lend { try TCPSegment($0, ip: udp, checksum: .trusted) }
        }
        var hostile = ip
        hostile.payloadOffset = .max
        hostile.payloadLength = .max
        #expect(throws: WireError.truncated) {
            try long.lend { try TCPSegment($0, ip: hostile, checksum: .unverified) }
        }
    }

    /// Copied with every segment, so it must stay small.
    @Test func theValueIsSmall() {
        #expect(MemoryLayout<TCPSegment>.size <= 300)
        #expect(MemoryLayout<OptionBlock>.size <= 48)
    }
}

@Suite struct InternetChecksumTests {
    /// Word by word, as RFC 1071 §1 says it.
    private func reference(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
            sum = (sum & 0xffff) + (sum >> 16)
        }
        return UInt16(sum)
    }

    @Test(arguments: 0...300)
    func agreesWithTheDefinition(_ count: Int) {
        var random = RandomSource(seed: UInt64(count))
        let bytes = random.bytes(count)
        let ones = [UInt8](repeating: 0xff, count: count)
        #expect(InternetChecksum.fold(bytes.lend { InternetChecksum.sum($0) }) == reference(bytes))
        #expect(InternetChecksum.fold(ones.lend { InternetChecksum.sum($0) }) == reference(ones))
        // In two parts, of which the second may begin at an odd offset.
        let cut = count == 0 ? 0 : Int(random.next() % UInt64(count + 1))
        let first = Array(bytes[..<cut]).lend { InternetChecksum.sum($0) }
        let second = Array(bytes[cut...]).lend { InternetChecksum.sum($0) }
        let whole = first &+ (cut % 2 == 0 ? second : InternetChecksum.swapped(second))
        #expect(InternetChecksum.fold(whole) % 0xffff == reference(bytes) % 0xffff)
    }

    @Test func theInitialSumIsAdded() {
        let bytes: [UInt8] = [0x12, 0x34, 0xff]
        let sum = bytes.lend { InternetChecksum.sum($0, initial: 0x1_0000) }
        #expect(InternetChecksum.fold(sum) == InternetChecksum.fold(0x1_0000 + 0x1234 + 0xff00))
        #expect(InternetChecksum.fold(.max) == 0xffff)
    }

    //= RFC 8684 §3.3.1 the pseudo-header: the data sequence number, the subflow sequence number, length and zero.
    @Test func dataSequenceChecksumIsThatOfItsPseudoHeader() {
        var random = RandomSource(seed: 5)
        for count in [0, 1, 7, 1448] {
            let payload = random.bytes(count)
            let number = random.next()
            let subflow = random.nextWord()
            let header = filled(16) { raw in
                raw.store(word64: number, at: 0)
                raw.store(word32: subflow, at: 8)
                raw.store(word16: UInt16(count), at: 12)
            }
            let checksum = InternetChecksum.dataSequenceChecksum(
                dataSequence: number, subflowSequence: subflow, length: UInt16(count),
                payloadSum: payload.lend { InternetChecksum.sum($0) })
            #expect(checksum == ~reference(header + payload))
        }
    }
}

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

@Suite struct ICMPMessageTests {
    /// An ICMP error about `embedded`, sent by a router.
    private func message(
        type: UInt8, code: UInt8, parameter: UInt32, embedded: [UInt8], isIPv6: Bool = false
    ) -> [UInt8] {
        let router = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 99) : IPAddress(192, 0, 2, 1)
        let host = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(10, 0, 0, 1)
        let headerLength = isIPv6 ? 40 : 20
        let length = 8 + embedded.count
        return filled(headerLength + length) { raw in
            let number = isIPv6 ? IPHeader.icmpV6 : IPHeader.icmp
            _ = IPHeader.emit(
                source: router, destination: host, protocolNumber: number, payloadLength: length, into: &raw, at: 0)
            raw.store(byte: type, at: headerLength)
            raw.store(byte: code, at: headerLength + 1)
            raw.store(word32: parameter, at: headerLength + 4)
            for (index, byte) in embedded.enumerated() { raw.store(byte: byte, at: headerLength + 8 + index) }
            let pseudo =
                isIPv6
                ? InternetChecksum.pseudoHeaderSum(
                    source: router, destination: host, protocolNumber: number, length: length) : 0
            let sum = InternetChecksum.sum(raw.bytes.extracting(headerLength..<raw.byteCount), initial: pseudo)
            raw.store(word16: ~InternetChecksum.fold(sum), at: headerLength + 2)
        }
    }

    private func read(_ bytes: [UInt8]) throws -> ICMPMessage {
        try bytes.lend { try ICMPMessage($0, ip: try IPHeader($0)) }
    }

    /// RFC 792 lets a router send back no more than the IP header and 8 bytes.
    @Test(arguments: [28, 40])
    func version4(_ kept: Int) throws {
        let sent = Array(packet(optionBytes: [], payload: [UInt8](repeating: 1, count: 1000))[..<kept])
        let big = try read(message(type: 3, code: 4, parameter: 1400, embedded: sent))
        #expect(big.kind == .packetTooBig(mtu: 1400))
        #expect(big.embedded.local == Endpoint(IPAddress(10, 0, 0, 1), 1000))
        #expect(big.embedded.remote == Endpoint(IPAddress(10, 0, 0, 2), 2000))
        #expect(big.embeddedSequence == SequenceNumber(1))
        let codes: [(UInt8, ICMPMessage.Unreachable)] = [
            (0, .network), (1, .host), (2, .protocolNumber), (3, .port), (13, .prohibited), (12, .other(12)),
        ]
        for (code, expected) in codes {
            #expect(
                try read(message(type: 3, code: code, parameter: 0, embedded: sent)).kind == .unreachable(expected))
        }
        #expect(throws: WireError.unsupported) {
            try read(message(type: 8, code: 0, parameter: 0, embedded: sent))
        }
    }

    @Test func version6() throws {
        let sent = Array(packet(optionBytes: [], payload: [UInt8](repeating: 1, count: 1000), isIPv6: true)[..<48])
        let big = try read(message(type: 2, code: 0, parameter: 1280, embedded: sent, isIPv6: true))
        #expect(big.kind == .packetTooBig(mtu: 1280))
        #expect(big.embedded.local == Endpoint(IPAddress(high: 0xfd00 << 48, low: 1), 1000))
        #expect(big.embeddedSequence == SequenceNumber(1))
        let codes: [(UInt8, ICMPMessage.Unreachable)] = [
            (0, .network), (1, .prohibited), (3, .host), (4, .port), (2, .other(2)),
        ]
        for (code, expected) in codes {
            let message = message(type: 1, code: code, parameter: 0, embedded: sent, isIPv6: true)
            #expect(try read(message).kind == .unreachable(expected))
        }
        // An echo request.
        #expect(throws: WireError.unsupported) {
            try read(message(type: 128, code: 0, parameter: 0, embedded: sent, isIPv6: true))
        }
    }

    @Test(arguments: [false, true])
    func brokenOnesThrow(_ isIPv6: Bool) {
        let sent = Array(packet(optionBytes: [], isIPv6: isIPv6))
        let header = isIPv6 ? 40 : 20
        let type: UInt8 = isIPv6 ? 2 : 3
        for kept in 0..<header + 8 {
            let bytes = message(
                type: type, code: 4, parameter: 1400, embedded: Array(sent[..<kept]), isIPv6: isIPv6)
            #expect(throws: WireError.truncated) { try read(bytes) }
        }
        var udp = sent
        udp[isIPv6 ? 6 : 9] = 17
        #expect(throws: WireError.unsupported) {
            try read(message(type: type, code: 4, parameter: 1400, embedded: udp, isIPv6: isIPv6))
        }
        var wrong = message(type: type, code: 4, parameter: 1400, embedded: sent, isIPv6: isIPv6)
        wrong[wrong.count - 1] ^= 1
        #expect(throws: WireError.badChecksum) { try read(wrong) }
        if !isIPv6 {
            var later = sent
            later[7] = 9
            #expect(throws: WireError.fragment) {
                try read(message(type: type, code: 4, parameter: 1400, embedded: later))
            }
        }
    }
}
