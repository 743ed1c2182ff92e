extension IPAddress: CustomStringConvertible, LosslessStringConvertible {
    /// RFC 5952's form of an IPv6 address, dotted quads for IPv4.
    public var description: String {
        if !isIPv6 {
            return "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)"
        }
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
        }
        var best = 0..<0
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index > best.count { best = index..<end }
            index = max(end, index + 1)
        }
        let hex = groups.map { String($0, radix: 16) }
        if best.count < 2 { return hex.joined(separator: ":") }
        return hex[..<best.lowerBound].joined(separator: ":") + "::" + hex[best.upperBound...].joined(separator: ":")
    }

    /// Reads `10.0.0.1` or an IPv6 address with at most one `::`; nil for anything else.
    public init?(_ text: String) {
        if let value = Self.parseIPv4(Substring(text)) {
            self.init(ipv4: value)
            return
        }
        guard text.contains(":"), let groups = Self.parseIPv6(text) else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<4 {
            high = high << 16 | UInt64(groups[index])
            low = low << 16 | UInt64(groups[index + 4])
        }
        self.init(high: high, low: low)
    }

    private static func parseIPv4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard part.count <= 3, part.allSatisfy({ $0.isASCII && $0.isNumber }), let byte = UInt8(part) else {
                return nil
            }
            value = value << 8 | UInt32(byte)
        }
        return value
    }

    private static func parseIPv6(_ text: String) -> [UInt16]? {
        var head = Substring(text)
        var tail: Substring? = nil
        if let gap = text.firstRange(of: "::") {
            head = text[..<gap.lowerBound]
            tail = text[gap.upperBound...]
            if tail!.firstRange(of: "::") != nil { return nil }
        }
        guard let front = parseGroups(head), let back = parseGroups(tail ?? "") else { return nil }
        let missing = 8 - front.count - back.count
        guard tail == nil ? missing == 0 : missing >= 1 else { return nil }
        return front + [UInt16](repeating: 0, count: missing) + back
    }

    private static func parseGroups(_ text: Substring) -> [UInt16]? {
        if text.isEmpty { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.contains(".") {
                guard index == parts.count - 1, let value = parseIPv4(part) else { return nil }
                groups += [UInt16(value >> 16), UInt16(value & 0xffff)]
            } else {
                guard (1...4).contains(part.count), part.allSatisfy({ $0.isHexDigit && $0.isASCII }),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups.count <= 8 ? groups : nil
    }
}

extension Endpoint: CustomStringConvertible, LosslessStringConvertible {
    public var description: String { address.isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)" }

    /// Reads `10.0.0.1:80` or `[fd00::1]:80`; nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard let address = IPAddress(String(host)), address.isIPv6 else { return nil }
            self.init(address, port)
        } else {
            guard let address = IPAddress(String(host)), !address.isIPv6 else { return nil }
            self.init(address, port)
        }
    }
}

extension FourTuple: CustomStringConvertible {
    public var description: String { "\(local) ↔ \(remote)" }
}
