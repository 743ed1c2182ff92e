import CLinux
import Glibc
import NetworkSimulation
import TransportValues
import WireFormats

/// Why a file could not be written.
enum DemoFileError: Error, CustomStringConvertible {
    case system(path: String, code: Int32)

    var description: String {
        switch self {
        case .system(let path, let code): "\(path): \(unsafe String(cString: strerror(code)))"
        }
    }
}

/// A file that is written from its beginning.
enum DemoFile {
    static func open(_ path: String) throws(DemoFileError) -> Int32 {
        let descriptor = unsafe clinux_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        if descriptor < 0 { throw .system(path: path, code: errno) }
        return descriptor
    }

    static func append(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(DemoFileError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { throw .system(path: path, code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    static func write(_ text: String, to path: String) throws(DemoFileError) {
        let descriptor = try open(path)
        defer { _ = close(descriptor) }
        try append(Array(text.utf8), to: descriptor, path)
    }
}

/// The demo's `--capture`: what the sending host sent and received, one pcapng interface a path.
final class DemoCapture {
    private let path: String
    private let descriptor: Int32
    private var writer: PcapngWriter
    private var pending: [UInt8] = []
    private let epoch: Int64
    /// Why writing ended early; the demo goes on.
    private(set) var fault: DemoFileError?

    init(path: String, paths: Int) throws(DemoFileError) {
        self.path = path
        descriptor = try DemoFile.open(path)
        epoch = Int64(time(nil)) * 1_000_000_000
        writer = PcapngWriter(application: "mptcp demo", into: &pending)
        for index in 0..<paths {
            _ = writer.addInterface(name: "path \(index + 1)", linkType: .rawIP, into: &pending)
        }
        flush()
        if let fault { throw fault }
    }

    func note(_ packet: RawSpan, _ sighting: Network.Sighting) {
        guard fault == nil, sighting.host.name == "client" else { return }
        writer.packet(
            packet, interface: sighting.link, time: epoch + sighting.time.nanoseconds,
            direction: sighting.isSent ? .outbound : .inbound, into: &pending)
        if pending.count > 1 << 18 { flush() }
    }

    func close() {
        flush()
        _ = Glibc.close(descriptor)
    }

    private func flush() {
        if fault != nil { return }
        do throws(DemoFileError) {
            try DemoFile.append(pending, to: descriptor, path)
        } catch {
            fault = error
        }
        pending.removeAll(keepingCapacity: true)
    }
}
