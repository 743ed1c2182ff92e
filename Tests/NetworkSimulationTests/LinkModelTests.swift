import NetworkSimulation
import Testing
import TransportValues

/// A packet that arrived: when, and its bytes.
private struct Delivery: Equatable {
    var time: Int64
    var bytes: [UInt8]
}

private func instant(_ nanoseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: nanoseconds) }

private func offer(_ link: inout LinkModel, _ packet: [UInt8], now: MonotonicInstant) -> LinkModel.Verdict {
    unsafe link.enqueue(packet.span.bytes, now: now)
}

/// A packet whose bytes tell its number.
private func packet(_ number: Int, length: Int) -> [UInt8] {
    (0..<length).map { UInt8(truncatingIfNeeded: $0 < 2 ? number >> (8 * $0) : number &* 31 &+ $0 &* 7) }
}

private func drain(_ link: inout LinkModel, until end: Int64 = .max) -> [Delivery] {
    var deliveries: [Delivery] = []
    while link.nextDeparture != .distantFuture, link.nextDeparture.nanoseconds <= end {
        let now = link.nextDeparture
        let isDelivered = link.dequeue(now: now) { packet in
            let bytes = (0..<packet.byteCount).map { unsafe packet.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
            deliveries.append(Delivery(time: now.nanoseconds, bytes: bytes))
        }
        #expect(isDelivered)
    }
    return deliveries
}

@Suite struct LinkModelTests {
    @Test func rateAndDelayAreExact() {
        // 1,500 bytes at 10 Mbit/s take 1.2 ms, and the delay comes on top.
        var link = LinkModel(
            LinkConfiguration(rate: .megabits(10), delay: .milliseconds(10)), randomness: RandomSource(seed: 1))
        for number in 0..<4 {
            #expect(offer(&link, packet(number, length: 1500), now: instant(0)) == .accepted)
        }
        #expect(link.queueLength(now: instant(0)) == 6000)
        #expect(link.queueLength(now: instant(1_200_000)) == 4500)
        #expect(link.queueLength(now: instant(4_799_999)) == 1500)
        #expect(link.queueLength(now: instant(4_800_000)) == 0)
        let deliveries = drain(&link)
        #expect(deliveries.map(\.time) == [11_200_000, 12_400_000, 13_600_000, 14_800_000])
        #expect(deliveries.map(\.bytes) == (0..<4).map { packet($0, length: 1500) })
    }

    @Test func fractionsOfANanosecondAreCarried() {
        // 100 bytes at 3 Gbit/s take 266.67 ns; 30,000 of them exactly 8 ms.
        var link = LinkModel(
            LinkConfiguration(rate: BitRate(bitsPerSecond: 3_000_000_000)), randomness: RandomSource(seed: 1))
        let bytes = packet(1, length: 100)
        for _ in 0..<30_000 { _ = offer(&link, bytes, now: instant(0)) }
        #expect(drain(&link).last?.time == 8_000_000)
    }

    @Test func anUnlimitedLinkOnlyDelays() {
        var link = LinkModel(LinkConfiguration(delay: .microseconds(250)), randomness: RandomSource(seed: 1))
        _ = offer(&link, packet(1, length: 1500), now: instant(1000))
        _ = offer(&link, packet(2, length: 40), now: instant(1000))
        #expect(drain(&link).map(\.time) == [251_000, 251_000])
        #expect(link.counters.peakQueueBytes == 0)
    }

    @Test func aFullQueueDropsTheTail() {
        var link = LinkModel(
            LinkConfiguration(rate: .megabits(8), queueBytes: 3000), randomness: RandomSource(seed: 1))
        var verdicts: [LinkModel.Verdict] = []
        for number in 0..<4 {
            verdicts.append(offer(&link, packet(number, length: 1000), now: instant(0)))
        }
        #expect(verdicts == [.accepted, .accepted, .accepted, .dropped(.queueFull)])
        // One packet is through after 1 ms, and leaves room for exactly one.
        #expect(offer(&link, packet(5, length: 1000), now: instant(1_000_000)) == .accepted)
        #expect(offer(&link, packet(6, length: 1), now: instant(1_000_000)) == .dropped(.queueFull))
        #expect(drain(&link).count == 4)
        #expect(link.counters[.queueFull] == 2)
        #expect(link.counters.peakQueueBytes == 3000)
    }

    @Test func aQueueLimitInPackets() {
        var link = LinkModel(
            LinkConfiguration(rate: .megabits(8), queuePackets: 2), randomness: RandomSource(seed: 1))
        var accepted = 0
        for number in 0..<5 where offer(&link, packet(number, length: 100), now: instant(0)) == .accepted {
            accepted += 1
        }
        #expect(accepted == 2)
    }

    @Test func aPacketLargerThanTheQueuePassesAnIdleTransmitter() {
        var link = LinkModel(
            LinkConfiguration(rate: .megabits(8), queueBytes: 500), randomness: RandomSource(seed: 1))
        #expect(offer(&link, packet(1, length: 1000), now: instant(0)) == .accepted)
        #expect(offer(&link, packet(1, length: 1000), now: instant(0)) == .dropped(.queueFull))
    }

    @Test(arguments: [0.001, 0.01, 0.1, 0.5])
    func lossKeepsItsRatio(loss: Double) {
        var link = LinkModel(LinkConfiguration(loss: loss), randomness: RandomSource(seed: 42))
        let count = 50_000
        let bytes = packet(1, length: 40)
        for index in 0..<count {
            _ = offer(&link, bytes, now: instant(Int64(index)))
            _ = link.dequeue(now: instant(Int64(index))) { _ in }
        }
        // Five standard deviations of a binomial distribution.
        let expected = Double(count) * loss
        let bound = 5 * (expected * (1 - loss)).squareRoot()
        #expect(abs(Double(link.counters[.lost]) - expected) < bound)
        #expect(link.counters.deliveredPackets + link.counters[.lost] == UInt64(count))
    }

    @Test func lostPacketsTakeTheirTransmissionTime() {
        var link = LinkModel(LinkConfiguration(rate: .megabits(8), loss: 0.5), randomness: RandomSource(seed: 3))
        for number in 0..<100 { _ = offer(&link, packet(number, length: 1000), now: instant(0)) }
        let deliveries = drain(&link)
        #expect(deliveries.count < 100)
        // Packet n ends n + 1 milliseconds after the start, whatever was lost before it.
        for delivery in deliveries {
            #expect(delivery.bytes == packet(Int(delivery.time / 1_000_000) - 1, length: 1000))
        }
    }

    @Test func reorderingLetsLaterPacketsOvertake() {
        var link = LinkModel(
            LinkConfiguration(delay: .milliseconds(1), reordering: 0.1, reorderingDelay: .milliseconds(3)),
            randomness: RandomSource(seed: 5))
        for number in 0..<1000 {
            _ = offer(&link, packet(number, length: 60), now: instant(Int64(number) * 100_000))
        }
        let deliveries = drain(&link)
        #expect(deliveries.count == 1000)
        let late = deliveries.filter { delivery in
            let sent = Int(delivery.bytes[0]) + Int(delivery.bytes[1]) << 8
            return delivery.time == Int64(sent) * 100_000 + 4_000_000
        }
        #expect(late.count == Int(link.counters.reordered))
        #expect((60...150).contains(late.count))
        #expect(zip(deliveries, deliveries.dropFirst()).allSatisfy { $0.time <= $1.time })
    }

    @Test func duplicatesArriveTwice() {
        var link = LinkModel(LinkConfiguration(duplication: 0.25), randomness: RandomSource(seed: 6))
        for number in 0..<1000 {
            _ = offer(&link, packet(number, length: 60), now: instant(Int64(number)))
        }
        let deliveries = drain(&link)
        #expect(deliveries.count == 1000 + Int(link.counters.duplicated))
        #expect((180...320).contains(link.counters.duplicated))
    }

    @Test func corruptionFlipsExactlyOneBit() {
        var link = LinkModel(LinkConfiguration(corruption: 1), randomness: RandomSource(seed: 7))
        var positions: Set<Int> = []
        for number in 0..<500 {
            let original = packet(number, length: 60)
            _ = offer(&link, original, now: instant(Int64(number)))
            let arrived = drain(&link)[0].bytes
            let flipped = zip(original, arrived).map { ($0 ^ $1).nonzeroBitCount }
            #expect(flipped.reduce(0, +) == 1)
            positions.insert(flipped.firstIndex(of: 1)!)
        }
        #expect(positions.count > 50)
        #expect(link.counters.corrupted == 500)
    }

    @Test func aLinkTakenAwayLosesWhatItHolds() {
        var link = LinkModel(
            LinkConfiguration(rate: .megabits(8), delay: .milliseconds(5)), randomness: RandomSource(seed: 1))
        for number in 0..<10 { _ = offer(&link, packet(number, length: 1000), now: instant(0)) }
        #expect(drain(&link, until: 6_000_000).count == 1)
        link.setUp(false, now: instant(6_500_000))
        #expect(link.nextDeparture == .distantFuture)
        #expect(offer(&link, packet(1, length: 9), now: instant(7_000_000)) == .dropped(.linkDown))
        #expect(link.counters[.linkDown] == 10)
        link.setUp(true, now: instant(8_000_000))
        #expect(offer(&link, packet(1, length: 1000), now: instant(8_000_000)) == .accepted)
        #expect(drain(&link).map(\.time) == [14_000_000])
    }

    @Test func wrongSizesAndFullMemoryAreCounted() {
        var link = LinkModel(
            LinkConfiguration(delay: .milliseconds(1000), mtu: 100), randomness: RandomSource(seed: 1), memoryLimit: 250
        )
        #expect(offer(&link, packet(1, length: 101), now: instant(0)) == .dropped(.badSize))
        #expect(offer(&link, [UInt8](), now: instant(0)) == .dropped(.badSize))
        for _ in 0..<2 { #expect(offer(&link, packet(1, length: 100), now: instant(0)) == .accepted) }
        #expect(offer(&link, packet(1, length: 100), now: instant(0)) == .dropped(.memory))
        #expect(drain(&link).count == 2)
        #expect(offer(&link, packet(1, length: 100), now: instant(0)) == .accepted)
    }

    /// One run of a link with every impairment.
    private func impaired(seed: UInt64) -> (deliveries: [Delivery], counters: LinkCounters) {
        var link = LinkModel(
            LinkConfiguration(
                rate: .megabits(20), delay: .milliseconds(7), queueBytes: 20_000, loss: 0.05, reordering: 0.05,
                reorderingDelay: .milliseconds(2), duplication: 0.05, corruption: 0.05),
            randomness: RandomSource(seed: seed))
        var deliveries: [Delivery] = []
        var random = RandomSource(seed: 99)
        for number in 0..<1000 {
            let now = Int64(number) * 300_000
            deliveries += drain(&link, until: now)
            let length = Int.random(in: 40...1500, using: &random)
            _ = offer(&link, packet(number, length: length), now: instant(now))
        }
        deliveries += drain(&link)
        return (deliveries, link.counters)
    }

    @Test func oneSeedGivesOneCourse() {
        let first = impaired(seed: 11)
        let second = impaired(seed: 11)
        #expect(first.deliveries == second.deliveries)
        #expect(first.counters == second.counters)
        #expect(impaired(seed: 12).deliveries != first.deliveries)
    }

    @Test func everyPacketIsAccountedFor() {
        for seed in 0..<4 {
            let counters = impaired(seed: UInt64(seed)).counters
            #expect(
                counters.offeredPackets + counters.duplicated == counters.deliveredPackets + counters.droppedPackets)
            #expect(counters[.lost] > 0 && counters.duplicated > 0 && counters.corrupted > 0 && counters.reordered > 0)
        }
    }
}
