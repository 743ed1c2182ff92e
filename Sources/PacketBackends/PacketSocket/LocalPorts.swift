import TransportValues

/// The local endpoints whose TCP segments are ours on one interface; everything else is the kernel's.
struct LocalPorts {
    /// One bit for each port.
    private struct PortSet {
        var words = [UInt64](repeating: 0, count: 1024)
        var count = 0

        func contains(_ port: UInt16) -> Bool { words[Int(port >> 6)] >> UInt64(port & 63) & 1 != 0 }

        mutating func set(_ port: UInt16, _ isIn: Bool) {
            if contains(port) == isIn { return }
            words[Int(port >> 6)] ^= 1 << UInt64(port & 63)
            count += isIn ? 1 : -1
        }
    }

    /// Few: one for each local address in use. An unspecified address stands for all of its family.
    private var addresses: [IPAddress] = []
    private var sets: [PortSet] = []

    /// Whether a segment to this endpoint is ours.
    func contains(_ address: IPAddress, _ port: UInt16) -> Bool {
        for index in addresses.indices where sets[index].contains(port) {
            let own = addresses[index]
            if own == address || (own.isUnspecified && own.isIPv6 == address.isIPv6) { return true }
        }
        return false
    }

    mutating func insert(_ endpoint: Endpoint) {
        let index = addresses.firstIndex(of: endpoint.address) ?? addresses.count
        if index == addresses.count {
            addresses.append(endpoint.address)
            sets.append(PortSet())
        }
        sets[index].set(endpoint.port, true)
    }

    mutating func remove(_ endpoint: Endpoint) {
        guard let index = addresses.firstIndex(of: endpoint.address) else { return }
        sets[index].set(endpoint.port, false)
        if sets[index].count == 0 {
            addresses.remove(at: index)
            sets.remove(at: index)
        }
    }

    /// The ports of all addresses together as sorted ranges that do not touch.
    var ranges: [ClosedRange<UInt16>] {
        var result: [ClosedRange<UInt16>] = []
        for word in 0..<1024 {
            var bits = sets.reduce(UInt64(0)) { $0 | $1.words[word] }
            while bits != 0 {
                let port = UInt16(word * 64 + bits.trailingZeroBitCount)
                if let last = result.last, last.upperBound &+ 1 == port {
                    result[result.count - 1] = last.lowerBound...port
                } else {
                    result.append(port...port)
                }
                bits &= bits - 1
            }
        }
        return result
    }
}
