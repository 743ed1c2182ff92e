import Testing
import TransportValues

@Suite struct RandomSourceTests {
    /// RFC 8439 appendix A.1, test vector 1: zero key, zero nonce, counter 0 (its words, little-endian).
    @Test func chachaVector() {
        var source = RandomSource(seed: [0, 0, 0, 0])
        let words = (0..<4).map { _ in source.nextWord() }
        #expect(words == [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653])
    }

    @Test func sameSeedSameNumbers() {
        var one = RandomSource(seed: 7)
        var two = RandomSource(seed: 7)
        var other = RandomSource(seed: 8)
        let first = (0..<100).map { _ in one.next() }
        #expect(first == (0..<100).map { _ in two.next() })
        #expect(first != (0..<100).map { _ in other.next() })
    }
}
