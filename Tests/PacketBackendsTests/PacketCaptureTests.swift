import Foundation
import Testing
import TransportValues
import WireFormats

@testable import PacketBackends

struct PacketCaptureTests {
    private static func frames(in path: String) throws -> ([CaptureInterface], [CapturedFrame]) {
        var reader = try CaptureReader([UInt8](Data(contentsOf: URL(fileURLWithPath: path))))
        var frames: [CapturedFrame] = []
        while let frame = try reader.next() { frames.append(frame) }
        return (reader.interfaces, frames)
    }

    private static func temporaryPath() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("be-\(UUID().uuidString).pcapng").path
    }

    @Test("one file holds the packets of several paths, in order")
    func severalPaths() throws {
        let path = Self.temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let capture = try PacketCapture(path: path)
        let first = capture.addInterface(name: "eth0")
        let small: [UInt8] = [0x45, 1, 2]
        let other: [UInt8] = [0x60, 4]
        let large = [UInt8](repeating: 0x45, count: 65_535)
        capture.record(unsafe small.span.bytes, interface: first, direction: .inbound)
        let second = capture.addInterface(name: "eth1")
        capture.record(unsafe other.span.bytes, interface: second, direction: .outbound)
        capture.record(unsafe large.span.bytes, interface: first, direction: .inbound)
        #expect(capture.packetsCaptured == 0, "buffered")
        capture.flush()
        #expect(capture.packetsCaptured == 3 && capture.packetsLost == 0 && capture.failure == nil)
        let (interfaces, frames) = try Self.frames(in: path)
        #expect(interfaces.count == 2)
        #expect(frames.map(\.interface) == [0, 1, 0])
        #expect(frames.map(\.range.count) == [3, 2, 65_535])
    }

    @Test("a file that cannot be made is an error at once")
    func noFile() {
        #expect(throws: BackendError.captureFailed(path: "/nowhere/x", reason: "No such file or directory")) {
            _ = try PacketCapture(path: "/nowhere/x")
        }
        #expect(throws: BackendError.captureFailed(path: "/dev/full", reason: "No space left on device")) {
            _ = try PacketCapture(path: "/dev/full")
        }
    }

    @Test(
        "a full disk ends the capture with one clear error, a readable file, and counted packets",
        .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
    func fullDisk() throws {
        let directory = Self.temporaryPath()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory)
        defer {
            _ = try? run("umount", directory)
            try? FileManager.default.removeItem(atPath: directory)
        }
        let path = directory + "/full.pcapng"
        let capture = try PacketCapture(path: path)
        let interface = capture.addInterface(name: "eth0")
        let packet = [UInt8](repeating: 0x45, count: 1400)
        for _ in 0..<100 {
            capture.record(unsafe packet.span.bytes, interface: interface, direction: .inbound)
            capture.flush()
        }
        #expect(capture.failure == .captureFailed(path: path, reason: "No space left on device"))
        #expect("\(capture.failure!)".contains("traffic goes on"))
        #expect(capture.packetsCaptured + capture.packetsLost == 100)
        #expect(capture.packetsCaptured > 20 && capture.packetsLost > 50)
        let (_, frames) = try Self.frames(in: path)
        #expect(frames.count == Int(capture.packetsCaptured))
    }

    @Test(
        "packets that pass a device are in its capture, both ways",
        .enabled(if: Privilege.isThere, Comment(rawValue: Privilege.reason)))
    func onDevice() throws {
        let path = Self.temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let namespace = try NetworkNamespace()
        try namespace.inside {
            var tun = try AnyPacketBackend(opening: PathSpecification(parsing: "tun:mpt0,address=10.9.1.2/24"))
            let capture = try PacketCapture(path: path)
            tun.attach(capture)
            var request = OutgoingPacket(echoFrom: IPAddress(10, 9, 1, 2), to: IPAddress(10, 9, 1, 1), identifier: 1)
            #expect(try request.send(by: &tun) == .sent)
            #expect(try awaitPacket(&tun) { $0.ip?.source == IPAddress(10, 9, 1, 1) } != nil)
            capture.flush()
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            let (_, frames) = try Self.frames(in: path)
            let types = frames.compactMap { bytes[$0.range.lowerBound] == 0x45 ? bytes[$0.range.lowerBound + 20] : nil }
            #expect(types == [8, 0])
        }
    }
}
