import Foundation

/// What tshark, a decoder that is not ours, thinks of a capture.
public enum CaptureCheck {
    public static var isAvailable: Bool { LabEnvironment.has("tshark") }

    /// One line a packet that is malformed or that a dissector calls an error: number, protocols, messages.
    public static func complaints(about file: String) throws -> [String] {
        let output = try run(
            [
                "tshark", "-n", "-r", file, "-Y", "_ws.malformed || _ws.expert.severity == \"Error\"",
                "-T", "fields", "-e", "frame.number", "-e", "frame.protocols", "-e", "_ws.expert.message",
            ], timeout: 120)
        return output.split(separator: "\n").map(String.init)
    }

    /// How many packets of `file` a display filter lets through.
    public static func count(_ filter: String, in file: String) throws -> Int {
        try run(["tshark", "-n", "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number"], timeout: 120)
            .split(separator: "\n").count
    }
}
