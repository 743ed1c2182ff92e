/// A growable ring of bytes addressed by absolute 64-bit offsets: the one copy of a connection's data.
///
/// The ring holds the offsets `start ..< start + capacity`. Which of them carry meaning is the owner's knowledge (a
/// length, or an ``IntervalSet`` for bytes that arrived out of order).
@safe
@frozen
public struct ByteRing: ~Copyable, @unchecked Sendable {
    @usableFromInline var base: UnsafeMutableRawPointer?
    /// Bytes that the ring can hold: zero or a power of two.
    @usableFromInline var storedCapacity: Int = 0
    @inlinable public var capacity: Int { storedCapacity }
    /// The lowest offset that the ring still holds.
    @inlinable public var start: Int64 { storedStart }
    @usableFromInline var storedStart: Int64

    public init(start: Int64 = 0) {
        unsafe base = nil
        storedCapacity = 0
        storedStart = start
    }

    deinit { unsafe base?.deallocate() }

    /// One past the highest offset that can be written now.
    @inlinable
    public var limit: Int64 { start + Int64(capacity) }

    /// Makes room for at least `needed` bytes from ``start`` on, keeping what lies in `live`.
    public mutating func reserve(_ needed: Int, preserving live: Range<Int64>) {
        if needed <= capacity { return }
        var size = max(4096, capacity)
        while size < needed { size *= 2 }
        resize(to: size, preserving: live)
    }

    /// Gives memory back when the ring is empty; it grows again with the next ``reserve(_:preserving:)``.
    public mutating func release() {
        unsafe base?.deallocate()
        unsafe base = nil
        storedCapacity = 0
    }

    private mutating func resize(to size: Int, preserving live: Range<Int64>) {
        precondition(live.isEmpty || (live.lowerBound >= start && live.upperBound <= limit))
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        var offset = live.lowerBound
        while offset < live.upperBound, let old = unsafe base {
            let from = Int(truncatingIfNeeded: offset) & (capacity - 1)
            let to = Int(truncatingIfNeeded: offset) & (size - 1)
            let count = min(Int(live.upperBound - offset), capacity - from, size - to)
            unsafe (fresh + to).copyMemory(from: old + from, byteCount: count)
            offset += Int64(count)
        }
        unsafe base?.deallocate()
        unsafe base = fresh
        storedCapacity = size
    }

    /// Forgets everything below `offset`.
    @inlinable
    public mutating func discard(below offset: Int64) {
        if offset > start { storedStart = offset }
    }

    /// Copies `bytes` to `offset`.
    /// - Precondition: `start <= offset` and `offset + bytes.byteCount <= limit`.
    @inlinable
    public mutating func write(_ bytes: RawSpan, at offset: Int64) {
        let count = bytes.byteCount
        if count == 0 { return }
        precondition(offset >= start && offset + Int64(count) <= limit)
        let base = unsafe self.base!
        let position = Int(truncatingIfNeeded: offset) & (capacity - 1)
        let first = min(count, capacity - position)
        unsafe bytes.withUnsafeBytes { source in
            unsafe copyBytes(from: source.baseAddress!, to: base + position, count: first)
            if first < count { unsafe copyBytes(from: source.baseAddress! + first, to: base, count: count - first) }
        }
    }

    /// The first of the at most two slices that hold `count` bytes from `offset` on.
    /// - Precondition: the bytes lie between ``start`` and ``limit``.
    @inlinable
    @_lifetime(borrow self)
    public borrowing func firstSlice(at offset: Int64, count: Int) -> RawSpan {
        precondition(count >= 0 && offset >= start && offset + Int64(count) <= limit)
        guard count > 0, let base = unsafe self.base else { return RawSpan() }
        let position = Int(truncatingIfNeeded: offset) & (capacity - 1)
        let span = unsafe RawSpan(_unsafeStart: base + position, byteCount: min(count, capacity - position))
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// The second slice, empty when the bytes do not wrap.
    @inlinable
    @_lifetime(borrow self)
    public borrowing func secondSlice(at offset: Int64, count: Int) -> RawSpan {
        precondition(count >= 0 && offset >= start && offset + Int64(count) <= limit)
        guard count > 0, let base = unsafe self.base else { return RawSpan() }
        let position = Int(truncatingIfNeeded: offset) & (capacity - 1)
        let span = unsafe RawSpan(_unsafeStart: base, byteCount: max(0, count - (capacity - position)))
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Copies `count` bytes from `offset` on into `target` at `position`.
    /// - Precondition: the bytes lie in the ring and fit into `target`.
    @inlinable
    public borrowing func copy(at offset: Int64, count: Int, into target: inout MutableRawSpan, at position: Int) {
        if count == 0 { return }
        precondition(count > 0 && offset >= start && offset + Int64(count) <= limit)
        precondition(position >= 0 && position <= target.byteCount - count)
        let base = unsafe self.base!
        let from = Int(truncatingIfNeeded: offset) & (capacity - 1)
        let first = min(count, capacity - from)
        unsafe target.withUnsafeMutableBytes { buffer in
            let out = unsafe buffer.baseAddress! + position
            unsafe copyBytes(from: base + from, to: out, count: first)
            if first < count { unsafe copyBytes(from: base, to: out + first, count: count - first) }
        }
    }
}
