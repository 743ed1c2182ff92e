internal import BasicContainers
internal import DequeModule
internal import TransportValues

/// Packets that a device had no room for, kept until it is writable again; bounded, and what is beyond is dropped, a
/// loss to the stack like one in a router's queue.
struct PendingPackets: ~Copyable {
    /// Bytes that wait at most: a few largest packets, about a millisecond of 10 Gbit/s.
    static let limit = 1 << 20

    private var packets = Deque<(bytes: [UInt8], metadata: TransmitMetadata)>()
    private var bytes = 0
    /// Emptied arrays, used again so that a device that is often full costs no allocations.
    private var spare: [[UInt8]] = []
    /// Packets dropped for want of room.
    private(set) var dropped: UInt64 = 0

    var isEmpty: Bool { packets.isEmpty }
    var first: TransmitMetadata? { packets.first?.metadata }

    mutating func append(_ packet: RawSpan, metadata: TransmitMetadata) {
        guard bytes + packet.byteCount <= Self.limit else {
            dropped += 1
            return
        }
        var copy = spare.popLast() ?? []
        copy.removeAll(keepingCapacity: true)
        unsafe packet.withUnsafeBytes { unsafe copy.append(contentsOf: $0) }
        bytes += copy.count
        packets.append((copy, metadata))
    }

    /// Copies the oldest packet to `offset`; it stays the oldest until ``removeFirst()``.
    func copyFirst(into buffer: inout MutableRawSpan, at offset: Int) {
        guard let first = packets.first else { return }
        unsafe buffer.withUnsafeMutableBytes { target in
            unsafe first.bytes.withUnsafeBytes { source in
                precondition(source.count <= target.count - offset)
                guard let base = source.baseAddress else { return }
                unsafe (target.baseAddress! + offset).copyMemory(from: base, byteCount: source.count)
            }
        }
    }

    mutating func removeFirst() {
        let first = packets.removeFirst()
        bytes -= first.bytes.count
        if spare.count < 64 { spare.append(first.bytes) }
    }

    mutating func removeAll() {
        packets.removeAll()
        bytes = 0
    }
}
