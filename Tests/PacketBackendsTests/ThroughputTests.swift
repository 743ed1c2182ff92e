import Foundation
import PacketBackends
import Testing
import TransportValues
import WireFormats

/// What a packet costs at the devices, without any protocol. Run with MPTCP_BENCH=1 and `-c release`; prints, and
/// fails only when packets go missing.
@Suite(
    .serialized,
    .enabled(
        if: Privilege.isThere && ProcessInfo.processInfo.environment["MPTCP_BENCH"] != nil,
        "set MPTCP_BENCH=1, as root"))
struct ThroughputTests {
    private static let own = Endpoint(IPAddress(10, 9, 1, 2), 5001)

    /// CPU time of this thread: what is shared with other work does not count.
    private struct CPUTime {
        var user: Double
        var system: Double

        init() {
            // RUSAGE_THREAD, which only GNU C shows.
            let thread: Int32 = 1
            var usage = rusage()
            _ = unsafe getrusage(thread, &usage)
            user = Double(usage.ru_utime.tv_sec) + Double(usage.ru_utime.tv_usec) * 1e-6
            system = Double(usage.ru_stime.tv_sec) + Double(usage.ru_stime.tv_usec) * 1e-6
        }
    }

    private static func report(_ name: String, packets: Int, bytes: Int, _ start: CPUTime) {
        let now = CPUTime()
        let (user, system) = (now.user - start.user, now.system - start.system)
        let nanoseconds = 1e9 / Double(packets)
        let gigabits = Double(bytes) * 8e-9 / (user + system)
        print(
            "bench \(name): \(Int(user * nanoseconds)) ns user, \(Int(system * nanoseconds)) ns system each;",
            String(format: "%.0f/s, %.2f Gbit/s a CPU", Double(packets) / (user + system), gigabits))
    }

    @Test("writing to a TUN device", arguments: [(1440, 0), (60_000, 1440)])
    func tunWrite(payload: Int, segmentSize: Int) throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:b0,address=10.9.1.2/24"))
            // To nobody: the kernel takes the packet in and drops it at its routing decision.
            var packet = OutgoingPacket(
                from: Self.own, to: Endpoint(IPAddress(172, 16, 0, 1), 80), sequence: 1, acknowledgment: 1, flags: .ack,
                payload: [UInt8](repeating: 1, count: payload), segmentSize: segmentSize, partial: true)
            let count = 200_000
            let start = CPUTime()
            for _ in 0..<count { _ = try packet.send(by: &tun) }
            Self.report("TUN write \(payload)", packets: count, bytes: count * payload, start)
            #expect(tun.counters.packetsSent == UInt64(count))
        }
    }

    @Test("packet socket to TUN device and back, one thread", arguments: [(1440, 0), (60_000, 1440)])
    func bothWays(payload: Int, segmentSize: Int) throws {
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:b0,address=10.9.1.2/24"))
            var shared = try AnyPacketBackend(opening: .interface("b0"))
            let kernelSide = Endpoint(IPAddress(10, 9, 1, 1), 80)
            try shared.openPort(kernelSide)
            let reservation = try KernelPortReservation(kernelSide)
            let bytes = [UInt8](repeating: 1, count: payload)
            var down = OutgoingPacket(
                from: kernelSide, to: Self.own, sequence: 1, acknowledgment: 1, flags: .ack, payload: bytes,
                segmentSize: segmentSize, partial: true)
            var up = OutgoingPacket(
                from: Self.own, to: kernelSide, sequence: 1, acknowledgment: 1, flags: .ack, payload: bytes,
                segmentSize: segmentSize, partial: true)
            let rounds = 2000
            let batch = 32
            var received = 0
            var start = CPUTime()
            for _ in 0..<rounds {
                for _ in 0..<batch { _ = try down.send(by: &shared) }
                while try tun.receive({ packet, _ in received += packet.byteCount > payload ? 1 : 0 }) > 0 {}
            }
            Self.report("packet socket write, TUN read \(payload)", packets: received, bytes: received * payload, start)
            #expect(received == rounds * batch)
            received = 0
            start = CPUTime()
            for _ in 0..<rounds {
                for _ in 0..<batch { _ = try up.send(by: &tun) }
                while try shared.receive({ packet, _ in received += packet.byteCount > payload ? 1 : 0 }) > 0 {}
            }
            Self.report("TUN write, packet socket read \(payload)", packets: received, bytes: received * payload, start)
            #expect(received == rounds * batch)
            _ = reservation.endpoint
        }
    }

    @Test("opening and closing ports")
    func ports() throws {
        let link = try LinkedNamespaces()
        try link.left.inside {
            var shared = try AnyPacketBackend(opening: .interface("left"))
            for count in [64, 1000] {
                let start = CPUTime()
                for index in 0..<count {
                    try shared.openPort(Endpoint(IPAddress(10, 77, 0, 1), UInt16(10_000 + index * 7)))
                }
                Self.report("opening \(count) ports", packets: count, bytes: 0, start)
            }
        }
    }
}
