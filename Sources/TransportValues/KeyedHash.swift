/// SipHash-1-3 over 64-bit words: keyed, so that a peer who chooses addresses and ports can't choose collisions.
///
/// Used for the flow table, initial sequence numbers (RFC 6528) and ports (RFC 6056).
@frozen
public struct KeyedHash: Sendable, BitwiseCopyable {
    @usableFromInline let key0: UInt64
    @usableFromInline let key1: UInt64

    @inlinable
    public init(key0: UInt64, key1: UInt64) {
        self.key0 = key0
        self.key1 = key1
    }

    public init(drawingFrom source: inout RandomSource) {
        self.init(key0: source.next(), key1: source.next())
    }

    @inlinable
    public func callAsFunction(_ tuple: FourTuple) -> UInt64 {
        var state = State(key0, key1)
        let ports = UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port)
        if tuple.isIPv6 {
            state.mix(tuple.local.address.high)
            state.mix(tuple.local.address.low)
            state.mix(tuple.remote.address.high)
            state.mix(tuple.remote.address.low)
            state.mix(ports | 1 << 32)
        } else {
            state.mix(tuple.local.address.low << 32 | tuple.remote.address.low & 0xffff_ffff)
            state.mix(ports)
        }
        return state.finish()
    }

    @usableFromInline
    struct State {
        @usableFromInline var v0: UInt64
        @usableFromInline var v1: UInt64
        @usableFromInline var v2: UInt64
        @usableFromInline var v3: UInt64

        @inlinable
        init(_ key0: UInt64, _ key1: UInt64) {
            v0 = key0 ^ 0x736f_6d65_7073_6575
            v1 = key1 ^ 0x646f_7261_6e64_6f6d
            v2 = key0 ^ 0x6c79_6765_6e65_7261
            v3 = key1 ^ 0x7465_6462_7974_6573
        }

        @inlinable
        mutating func mix(_ word: UInt64) {
            v3 ^= word
            round()
            v0 ^= word
        }

        @inlinable
        mutating func finish() -> UInt64 {
            v2 ^= 0xff
            round()
            round()
            round()
            return v0 ^ v1 ^ v2 ^ v3
        }

        @inlinable
        mutating func round() {
            v0 = v0 &+ v1
            v1 = v1 << 13 | v1 >> 51
            v1 ^= v0
            v0 = v0 << 32 | v0 >> 32
            v2 = v2 &+ v3
            v3 = v3 << 16 | v3 >> 48
            v3 ^= v2
            v0 = v0 &+ v3
            v3 = v3 << 21 | v3 >> 43
            v3 ^= v0
            v2 = v2 &+ v1
            v1 = v1 << 17 | v1 >> 47
            v1 ^= v2
            v2 = v2 << 32 | v2 >> 32
        }
    }
}

extension KeyedHash {
    /// SipHash-2-4 over a four-tuple and two words: a message authentication code of 64 bits, for what a peer sees and
    /// must not be able to make for another four-tuple.
    public func authenticator(of tuple: FourTuple, _ first: UInt64, _ second: UInt64) -> UInt64 {
        var state = State(key0, key1)
        let ports = UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port)
        if tuple.isIPv6 {
            state.absorb(tuple.local.address.high)
            state.absorb(tuple.local.address.low)
            state.absorb(tuple.remote.address.high)
            state.absorb(tuple.remote.address.low)
            state.absorb(ports | 1 << 32)
        } else {
            state.absorb(tuple.local.address.low << 32 | tuple.remote.address.low & 0xffff_ffff)
            state.absorb(ports)
        }
        state.absorb(first)
        state.absorb(second)
        return state.finishLong()
    }

    /// The same over one word.
    public func authenticator(of word: UInt64) -> UInt64 {
        var state = State(key0, key1)
        state.absorb(word)
        return state.finishLong()
    }
}

extension KeyedHash.State {
    fileprivate mutating func finishLong() -> UInt64 {
        v2 ^= 0xff
        for _ in 0..<4 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    /// As ``mix(_:)``, with SipHash-2-4's two rounds.
    fileprivate mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }
}
