import TransportValues
import WireFormats

/// What a listener answers with whose half-open queue is full: a SYN/ACK of which nothing is kept (RFC 4987 §3.6).
///
/// Its initial sequence number carries, from the highest bit: 24 bits of a message authentication code over four-tuple,
/// the peer's number and all below; 2 bits of the period; 3 bits of what MP_CAPABLE was offered; 3 bits of the peer's MSS.
/// Window scale and SACK-permitted stand in the lowest 5 bits of our timestamp, where the SYN has one, and come back in
/// its echo; without it neither is offered.
struct SynCookies {
    /// What the SYN's MP_CAPABLE came to.
    enum Offer: UInt8 {
        case plain, one, oneWithChecksum, zero, zeroWithChecksum

        init(_ version: MultipathVersion?, checksum: Bool) {
            switch version {
            case .none: self = .plain
            case .one: self = checksum ? .oneWithChecksum : .one
            case .zero: self = checksum ? .zeroWithChecksum : .zero
            }
        }

        var version: MultipathVersion? {
            switch self {
            case .plain: nil
            case .one, .oneWithChecksum: .one
            case .zero, .zeroWithChecksum: .zero
            }
        }

        var checksum: Bool { self == .oneWithChecksum || self == .zeroWithChecksum }
    }

    /// What the third segment's acknowledgement number says.
    struct Content: Equatable {
        var offer: Offer
        var segmentSize: UInt16
        var key: UInt64
    }

    struct Cookie {
        var sequence: SequenceNumber
        var key: UInt64
    }

    /// A cookie is good for one to two of these.
    static let period = TimeSpan.seconds(64 as Int64)
    /// The largest that is not above what the peer announced is taken. (88 is the least that a subflow plans with.)
    private static let segmentSizes: InlineArray<8, UInt16> = [88, 536, 1220, 1360, 1400, 1440, 1460, 8960]
    private static let noScale: UInt32 = 15

    private let sequenceHash: KeyedHash
    private let keyHash: KeyedHash

    init(drawingFrom random: inout RandomSource) {
        sequenceHash = KeyedHash(drawingFrom: &random)
        keyHash = KeyedHash(drawingFrom: &random)
    }

    // MARK: Initial sequence number

    //= RFC 8684 §3.1 the key of the SYN/ACK is echoed in the third segment: it is made again from the same code, of which
    // the sequence number shows 24 of 64 bits, so it needs no memory and nobody else can tell it
    func cookie(
        _ tuple: FourTuple, peer: SequenceNumber, offer: Offer, announced: UInt16?, now: MonotonicInstant
    ) -> Cookie {
        var index = 0
        let size = announced ?? 536
        while index < 7, Self.segmentSizes[index + 1] <= size { index += 1 }
        let period = Self.number(of: now)
        let fields = UInt32(truncatingIfNeeded: period & 3) << 6 | UInt32(offer.rawValue) << 3 | UInt32(index)
        let code = code(tuple, peer, period, fields)
        return Cookie(
            sequence: SequenceNumber(UInt32(truncatingIfNeeded: code) << 8 | fields),
            key: keyHash.authenticator(of: code))
    }

    /// What a cookie holds; nil when it is not one of ours for this peer, or too old.
    func check(
        _ cookie: SequenceNumber, _ tuple: FourTuple, peer: SequenceNumber, now: MonotonicInstant
    ) -> Content? {
        let fields = cookie.rawValue & 0xff
        let current = Self.number(of: now)
        let age = (current &- UInt64(fields >> 6)) & 3
        guard age <= 1, age <= current, let offer = Offer(rawValue: UInt8(fields >> 3 & 7)) else { return nil }
        let code = code(tuple, peer, current &- age, fields)
        guard UInt32(truncatingIfNeeded: code) << 8 == cookie.rawValue & ~0xff else { return nil }
        return Content(
            offer: offer, segmentSize: Self.segmentSizes[Int(fields & 7)], key: keyHash.authenticator(of: code))
    }

    private func code(_ tuple: FourTuple, _ peer: SequenceNumber, _ period: UInt64, _ fields: UInt32) -> UInt64 {
        sequenceHash.authenticator(of: tuple, UInt64(peer.rawValue) << 32 | UInt64(fields), period)
    }

    private static func number(of now: MonotonicInstant) -> UInt64 {
        UInt64(max(0, now.nanoseconds)) / UInt64(period.nanoseconds)
    }

    // MARK: Timestamp

    /// The latest value not after `clock` whose lowest bits say what the SYN offered.
    static func stamp(_ clock: UInt32, _ syn: TCPOptions) -> UInt32 {
        let bits = (syn.windowScale.map(UInt32.init) ?? noScale) | (syn.sackPermitted ? 16 : 0)
        let value = clock & ~31 | bits
        return value > clock ? value &- 32 : value
    }

    /// The options of the SYN that a third segment answers for.
    static func options(_ content: Content, echo: TCPTimestamps?) -> TCPOptions {
        var options = TCPOptions()
        options.maximumSegmentSize = content.segmentSize
        guard let stamp = echo else { return options }
        options.timestamps = TCPTimestamps(value: stamp.value, echo: 0)
        options.sackPermitted = stamp.echo & 16 != 0
        let scale = stamp.echo & 15
        if scale != noScale { options.windowScale = UInt8(min(scale, 14)) }
        return options
    }
}
