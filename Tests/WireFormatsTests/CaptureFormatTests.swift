import Foundation
import LabSupport
import Testing
import TransportValues

import WireFormats

@Suite struct CaptureFormatTests {
    struct Frame: Equatable {
        var interface: String
        var linkType: CaptureLinkType
        var time: Int64
        var bytes: [UInt8]
        var originalLength: Int
    }

    static func frames(_ file: [UInt8]) throws -> [Frame] {
        var reader = try CaptureReader(file)
        var frames: [Frame] = []
        while let frame = try reader.next() {
            let interface = reader.interfaces[frame.interface]
            frames.append(
                Frame(
                    interface: interface.name, linkType: interface.linkType, time: frame.time,
                    bytes: Array(reader.bytes[frame.range]), originalLength: frame.originalLength))
        }
        return frames
    }

    /// A pcapng of two interfaces with random frames of IP packets.
    static func sample(_ random: inout RandomSource) -> (file: [UInt8], frames: [Frame]) {
        var file: [UInt8] = []
        var writer = PcapngWriter(into: &file)
        let names = ["wlan0", "rmnet_data1"]
        let links: [CaptureLinkType] = [.rawIP, .ethernet]
        for (name, link) in zip(names, links) {
            _ = writer.addInterface(name: name, linkType: link, into: &file)
        }
        var frames: [Frame] = []
        var time: Int64 = 1_790_000_000_123_456_789
        for index in 0..<20 {
            let packet = packet(
                optionBytes: [30, 8, 0x20, 0x01, 1, 2, 3, 4], payload: random.bytes(index), isIPv6: index % 3 == 0)
            let ethernet: [UInt8] =
                [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] + (index % 3 == 0 ? [0x86, 0xdd] : [8, 0])
            let bytes = index % 2 == 0 ? packet : ethernet + packet
            time += Int64(random.next() % 1_000_000_000)
            let original = index % 5 == 0 ? bytes.count + 100 : bytes.count
            let direction: PcapngWriter.Direction = [.unknown, .inbound, .outbound][index % 3]
            bytes.lend {
                writer.packet(
                    $0, interface: index % 2, time: time, direction: direction, originalLength: original, into: &file)
            }
            frames.append(
                Frame(
                    interface: names[index % 2], linkType: links[index % 2], time: time, bytes: bytes,
                    originalLength: original))
        }
        return (file, frames)
    }

    @Test(arguments: 0..<20)
    func pcapngRoundTrip(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        let (file, frames) = Self.sample(&random)
        #expect(file.count % 4 == 0)
        #expect(try Self.frames(file) == frames)
        // Two sections one behind the other: the second's interfaces are its own.
        #expect(try Self.frames(file + file) == frames + frames)
    }

    @Test(arguments: 0..<20)
    func pcapRoundTrip(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        var file: [UInt8] = []
        PcapWriter.header(.rawIP, into: &file)
        var frames: [Frame] = []
        for index in 0..<20 {
            let bytes = random.bytes(20 + index)
            let time = Int64(random.next() % 4_000_000_000) * 1_000_000_000 + Int64(random.next() % 1_000_000_000)
            bytes.lend { PcapWriter.record($0, time: time, originalLength: 1500, into: &file) }
            frames.append(Frame(interface: "", linkType: .rawIP, time: time, bytes: bytes, originalLength: 1500))
        }
        #expect(try Self.frames(file) == frames)
    }

    /// A little-endian pcap with microseconds, as tcpdump writes it on most machines.
    @Test func littleEndianPcap() throws {
        let file: [UInt8] =
            [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]
            + [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 7, 8, 9]
        let frame = Frame(
            interface: "", linkType: .ethernet, time: 1_000_002_000, bytes: [7, 8, 9], originalLength: 9)
        #expect(try Self.frames(file) == [frame])
        for length in 0..<file.count where length != 24 {
            #expect(throws: CaptureError.self) { try Self.frames(Array(file[..<length])) }
        }
    }

    /// A little-endian section with an unknown block, a simple packet block and binary time resolution.
    @Test func littleEndianPcapng() throws {
        var file: [UInt8] = [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]
        file += Array(repeating: 0xff, count: 8) + [28, 0, 0, 0]
        // Interface: Linux cooked 2, times in 2^-1 seconds, from 5 seconds on.
        file += [1, 0, 0, 0, 44, 0, 0, 0, 0x14, 1, 0, 0, 0, 0, 0, 0]
        file += [9, 0, 1, 0, 0x81, 0, 0, 0, 14, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0]
        file += [0xbc, 0x0b, 0, 0, 16, 0, 0, 0, 1, 2, 3, 4, 16, 0, 0, 0]
        file += [6, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]
        file += [0xaa, 0xbb, 0, 0, 36, 0, 0, 0]
        file += [3, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 0, 20, 0, 0, 0]
        let frames = try Self.frames(file)
        #expect(
            frames == [
                Frame(
                    interface: "", linkType: .linuxCooked2, time: 6_500_000_000, bytes: [0xaa, 0xbb],
                    originalLength: 2),
                Frame(interface: "", linkType: .linuxCooked2, time: 0, bytes: [1, 2, 3], originalLength: 3),
            ])
    }

    @Test func impossibleFilesThrow() {
        #expect(throws: CaptureError.unknownFormat) { try CaptureReader([1, 2, 3, 4, 5]) }
        #expect(throws: CaptureError.truncated) { try CaptureReader([0xa1]) }
        // A packet before any interface.
        var file: [UInt8] = []
        _ = PcapngWriter(into: &file)
        let packetBlock: [UInt8] =
            [0, 0, 0, 6, 0, 0, 0, 32] + Array(repeating: 0, count: 20) + [0, 0, 0, 32]
        #expect(throws: CaptureError.unknownInterface) { try Self.frames(file + packetBlock) }
        // A packet longer than its block, though not than the file.
        var described = file
        var writer = PcapngWriter(into: &described)
        _ = writer.addInterface(name: "a", linkType: .rawIP, into: &described)
        for length in [1, 4, 12, 20, 0xff] as [UInt8] {
            var long: [UInt8] = [0, 0, 0, 6, 0, 0, 0, 32] + Array(repeating: 0, count: 20) + [0, 0, 0, 32]
            long[23] = length
            // A well-formed block behind it, which alone would be passed over.
            let padding: [UInt8] =
                [0, 0, 0, 9, 0, 0, 1, 0x2c] + Array(repeating: 0, count: 288) + [0, 0, 1, 0x2c]
            #expect(throws: CaptureError.badLength) { try Self.frames(described + long + padding) }
            let simple: [UInt8] = [0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0, length, 0, 0, 0, 16]
            #expect(throws: CaptureError.badLength) { try Self.frames(described + simple + padding) }
        }
        // The two lengths of a block disagree.
        #expect(throws: CaptureError.badLength) { try Self.frames(file + [0, 0, 0, 9, 0, 0, 0, 12, 0, 0, 0, 16]) }
        #expect(throws: CaptureError.badLength) { try Self.frames(file + [0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 8]) }
    }

    /// Cut and broken files throw or end, and never trap.
    @Test func brokenFilesNeverTrap() {
        var random = RandomSource(seed: 11)
        let (file, _) = Self.sample(&random)
        for _ in 0..<5_000 {
            var broken = Array(file.prefix(Int(random.next() % UInt64(file.count))))
            guard !broken.isEmpty else { continue }
            for _ in 0..<random.next() % 4 {
                broken[Int(random.next() % UInt64(broken.count))] = random.integer()
            }
            guard var reader = try? CaptureReader(broken) else { continue }
            while let frame = try? reader.next() {
                if let range = reader.networkPacket(of: frame) { #expect(range.upperBound <= broken.count) }
            }
        }
    }

    @Test func linkLayers() {
        let body: [UInt8] = [0x45, 0, 0, 20]
        let addresses = Array(repeating: 1 as UInt8, count: 12)
        let cases: [(CaptureLinkType, [UInt8], Int?)] = [
            (.rawIP, body, 0), (.ipv4, body, 0), (.ipv6, [], nil),
            (.ethernet, addresses + [8, 0] + body, 14),
            (.ethernet, addresses + [0x81, 0, 0, 5, 0x86, 0xdd] + body, 18),
            (.ethernet, addresses + [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0] + body, 22),
            (.ethernet, addresses + [8, 6] + body, nil), (.ethernet, addresses, nil),
            (.linuxCooked, Array(repeating: 0, count: 14) + [8, 0] + body, 16),
            (.linuxCooked2, [8, 0] + Array(repeating: 0, count: 18) + body, 20),
            (.linuxCooked2, [8, 0, 0, 0], nil), (CaptureLinkType(rawValue: 9), body, nil),
        ]
        for (link, frame, expected) in cases {
            #expect(frame.lend { link.networkOffset(in: $0) } == expected, "\(link) \(frame)")
        }
    }

    static let tshark = "/usr/bin/tshark"

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: tshark), "tshark is not installed"))
    func tsharkReadsOurPcapng() throws {
        var random = RandomSource(seed: 3)
        let (file, frames) = Self.sample(&random)
        let path = FileManager.default.temporaryDirectory.appending(path: "wire-\(UUID()).pcapng")
        defer { try? FileManager.default.removeItem(at: path) }
        try Data(file).write(to: path)
        let process = Process()
        process.executableURL = URL(filePath: Self.tshark)
        process.arguments = [
            "-r", path.path(), "-T", "fields", "-E", "separator=,", "-e", "frame.interface_name",
            "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len", "-e", "tcp.options.mptcp.rawdataack",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readAll(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let lines = text.split(separator: "\n")
        #expect(lines.count == frames.count)
        for (line, frame) in zip(lines, frames) {
            let time = "\(frame.time / 1_000_000_000).\(String(frame.time % 1_000_000_000 + 1_000_000_000).dropFirst())"
            #expect(line.hasPrefix("\(frame.interface),\(time),\(frame.bytes.count),\(frame.originalLength),16909060"))
        }
    }
}
