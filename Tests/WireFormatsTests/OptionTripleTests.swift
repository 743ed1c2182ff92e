import Testing
import TransportValues
import WireFormats

/// Three options of kind 30 in one segment, every choice and order that 40 bytes hold: the parser keeps what a simple model
/// of ``OptionCombination`` keeps, counts the rest, and nothing of what it passed over shows in what it kept.
@Suite struct OptionTripleTests {
    /// Short forms of all that stand in a segment with ACK alone, or with RST.
    private static let forms: [(flags: TCPFlags, bytes: [UInt8], subtype: MPTCPSubtype)] = [
        (.ack, [30, 20, 0x01, 0x01] + Array(repeating: 7, count: 16), .capable),
        (.ack, [30, 24, 0x10, 0x00] + Array(repeating: 6, count: 20), .join),
        (.ack, [30, 8, 0x20, 0x01, 1, 2, 3, 4], .signal),
        (.ack, [30, 4, 0x20, 0x00], .signal),
        (.ack, [30, 8, 0x31, 2, 10, 0, 0, 1], .addAddress),
        (.ack, [30, 8, 0x34, 3, 10, 0, 0, 2], .addAddress),
        (.ack, [30, 4, 0x40, 2], .removeAddress),
        (.ack, [30, 3, 0x51], .priority),
        (.ack, [30, 4, 0x50, 9], .priority),
        (.ack, [30, 12, 0x60, 0] + Array(repeating: 1, count: 8), .fail),
        (.ack, [30, 12, 0x70, 0] + Array(repeating: 2, count: 8), .fastClose),
        (.ack, [30, 3, 0xf0], .experimental),
        (.rst, [30, 12, 0x60, 0] + Array(repeating: 1, count: 8), .fail),
        (.rst, [30, 12, 0x70, 0] + Array(repeating: 2, count: 8), .fastClose),
        (.rst, [30, 4, 0x81, 3], .reset),
        (.rst, [30, 4, 0x80, 4], .reset),
        (.rst, [30, 3, 0xf1], .experimental),
    ]

    @Test func everyTriple() throws {
        var kept = [0, 0, 0, 0]
        for first in Self.forms {
            for second in Self.forms where second.flags == first.flags {
                for third in Self.forms where third.flags == first.flags {
                    let chosen = [first, second, third]
                    let bytes = chosen.flatMap(\.bytes)
                    guard bytes.count <= 40 else { continue }
                    var subtypes: [MPTCPSubtype] = []
                    var expected = MPTCPOptions()
                    var faults = OptionFaults()
                    for form in chosen {
                        let alone = try options(form.bytes, flags: form.flags).multipath
                        if subtypes.contains(form.subtype) {
                            faults.duplicate += 1
                        } else if subtypes.filter({ $0 != .signal }).count == 2, form.subtype != .signal {
                            faults.conflicting += 1
                        } else if subtypes.allSatisfy({ OptionCombination.allows($0, with: form.subtype) }) {
                            subtypes.append(form.subtype)
                            if form.subtype == .signal {
                                expected.signal = alone.signal
                            } else if expected.other == nil {
                                expected.other = alone.other
                            } else {
                                expected.second = alone.other
                            }
                        } else {
                            faults.conflicting += 1
                        }
                    }
                    let read = try options(bytes, flags: first.flags)
                    #expect(read.multipath == expected, "\(bytes)")
                    #expect(read.ignored == faults, "\(bytes)")
                    kept[subtypes.count] += 1
                }
            }
        }
        #expect(kept[1] > 100 && kept[2] > 100 && kept[3] > 20, "\(kept)")
    }
}
