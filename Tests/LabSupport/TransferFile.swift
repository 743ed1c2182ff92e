import Foundation

/// A file of pseudo-random bytes and its SHA-256.
public struct TransferFile: Sendable {
    public let path: String
    public let count: Int
    public let sha256: String
    public static let emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    /// The same seed makes the same bytes (xorshift64*, which no compressing middlebox shrinks).
    public init(bytes count: Int, seed: UInt64, at path: String) throws {
        var data = Data(capacity: count + 8)
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        while data.count < count {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            var word = state &* 0x2545_F491_4F6C_DD1D
            unsafe withUnsafeBytes(of: &word) { unsafe data.append(contentsOf: $0) }
        }
        data.removeLast(data.count - count)
        guard FileManager.default.createFile(atPath: path, contents: data) else {
            throw LabError("cannot write \(path)")
        }
        self.path = path
        self.count = count
        self.sha256 = try Self.sha256(ofFile: path)
    }

    /// The SHA-256 of a file in hexadecimal, by coreutils.
    public static func sha256(ofFile path: String) throws -> String {
        String(try run(["sha256sum", "--", path]).prefix(64))
    }
}
