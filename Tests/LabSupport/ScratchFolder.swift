import Foundation

/// A folder under the system's temporary one that goes away with its owner.
public final class ScratchFolder {
    public let root: String

    public init(prefix: String = "run") throws {
        var template = Array((NSTemporaryDirectory() + "mptcp-\(prefix)-XXXXXX").utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw LabError("mkdtemp: \(unsafe String(cString: strerror(errno)))")
        }
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root)
    }

    public func path(_ name: String) -> String { root + "/" + name }
}
