public import MPTCPConnection
internal import TransportValues

/// What `--report` writes: one run as one JSON object, of the shape that the tool's contract fixes.
public struct RunReport: Sendable {
    public enum Role: String, Sendable {
        case client, server
    }

    public var role: Role
    /// From the first call to connect (or the accepted connection) to the end of the transfer.
    public var seconds: Double
    /// The connection as it stood last; nil when there never was one.
    public var connection: ConnectionSnapshot?
    /// Names of the paths by interface, for the subflows.
    public var pathNames: [Int32: String]

    public init(role: Role, seconds: Double, connection: ConnectionSnapshot?, paths: [PathStatus]) {
        self.role = role
        self.seconds = seconds
        self.connection = connection
        pathNames = Dictionary(paths.map { ($0.interface.rawValue, $0.name) }, uniquingKeysWith: { first, _ in first })
    }

    /// The object, with a newline at its end.
    public var json: String {
        var object = JSONObject()
        object.add("role", .string(role.rawValue))
        object.add("seconds", .number(seconds, digits: 6))
        object.add("bytesSent", .integer(connection?.bytesSent ?? 0))
        object.add("bytesReceived", .integer(connection?.bytesReceived ?? 0))
        object.add("multipath", .boolean(connection?.isMultipath ?? false))
        object.add("version", connection?.version.map { .integer(UInt64($0)) } ?? .null)
        object.add("fallback", connection?.fallback.map { .string($0) } ?? .null)
        object.add("checksum", .boolean(connection?.checksum ?? false))
        object.add("subflows", .array((connection?.subflows ?? []).map { .object(describe($0)) }))
        return JSONValue.object(object).text + "\n"
    }

    private func describe(_ subflow: SubflowSnapshot) -> JSONObject {
        var object = JSONObject()
        object.add("local", .string("\(subflow.local)"))
        object.add("remote", .string("\(subflow.remote)"))
        object.add("path", .string(pathNames[subflow.interface.rawValue] ?? "\(subflow.interface.rawValue)"))
        object.add("bytesSent", .integer(subflow.bytesSent))
        object.add("bytesReceived", .integer(subflow.bytesReceived))
        object.add("segmentsRetransmitted", .integer(subflow.segmentsRetransmitted))
        object.add("roundTripMilliseconds", subflow.roundTrip.map { .number($0.milliseconds, digits: 3) } ?? .null)
        object.add("backup", .boolean(subflow.backup))
        object.add("state", .string(subflow.state))
        object.add("closeReason", subflow.closeReason.map { .string($0) } ?? .null)
        return object
    }
}

/// JSON with its members in the order they were added.
struct JSONObject: Sendable {
    fileprivate var members: [(name: String, value: JSONValue)] = []

    mutating func add(_ name: String, _ value: JSONValue) { members.append((name, value)) }
}

indirect enum JSONValue: Sendable {
    case null
    case boolean(Bool)
    case integer(UInt64)
    case number(Double, digits: Int)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    var text: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .number(let value, let digits): fixedPoint(value, digits: digits)
        case .string(let value): Self.quoted(value)
        case .array(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.members.map { "\(Self.quoted($0.name)): \($0.value.text)" }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// A number with so many digits behind the point; what is not finite becomes 0.
public func fixedPoint(_ value: Double, digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "0" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (abs(value) * scale).rounded()
    guard rounded < 9e18 else { return "\(Int64(value))" }
    let units = UInt64(rounded)
    let whole = units / UInt64(scale)
    let sign = value < 0 && units > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let fraction = String(units % UInt64(scale))
    return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
}
