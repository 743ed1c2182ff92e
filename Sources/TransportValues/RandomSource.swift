/// A seeded generator of cryptographic strength: ChaCha20 (RFC 8439 §2.3) as a key stream.
///
/// Keys, nonces, initial sequence numbers and every simulated impairment come from one of these, so that the same seed
/// gives the same packets. A real host seeds it with 32 bytes from the system. (swift-crypto offers no seedable
/// generator.)
public struct RandomSource: RandomNumberGenerator, Sendable {
    private var state: InlineArray<16, UInt32>
    private var block: InlineArray<16, UInt32>
    private var used: Int

    /// - Parameter seed: 32 bytes as four little-endian words.
    public init(seed: InlineArray<4, UInt64>) {
        state = InlineArray(repeating: 0)
        state[0] = 0x6170_7865
        state[1] = 0x3320_646e
        state[2] = 0x7962_2d32
        state[3] = 0x6b20_6574
        for index in 0..<4 {
            state[4 + 2 * index] = UInt32(truncatingIfNeeded: seed[index])
            state[5 + 2 * index] = UInt32(truncatingIfNeeded: seed[index] >> 32)
        }
        block = InlineArray(repeating: 0)
        used = 16
    }

    /// For simulations and tests; a real host needs more than 64 bits of seed.
    public init(seed: UInt64) {
        self.init(seed: [seed, seed &* 0x9e37_79b9_7f4a_7c15, ~seed, 0x6d70_7463_7020_7631])
    }

    /// An independent generator whose seed is drawn from this one.
    public mutating func fork() -> RandomSource {
        RandomSource(seed: [next(), next(), next(), next()])
    }

    public mutating func next() -> UInt64 {
        UInt64(nextWord()) | UInt64(nextWord()) << 32
    }

    public mutating func nextWord() -> UInt32 {
        if used == 16 { refill() }
        defer { used += 1 }
        return block[used]
    }

    /// A number in 0 ..< 1.
    public mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// True with the given probability.
    public mutating func chance(_ probability: Double) -> Bool { probability > 0 && nextUnit() < probability }

    private mutating func refill() {
        block = state
        for _ in 0..<10 {
            quarter(0, 4, 8, 12)
            quarter(1, 5, 9, 13)
            quarter(2, 6, 10, 14)
            quarter(3, 7, 11, 15)
            quarter(0, 5, 10, 15)
            quarter(1, 6, 11, 12)
            quarter(2, 7, 8, 13)
            quarter(3, 4, 9, 14)
        }
        for index in 0..<16 { block[index] = block[index] &+ state[index] }
        state[12] = state[12] &+ 1
        if state[12] == 0 { state[13] = state[13] &+ 1 }
        used = 0
    }

    private mutating func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
        func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 { value << count | value >> (32 - count) }
        block[a] = block[a] &+ block[b]
        block[d] = rotate(block[d] ^ block[a], 16)
        block[c] = block[c] &+ block[d]
        block[b] = rotate(block[b] ^ block[c], 12)
        block[a] = block[a] &+ block[b]
        block[d] = rotate(block[d] ^ block[a], 8)
        block[c] = block[c] &+ block[d]
        block[b] = rotate(block[b] ^ block[c], 7)
    }
}
