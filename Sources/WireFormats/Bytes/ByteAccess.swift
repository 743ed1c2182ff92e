// Big-endian loads and stores, each behind one bounds check: the only place of this module that loads unsafely.

extension RawSpan {
    /// - Precondition: `0 <= offset` and the value lies within the span (as for all of these).
    @inlinable @inline(always)
    func byte(_ offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    @inlinable @inline(always)
    func word16(_ offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inlinable @inline(always)
    func word32(_ offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inlinable @inline(always)
    func word64(_ offset: Int) -> UInt64 {
        UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Two bytes in the machine's own order.
    @inlinable @inline(always)
    func native16(_ offset: Int) -> UInt16 {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }

    /// Eight bytes in the machine's own order, without a check of bounds: for the checksum's loop, which has one.
    @unsafe @inline(__always)
    func uncheckedNative64(_ offset: Int) -> UInt64 {
        unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
    }
}

extension MutableRawSpan {
    @inlinable @inline(always) @_lifetime(self: copy self)
    package mutating func store(byte value: UInt8, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @inlinable @inline(always) @_lifetime(self: copy self)
    package mutating func store(word16 value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @inlinable @inline(always) @_lifetime(self: copy self)
    package mutating func store(word32 value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @inlinable @inline(always) @_lifetime(self: copy self)
    package mutating func store(word64 value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }
}
