import Testing
import TransportValues

@Suite struct ByteRingTests {
    /// A stream whose byte at offset n is known, written in pieces, read back through slices and copies, while the ring
    /// wraps and grows.
    @Test(arguments: 0..<20) func keepsEveryByte(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var ring = ByteRing(start: 1_000)
        var end: Int64 = 1_000
        for _ in 0..<2_000 {
            if random.chance(0.55) {
                let count = Int(random.next() % 700)
                ring.reserve(Int(end - ring.start) + count, preserving: ring.start..<end)
                let piece = bytes(at: end, count: count)
                unsafe ring.write(piece.span.bytes, at: end)
                end += Int64(count)
            } else {
                ring.discard(below: min(end, ring.start + Int64(random.next() % 900)))
            }
            let live = Int(end - ring.start)
            let from = ring.start + Int64(live == 0 ? 0 : random.next() % UInt64(live))
            let count = live == 0 ? 0 : Int(random.next() % UInt64(end - from + 1))
            #expect(slices(ring, at: from, count: count) == bytes(at: from, count: count))
            #expect(copied(ring, at: from, count: count) == bytes(at: from, count: count))
        }
        #expect(ring.capacity < 1 << 20)
    }

    private func bytes(at offset: Int64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: (offset + Int64($0)) &* 31 >> 3) }
    }

    private func slices(_ ring: borrowing ByteRing, at offset: Int64, count: Int) -> [UInt8] {
        let first = ring.firstSlice(at: offset, count: count)
        let second = ring.secondSlice(at: offset, count: count)
        #expect(first.byteCount + second.byteCount == count)
        return array(first) + array(second)
    }

    private func array(_ span: RawSpan) -> [UInt8] {
        (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }

    private func copied(_ ring: borrowing ByteRing, at offset: Int64, count: Int) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: count + 3)
        var span = target.mutableSpan
        var raw = unsafe span.mutableBytes
        ring.copy(at: offset, count: count, into: &raw, at: 2)
        return Array(target[2..<2 + count])
    }

    @Test func emptyRingHoldsNoMemory() {
        var ring = ByteRing()
        #expect(ring.capacity == 0)
        ring.reserve(10, preserving: 0..<0)
        #expect(ring.capacity == 4096)
        ring.release()
        #expect(ring.capacity == 0)
    }
}
