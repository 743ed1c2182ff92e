public import TransportValues

/// The Internet checksum (RFC 1071): a ones' complement sum of 16-bit big-endian words.
///
/// Sums are kept unfolded in 64 bits, so parts can be summed apart, added with `&+` and folded once. A sum stays right
/// while fewer than 2^31 parts are added.
public enum InternetChecksum {
    /// The unfolded sum of `bytes`: bytes at even offsets are the high halves of words, and a last odd byte is a high
    /// half followed by zero.
    public static func sum(_ bytes: RawSpan, initial: UInt64 = 0) -> UInt64 {
        // Sums in the machine's own byte order: the ones' complement sum only comes out byte-swapped (RFC 1071 §2(B)).
        // Each 8 bytes are added with their carry, which costs two instructions.
        var first: UInt64 = 0
        var second: UInt64 = 0
        var carries: UInt64 = 0
        var otherCarries: UInt64 = 0
        let count = bytes.byteCount
        var offset = 0
        let blocks = count & ~31
        while offset < blocks {
            first = add(unsafe bytes.uncheckedNative64(offset), to: first, &carries)
            second = add(unsafe bytes.uncheckedNative64(offset &+ 8), to: second, &otherCarries)
            first = add(unsafe bytes.uncheckedNative64(offset &+ 16), to: first, &carries)
            second = add(unsafe bytes.uncheckedNative64(offset &+ 24), to: second, &otherCarries)
            offset &+= 32
        }
        while offset &+ 8 <= count {
            first = add(unsafe bytes.uncheckedNative64(offset), to: first, &carries)
            offset &+= 8
        }
        if offset < count {
            var tail: UInt64 = 0
            var shift: UInt64 = 0
            while offset < count {
                tail |= UInt64(bytes.byte(offset)) &<< shift
                shift &+= 8
                offset &+= 1
            }
            first = add(UInt64(littleEndian: tail), to: first, &carries)
        }
        let folded = fold(words(first) &+ words(second) &+ carries &+ otherCarries)
        return UInt64(UInt16(bigEndian: folded)) &+ initial
    }

    @inline(__always)
    private static func add(_ value: UInt64, to sum: UInt64, _ carries: inout UInt64) -> UInt64 {
        let (result, carry) = sum.addingReportingOverflow(value)
        carries &+= carry ? 1 : 0
        return result
    }

    /// The sum of a slice that begins at an odd offset of the whole: its bytes change halves.
    @inlinable
    public static func swapped(_ sum: UInt64) -> UInt64 { UInt64(fold(sum).byteSwapped) }

    /// Folds a sum to 16 bits with end-around carry; not complemented.
    @inlinable
    public static func fold(_ sum: UInt64) -> UInt16 {
        var value = (sum & 0xffff_ffff) &+ (sum >> 32)
        value = (value & 0xffff) &+ (value >> 16)
        value = (value & 0xffff) &+ (value >> 16)
        value = (value & 0xffff) &+ (value >> 16)
        return UInt16(truncatingIfNeeded: value)
    }

    /// The unfolded sum of a pseudo-header: RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6.
    /// - Parameter length: bytes of the transport header and its payload.
    @inlinable
    public static func pseudoHeaderSum(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, length: Int
    ) -> UInt64 {
        // An IPv4 address has zeros in its other 96 bits, so both families add alike.
        words(source.high) &+ words(source.low) &+ words(destination.high) &+ words(destination.low)
            &+ UInt64(protocolNumber) &+ UInt64(truncatingIfNeeded: length)
    }

    /// A 64-bit value as two 32-bit words, whose ones' complement sum folds to that of its four 16-bit words.
    @inlinable @inline(always)
    static func words(_ value: UInt64) -> UInt64 { (value >> 32) &+ (value & 0xffff_ffff) }

    /// The checksum of a DSS mapping as it stands on the wire, complemented.
    ///
    ///= RFC 8684 §3.3.1 the checksum covers a pseudo-header of the 64-bit data sequence number, the subflow sequence
    /// number, the data-level length and a zero word, and then the data; always with the 64-bit data sequence number.
    /// - Parameter payloadSum: ``sum(_:initial:)`` over the mapped bytes.
    @inlinable
    public static func dataSequenceChecksum(
        dataSequence: UInt64, subflowSequence: UInt32, length: UInt16, payloadSum: UInt64
    ) -> UInt16 {
        ~fold(words(dataSequence) &+ UInt64(subflowSequence) &+ UInt64(length) &+ UInt64(fold(payloadSum)))
    }
}
