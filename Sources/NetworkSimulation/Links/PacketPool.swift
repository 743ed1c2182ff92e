import BasicContainers

/// Packet slots of one size, cut from chunks that live as long as the pool; a slot is named by its index.
@safe
struct PacketPool: ~Copyable {
    private static let slotsPerChunk = 64

    /// Bytes that a slot holds.
    let slotSize: Int
    private var chunks: UniqueArray<UnsafeMutableRawPointer>
    private var free: UniqueArray<Int32>

    init(slotSize: Int) {
        self.slotSize = (slotSize + 63) & ~63
        unsafe chunks = UniqueArray(minimumCapacity: 8)
        free = UniqueArray(minimumCapacity: Self.slotsPerChunk)
    }

    deinit {
        for index in 0..<(unsafe chunks.count) { unsafe chunks[index].deallocate() }
    }

    /// Bytes of memory that the pool has taken so far; it gives none back before it ends.
    var footprint: Int { unsafe chunks.count * Self.slotsPerChunk * slotSize }

    mutating func allocate() -> Int32 {
        if free.isEmpty { grow() }
        return free.removeLast()
    }

    mutating func release(_ slot: Int32) { free.append(slot) }

    private mutating func grow() {
        let size = slotSize * Self.slotsPerChunk
        let first = unsafe chunks.count * Self.slotsPerChunk
        unsafe chunks.append(UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64))
        for index in (0..<Self.slotsPerChunk).reversed() { free.append(Int32(first + index)) }
    }

    private borrowing func address(of slot: Int32) -> UnsafeMutableRawPointer {
        let (chunk, index) = Int(slot).quotientAndRemainder(dividingBy: Self.slotsPerChunk)
        return unsafe chunks[chunk] + index * slotSize
    }

    /// Copies `packet` into the slot.
    /// - Precondition: `packet` is no longer than ``slotSize``.
    mutating func fill(_ slot: Int32, with packet: RawSpan) {
        precondition(packet.byteCount <= slotSize)
        let target = unsafe address(of: slot)
        unsafe packet.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            unsafe target.copyMemory(from: base, byteCount: source.count)
        }
    }

    /// Inverts one bit of the slot's packet. `bit` counts from the first byte's highest.
    mutating func flip(bit: Int, of slot: Int32) {
        precondition(bit >= 0 && bit / 8 < slotSize)
        let byte = unsafe address(of: slot) + bit / 8
        unsafe byte.storeBytes(of: byte.load(as: UInt8.self) ^ (0x80 >> UInt8(bit % 8)), as: UInt8.self)
    }

    /// - Precondition: `count` is at most ``slotSize``.
    @_lifetime(borrow self)
    borrowing func bytes(of slot: Int32, count: Int) -> RawSpan {
        precondition(count >= 0 && count <= slotSize)
        let span = unsafe RawSpan(_unsafeStart: address(of: slot), byteCount: count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }
}
