import TransportValues
import WireFormats

extension WireFuzzer {
    mutating func randomBytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let word = random.next()
            for shift in 0..<min(8, count - bytes.count) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift)))
            }
        }
        return bytes
    }

    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    /// A value at which length and flag handling is likely to turn.
    private mutating func edge() -> UInt8 {
        let edges: InlineArray<16, UInt8> = [0, 1, 2, 3, 4, 7, 8, 10, 12, 20, 24, 30, 40, 0x7f, 0x80, 0xff]
        return edges[below(16)]
    }

    /// A seed with some bytes changed, bytes put in or taken out, or cut; then, mostly, with the lengths and the
    /// checksum of its IP header repaired, so that the change reaches the layers above.
    mutating func mutated(_ seed: [UInt8]) -> [UInt8] {
        var bytes = Array(seed.prefix(seed.count > 200 && random.chance(0.7) ? 120 : seed.count))
        for _ in 0...below(4) where !bytes.isEmpty {
            let position = random.chance(0.7) ? min(bytes.count - 1, 20 + below(60)) : below(bytes.count)
            switch below(6) {
            case 0: bytes[position] ^= 1 << UInt8(below(8))
            case 1: bytes[position] = edge()
            case 2: bytes[position] = UInt8(truncatingIfNeeded: random.next())
            case 3: bytes.insert(contentsOf: randomBytes(1 + below(8)), at: position)
            case 4: bytes.removeSubrange(position..<min(bytes.count, position + 1 + below(8)))
            default: if random.chance(0.2) { bytes.removeSubrange(position...) }
            }
        }
        if random.chance(0.9) { SeedPackets.repair(&bytes) }
        return bytes
    }

    /// A TCP header with the right length around options put together at random: kinds and lengths that are often
    /// right, contents that are not.
    mutating func optionSoup() -> [UInt8] {
        var options: [UInt8] = []
        while options.count < 40, random.chance(0.93) {
            if random.chance(0.15) {
                options.append(random.chance(0.9) ? 1 : 0)
                continue
            }
            let kinds: InlineArray<8, UInt8> = [30, 30, 30, 30, 8, 5, 34, 2]
            let kind = random.chance(0.85) ? kinds[below(8)] : UInt8(below(40))
            let lengths: InlineArray<16, UInt8> = [3, 4, 8, 10, 12, 16, 18, 20, 22, 24, 26, 28, 30, 4, 12, 5]
            let length = random.chance(0.85) ? lengths[below(16)] : edge()
            options += [kind, length]
            var contents = randomBytes(max(0, min(Int(length), 40) - 2))
            if kind == 30, !contents.isEmpty, random.chance(0.8) {
                contents[0] = UInt8(below(9)) << 4 | contents[0] & 15
            }
            options += contents
        }
        options = Array(options.prefix(40))
        while options.count % 4 != 0 { options.append(random.chance(0.5) ? 1 : 0) }
        let isIPv6 = random.chance(0.3)
        var bytes = SeedPackets.packet(OptionBlock(), flags: .ack, payload: options.count, isIPv6: isIPv6)
        let header = isIPv6 ? 40 : 20
        bytes.replaceSubrange((header + 20)..., with: options)
        bytes[header + 12] = UInt8((20 + options.count) / 4) << 4
        let flags: InlineArray<8, UInt8> = [0x10, 0x10, 0x18, 0x02, 0x12, 0x04, 0x14, 0x11]
        bytes[header + 13] = random.chance(0.9) ? flags[below(8)] : UInt8(truncatingIfNeeded: random.next())
        return bytes
    }

    /// A capture file, mostly cut, with a few bytes changed.
    mutating func mutatedFile() -> [UInt8] {
        let file = files[below(files.count)]
        var bytes = Array(file.prefix(1 + below(min(file.count, 8_000))))
        for _ in 0...below(6) {
            let position = random.chance(0.5) ? min(bytes.count - 1, below(200)) : below(bytes.count)
            bytes[position] = random.chance(0.5) ? edge() : UInt8(truncatingIfNeeded: random.next())
        }
        return bytes
    }
}
