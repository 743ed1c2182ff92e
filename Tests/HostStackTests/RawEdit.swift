/// What middleboxes do to IPv4 packets, by hand; the TCP checksum is right afterwards.
enum RawEdit {
    private static func tcp(_ packet: [UInt8]) -> Int { Int(packet[0] & 15) * 4 }

    /// Changes the first Multipath TCP option in place.
    static func changingOption(_ packet: [UInt8], _ body: (inout [UInt8]) -> Void) -> [UInt8] {
        let start = tcp(packet)
        let end = start + Int(packet[start + 12] >> 4) * 4
        var position = start + 20
        while position + 1 < end {
            if packet[position] == 1 {
                position += 1
                continue
            }
            let length = Int(packet[position + 1])
            guard packet[position] != 0, length >= 2, position + length <= end else { break }
            if packet[position] == 30 {
                var option = Array(packet[position..<position + length])
                body(&option)
                var result = packet
                result.replaceSubrange(position..<position + length, with: option)
                return fixed(result)
            }
            position += length
        }
        return packet
    }

    /// Changes the payload in place.
    static func changingPayload(_ packet: [UInt8], _ body: (inout ArraySlice<UInt8>) -> Void) -> [UInt8] {
        let start = tcp(packet)
        let payload = start + Int(packet[start + 12] >> 4) * 4
        var result = packet
        body(&result[payload...])
        return fixed(result)
    }

    static func strippingOptions(_ packet: [UInt8]) -> [UInt8] {
        var result = packet
        while true {
            let next = changingOption(result) { $0 = [UInt8](repeating: 1, count: $0.count) }
            if next == result { return next }
            result = next
        }
    }

    private static func fixed(_ packet: [UInt8]) -> [UInt8] {
        var result = packet
        let start = tcp(packet)
        result[start + 16] = 0
        result[start + 17] = 0
        var sum: UInt32 = 6 + UInt32(packet.count - start)
        for index in stride(from: 12, to: 20, by: 2) { sum += UInt32(packet[index]) << 8 | UInt32(packet[index + 1]) }
        for index in stride(from: start, to: packet.count, by: 2) {
            sum += UInt32(result[index]) << 8 | (index + 1 < packet.count ? UInt32(result[index + 1]) : 0)
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        let checksum = ~UInt16(sum)
        result[start + 16] = UInt8(checksum >> 8)
        result[start + 17] = UInt8(truncatingIfNeeded: checksum)
        return result
    }
}
