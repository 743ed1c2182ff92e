/// An endless sequence of bytes that depends on its seed and, at each place, on the place: bytes that are lost, moved,
/// repeated or taken from another stream show at once.
public struct BytePattern: Hashable, Sendable, BitwiseCopyable {
    public var seed: UInt64

    public init(seed: UInt64) { self.seed = seed }

    /// Bytes 8 × `index` ..< 8 × `index` + 8, the first in the low byte. (The finalizer of SplitMix64.)
    @inline(__always)
    private func word(_ index: Int64) -> UInt64 {
        var value = seed &+ UInt64(bitPattern: index) &* 0x9e37_79b9_7f4a_7c15
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    @inline(__always)
    public func byte(at offset: Int64) -> UInt8 {
        UInt8(truncatingIfNeeded: word(offset >> 3) >> UInt64((offset & 7) * 8))
    }

    /// Writes `count` bytes, from the pattern's `offset` on, to the start of `target`.
    /// - Precondition: they fit.
    @_lifetime(target: copy target)
    public func fill(_ target: inout MutableRawSpan, count: Int, from offset: Int64) {
        var position = 0
        while position < count, (offset + Int64(position)) & 7 != 0 {
            target.storeBytes(of: byte(at: offset + Int64(position)), toByteOffset: position, as: UInt8.self)
            position += 1
        }
        while position + 8 <= count {
            let value = word((offset + Int64(position)) >> 3).littleEndian
            target.storeBytes(of: value, toByteOffset: position, as: UInt64.self)
            position += 8
        }
        while position < count {
            target.storeBytes(of: byte(at: offset + Int64(position)), toByteOffset: position, as: UInt8.self)
            position += 1
        }
    }

    /// The first offset at which `bytes`, which begin at `offset`, differ from the pattern; nil when they are equal.
    public func firstMismatch(in bytes: RawSpan, from offset: Int64) -> Int64? {
        let count = bytes.byteCount
        var position = 0
        while position < count {
            let place = offset + Int64(position)
            if place & 7 == 0, position + 8 <= count, bytes.littleWord(position) == word(place >> 3) {
                position += 8
            } else {
                if bytes.octet(position) != byte(at: place) { return place }
                position += 1
            }
        }
        return nil
    }
}

extension RawSpan {
    /// - Precondition: the byte lies within the span (as for the others).
    @inline(__always)
    func octet(_ offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    /// Eight bytes, the first in the low byte.
    @inline(__always)
    func littleWord(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

/// A running digest of bytes and numbers for comparing two runs; not cryptographic.
public struct RunningDigest: Hashable, Sendable, BitwiseCopyable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}

    @inline(__always)
    public mutating func combine(_ word: UInt64) {
        value = (value ^ word) &* 0x9fb2_1c65_1e98_df25
        value ^= value >> 29
    }

    /// All bytes as one part: the same bytes in other portions give another digest.
    public mutating func combine(_ bytes: RawSpan) {
        let count = bytes.byteCount
        combine(UInt64(count))
        var offset = 0
        while offset + 8 <= count {
            combine(bytes.littleWord(offset))
            offset += 8
        }
        while offset < count {
            combine(UInt64(bytes.octet(offset)))
            offset += 1
        }
    }

    /// Byte by byte (FNV-1a): portions make no difference.
    public mutating func combineStream(_ bytes: RawSpan) {
        for offset in 0..<bytes.byteCount { value = (value ^ UInt64(bytes.octet(offset))) &* 0x100_0000_01b3 }
    }
}
