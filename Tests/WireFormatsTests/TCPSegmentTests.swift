import Testing
import TransportValues

import WireFormats

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
