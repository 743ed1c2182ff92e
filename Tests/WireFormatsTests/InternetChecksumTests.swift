import Testing
import TransportValues

import WireFormats

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
