import TransportValues

/// At most 40 bytes of encoded TCP options, as 32-bit words.
///
/// Every append writes whole words, padded with NOPs, so the block can go out as it stands at any time. What an append
/// wrote is the option's length: nothing calculates lengths apart from it.
@frozen
public struct OptionBlock: BitwiseCopyable, Sendable {
    /// In host order; the most significant byte goes out first.
    @usableFromInline var words: InlineArray<10, UInt32>
    @usableFromInline var used: UInt8
    @usableFromInline var limit: UInt8
    /// The Multipath TCP options that stand in the block, as ``OptionCombination``'s bits.
    @usableFromInline var present: UInt16

    /// - Parameter capacity: bytes, 0…40, rounded down to a multiple of 4.
    @inlinable
    public init(capacity: Int = 40) {
        words = InlineArray(repeating: 0)
        used = 0
        limit = UInt8(truncatingIfNeeded: max(0, min(capacity, 40)) >> 2)
        present = 0
    }

    /// Bytes used, a multiple of 4.
    @inlinable public var count: Int { Int(used) &* 4 }

    /// Bytes that remain, a multiple of 4.
    @inlinable public var remaining: Int { Int(limit &- used) &* 4 }

    @inlinable public var isEmpty: Bool { used == 0 }

    @inlinable @inline(always)
    func fits(_ wordCount: UInt8) -> Bool { limit &- used >= wordCount }

    /// Appends a word; what goes past 40 bytes is only counted, and ``finish(from:padding:bit:)`` takes it back.
    @inlinable @inline(always)
    mutating func put(_ word: UInt32) {
        if used < 10 { words[Int(used)] = word }
        used &+= 1
    }

    @inlinable @inline(always)
    mutating func put64(_ value: UInt64) {
        put(UInt32(truncatingIfNeeded: value >> 32))
        put(UInt32(truncatingIfNeeded: value))
    }

    /// Ends the Multipath TCP option that began at word `start`: sets its length from what was put, or takes it all
    /// back and returns false when that is more than fits.
    /// - Parameter padding: bytes of NOP behind the option in its last word.
    @inlinable @inline(always)
    mutating func finish(from start: UInt8, padding: UInt8 = 0, bit: UInt16) -> Bool {
        guard used <= limit else {
            used = start
            return false
        }
        words[Int(start)] |= UInt32((used &- start) &* 4 &- padding) << 16
        present |= bit
        return true
    }

    /// The byte at `index` as it goes out.
    /// - Precondition: `index` is in `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return UInt8(truncatingIfNeeded: words[index >> 2] >> UInt32(24 &- 8 &* (index & 3)))
    }

    /// Writes the block's bytes at `offset`; returns how many.
    @inlinable @_lifetime(packet: copy packet)
    public func write(into packet: inout MutableRawSpan, at offset: Int) -> Int {
        precondition(offset >= 0 && offset <= packet.byteCount &- count)
        let used = Int(min(used, 10))
        unsafe packet.withUnsafeMutableBytes { buffer in
            for index in 0..<used {
                unsafe buffer.storeBytes(
                    of: words[index].bigEndian, toByteOffset: offset &+ 4 &* index, as: UInt32.self)
            }
        }
        return used &* 4
    }
}

// Every append returns false, and writes nothing, when the option does not fit into what remains.
extension OptionBlock {
    @inlinable @discardableResult
    public mutating func append(maximumSegmentSize: UInt16) -> Bool {
        guard fits(1) else { return false }
        put(0x0204_0000 | UInt32(maximumSegmentSize))
        return true
    }

    /// - Parameter windowScale: a shift; what is above 14 goes out as 14 (RFC 7323 §2.3).
    @inlinable @discardableResult
    public mutating func append(windowScale: UInt8) -> Bool {
        guard fits(1) else { return false }
        put(0x0103_0300 | UInt32(min(windowScale, 14)))
        return true
    }

    @inlinable @discardableResult
    public mutating func appendSACKPermitted() -> Bool {
        guard fits(1) else { return false }
        put(0x0101_0402)
        return true
    }

    @inlinable @discardableResult
    public mutating func append(_ timestamps: TCPTimestamps) -> Bool {
        guard fits(3) else { return false }
        put(0x0101_080a)
        put(timestamps.value)
        put(timestamps.echo)
        return true
    }

    /// Both in 12 bytes, four fewer than one by one: what a SYN with a key and a cookie needs.
    @inlinable @discardableResult
    public mutating func appendSACKPermitted(with timestamps: TCPTimestamps) -> Bool {
        guard fits(3) else { return false }
        put(0x0402_080a)
        put(timestamps.value)
        put(timestamps.echo)
        return true
    }

    /// Appends as many of the first `limit` blocks as fit; false when none did.
    @discardableResult
    public mutating func append(_ blocks: SACKBlocks, limit: Int = 4) -> Bool {
        let room = (remaining &- 4) / 8
        let count = min(blocks.count, limit, room)
        guard count > 0 else { return false }
        put(0x0101_0500 | UInt32(2 &+ 8 &* count))
        for index in 0..<count {
            put(blocks[index].left.rawValue)
            put(blocks[index].right.rawValue)
        }
        return true
    }

    @discardableResult
    public mutating func append(fastOpen cookie: FastOpenCookie) -> Bool {
        var bytes = OptionWords([0x22, UInt8(2 &+ cookie.count)])
        for index in 0..<cookie.count { bytes.append(cookie[index]) }
        return append(bytes)
    }

    /// Appends all of another block, whose Multipath TCP options must be allowed beside the ones here.
    @discardableResult
    public mutating func append(_ block: OptionBlock) -> Bool {
        guard fits(block.used), OptionCombination.allows(block.present, besides: present) else { return false }
        for index in 0..<Int(block.used) { put(block.words[index]) }
        present |= block.present
        return true
    }

    mutating func append(_ bytes: OptionWords) -> Bool {
        guard fits(bytes.wordCount) else { return false }
        for index in 0..<Int(bytes.wordCount) { put(bytes.words[index]) }
        return true
    }
}

/// Collects the bytes of an option whose length is no multiple of 4, padded with trailing NOPs.
struct OptionWords {
    var words = InlineArray<10, UInt32>(repeating: 0x0101_0101)
    var byteCount = 0

    var wordCount: UInt8 { UInt8((byteCount &+ 3) >> 2) }

    init<let count: Int>(_ leading: InlineArray<count, UInt8>) {
        for index in 0..<count { append(leading[index]) }
    }

    /// - Precondition: fewer than 40 bytes stand there.
    mutating func append(_ byte: UInt8) {
        let shift = UInt32(24 &- 8 &* (byteCount & 3))
        let index = byteCount >> 2
        words[index] = words[index] & ~(0xff &<< shift) | UInt32(byte) &<< shift
        byteCount &+= 1
    }
}
