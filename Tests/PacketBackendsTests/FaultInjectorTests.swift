import Testing
import TransportValues

@testable import PacketBackends

struct FaultInjectorTests {
    private func fates(_ plan: FaultPlan, seed: UInt64, count: Int = 10_000) -> [FaultInjector.Fate] {
        var injector = FaultInjector(plan, seed: seed)
        return (0..<count).map { _ in injector.fateOfSent(length: 100) }
    }

    @Test("the same seed gives the same fates, at about the planned rates")
    func seeded() {
        var plan = FaultPlan()
        (plan.sendDrop, plan.sendDuplicate, plan.sendCorrupt) = (0.1, 0.05, 0.02)
        let first = fates(plan, seed: 1)
        #expect(first == fates(plan, seed: 1))
        #expect(first != fates(plan, seed: 2))
        #expect((900...1100).contains(first.filter { $0 == .drop }.count))
        #expect((350...550).contains(first.filter { $0 == .duplicate }.count))
        let corrupted = first.filter { if case .corrupt = $0 { true } else { false } }
        #expect((120...230).contains(corrupted.count))
        #expect(fates(FaultPlan(), seed: 1).allSatisfy { $0 == .pass })
    }

    @Test("a corrupted packet differs in one bit and nobody vouches for it; a duplicate comes twice, a drop never")
    func delivery() {
        let packet = [UInt8](repeating: 0, count: 50)
        func deliver(_ plan: FaultPlan) -> [([UInt8], ChecksumState)] {
            var injector = FaultInjector(plan, seed: 3)
            var seen: [([UInt8], ChecksumState)] = []
            injector.deliver(unsafe packet.span.bytes, ReceivedPacketMetadata(checksum: .trusted)) { bytes, metadata in
                seen.append(([UInt8](copying: bytes), metadata.checksum))
            }
            return seen
        }
        var plan = FaultPlan()
        plan.receiveCorrupt = 1
        let corrupted = deliver(plan)
        #expect(corrupted.count == 1 && corrupted[0].1 == .unverified)
        #expect(corrupted[0].0.map(\.nonzeroBitCount).reduce(0, +) == 1)
        plan.receiveDuplicate = 1
        #expect(deliver(plan).map(\.0) == [packet, packet])
        plan.receiveDrop = 1
        #expect(deliver(plan).isEmpty)
    }

    @Test(
        "faults on a device: dropped packets do not leave, duplicates leave twice, corruption switches offloads off",
        .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
    func onDevice() throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:mpt0,address=10.9.1.2/24"))
            var plan = FaultPlan()
            plan.sendDuplicate = 1
            tun.injectFaults(plan, seed: 1)
            var request = OutgoingPacket(echoFrom: IPAddress(10, 9, 1, 2), to: IPAddress(10, 9, 1, 1), identifier: 1)
            #expect(try request.send(by: &tun) == .sent)
            #expect(tun.counters.packetsSent == 2 && tun.faultCounts.duplicated == 1)
            #expect(tun.checksumOffload && tun.maximumPacket == 65_535)
            plan.sendDrop = 1
            plan.sendCorrupt = 0.1
            tun.injectFaults(plan, seed: 1)
            #expect(try request.send(by: &tun) == .sent)
            #expect(tun.counters.packetsSent == 2 && tun.faultCounts.dropped == 1)
            #expect(!tun.checksumOffload && tun.maximumPacket == 1500)
        }
    }
}
