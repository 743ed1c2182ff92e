import Testing
import TransportValues

import WireFormats

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
