import Foundation
import WireFormats

/// The capture files of a folder; empty where there is none.
public func captureFiles(in folder: String) -> [[UInt8]] {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    return names.filter { $0.hasSuffix(".pcapng") || $0.hasSuffix(".pcap") }
        .compactMap { name in
            (try? Data(contentsOf: URL(filePath: folder).appending(path: name))).map { [UInt8]($0) }
        }
}

/// The IP packets in capture files; what cannot be read is left out.
public func networkPackets(in files: [[UInt8]]) -> [[UInt8]] {
    var packets: [[UInt8]] = []
    for file in files {
        guard var reader = try? CaptureReader(file) else { continue }
        while let frame = try? reader.next() {
            if let range = reader.networkPacket(of: frame) { packets.append(Array(file[range])) }
        }
    }
    return packets
}
