import TransportValues

/// Seeded faults on a real device, for tests: each probability is between 0 and 1 and applies to each packet by itself.
public struct FaultPlan: Sendable, Equatable {
    public var sendDrop = 0.0
    public var sendDuplicate = 0.0
    /// One bit of the packet is flipped.
    public var sendCorrupt = 0.0
    public var receiveDrop = 0.0
    public var receiveDuplicate = 0.0
    public var receiveCorrupt = 0.0

    public init() {}
}

/// Decides the fate of each packet from a plan and a seed: the same packets meet the same fates.
struct FaultInjector: ~Copyable {
    enum Fate: Equatable {
        case pass, drop, duplicate
        /// Flip bit `bit` (0…7) of byte `byte`.
        case corrupt(byte: Int, bit: UInt8)
    }

    let plan: FaultPlan
    private var randomness: RandomSource
    private(set) var dropped: UInt64 = 0
    private(set) var duplicated: UInt64 = 0
    private(set) var corrupted: UInt64 = 0
    /// For a changed copy of a received packet, which is lent to us unchangeable.
    private var scratch = PacketMemory(count: largestPacket + 1)

    init(_ plan: FaultPlan, seed: UInt64) {
        self.plan = plan
        randomness = RandomSource(seed: seed)
    }

    mutating func fateOfSent(length: Int) -> Fate {
        fate(length, drop: plan.sendDrop, duplicate: plan.sendDuplicate, corrupt: plan.sendCorrupt)
    }

    mutating func fateOfReceived(length: Int) -> Fate {
        fate(length, drop: plan.receiveDrop, duplicate: plan.receiveDuplicate, corrupt: plan.receiveCorrupt)
    }

    private mutating func fate(_ length: Int, drop: Double, duplicate: Double, corrupt: Double) -> Fate {
        if randomness.chance(drop) {
            dropped += 1
            return .drop
        }
        if randomness.chance(duplicate) {
            duplicated += 1
            return .duplicate
        }
        guard length > 0, randomness.chance(corrupt) else { return .pass }
        corrupted += 1
        let word = randomness.next()
        return .corrupt(byte: Int((word >> 3) % UInt64(length)), bit: UInt8(word & 7))
    }

    /// Lets a received packet meet its fate on its way to `body`.
    mutating func deliver(
        _ packet: RawSpan, _ metadata: ReceivedPacketMetadata, _ body: (RawSpan, ReceivedPacketMetadata) -> Void
    ) {
        switch fateOfReceived(length: packet.byteCount) {
        case .pass: body(packet, metadata)
        case .drop: break
        case .duplicate:
            body(packet, metadata)
            body(packet, metadata)
        case .corrupt(let byte, let bit):
            guard packet.byteCount <= scratch.count else { return }
            scratch.copy(packet)
            var copy = scratch.mutableBytes(0..<packet.byteCount)
            Self.flip(&copy, byte, bit)
            // No device vouches for a packet that was damaged on the wire.
            var damaged = metadata
            damaged.checksum = .unverified
            body(scratch.bytes(0..<packet.byteCount), damaged)
        }
    }

    static func flip(_ bytes: inout MutableRawSpan, _ byte: Int, _ bit: UInt8) {
        let old = bytes.bytes.native(UInt8.self, at: byte) ?? 0
        bytes.storeBytes(of: old ^ 1 << bit, toByteOffset: byte, as: UInt8.self)
    }
}
