import Foundation
import Testing
import TransportValues
import WireFormats

/// The captures of real kernels that lie beside the repository.
enum SharedCaptures {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "../shared/captures").standardizedFileURL

    static let files: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? [])
        .filter { $0.hasSuffix(".pcapng") || $0.hasSuffix(".pcap") }.sorted()

    static var areMissing: Bool { files.isEmpty }

    static func reader(_ name: String) throws -> CaptureReader {
        try CaptureReader([UInt8](Data(contentsOf: folder.appending(path: name))))
    }

    /// Every IP packet of a file.
    static func packets(_ name: String) throws -> [[UInt8]] {
        var reader = try reader(name)
        var packets: [[UInt8]] = []
        while let frame = try reader.next() {
            if let range = reader.networkPacket(of: frame) { packets.append(Array(reader.bytes[range])) }
        }
        return packets
    }
}

extension [UInt8] {
    /// Lends the bytes to `body`.
    func lend<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(unsafe span.bytes)
    }
}
