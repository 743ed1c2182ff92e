/// Memory for one packet, allocated once and used again for every packet.
@safe
struct PacketMemory: ~Copyable {
    private let base: UnsafeMutableRawPointer
    let count: Int

    init(count: Int) {
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        self.count = count
    }

    deinit { unsafe base.deallocate() }

    /// For a system call that writes at most ``count`` bytes; the pointer must not outlive the call.
    var pointer: UnsafeMutableRawPointer {
        @unsafe get { unsafe base }
    }

    /// The bytes of `range`.
    /// - Precondition: the range lies inside the memory.
    @_lifetime(borrow self)
    borrowing func bytes(_ range: Range<Int>) -> RawSpan {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let span = unsafe RawSpan(_unsafeStart: base + range.lowerBound, byteCount: range.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    @_lifetime(&self)
    mutating func mutableBytes(_ range: Range<Int>) -> MutableRawSpan {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let span = unsafe MutableRawSpan(_unsafeStart: base + range.lowerBound, byteCount: range.count)
        return unsafe _overrideLifetime(span, mutating: &self)
    }

    /// Copies `bytes` to the beginning.
    /// - Precondition: they fit.
    mutating func copy(_ bytes: RawSpan, at offset: Int = 0) {
        precondition(offset >= 0 && bytes.byteCount <= count - offset)
        unsafe bytes.withUnsafeBytes { source in
            if let from = source.baseAddress {
                unsafe (base + offset).copyMemory(from: from, byteCount: source.count)
            }
        }
    }
}
