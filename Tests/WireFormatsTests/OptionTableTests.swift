import Testing
import TransportValues

import WireFormats

/// One option as bytes, the control bits it belongs to, and lengths that no form of it has there.
struct OptionCase: Sendable, CustomTestStringConvertible {
    var name: String
    var flags: TCPFlags
    var bytes: [UInt8]
    var wrongFlags: TCPFlags?
    /// Whether the options carry this one.
    var isPresent: @Sendable (TCPOptions) -> Bool

    var testDescription: String { name }

    private static func subtype(_ wanted: MPTCPSubtype) -> @Sendable (TCPOptions) -> Bool {
        { $0.multipath.other?.subtype == wanted }
    }

    static let all: [OptionCase] = [
        OptionCase(name: "MSS", flags: .syn, bytes: [2, 4, 5, 0xb4], wrongFlags: .ack) {
            $0.maximumSegmentSize == 1460
        },
        OptionCase(name: "window scale", flags: .syn, bytes: [3, 3, 9], wrongFlags: .ack) { $0.windowScale == 9 },
        OptionCase(name: "SACK permitted", flags: .syn, bytes: [4, 2], wrongFlags: .ack) { $0.sackPermitted },
        OptionCase(name: "SACK", flags: .ack, bytes: [5, 10, 0, 0, 0, 1, 0, 0, 0, 9], wrongFlags: .syn) {
            $0.sackBlocks.count == 1
        },
        OptionCase(name: "timestamps", flags: .ack, bytes: [8, 10, 0, 0, 0, 1, 0, 0, 0, 2], wrongFlags: nil) {
            $0.timestamps == TCPTimestamps(value: 1, echo: 2)
        },
        OptionCase(name: "Fast Open", flags: .syn, bytes: [34, 6, 1, 2, 3, 4], wrongFlags: .ack) {
            $0.fastOpen?.count == 4
        },
        OptionCase(
            name: "MP_CAPABLE SYN", flags: .syn, bytes: [30, 4, 0x01, 0x81], wrongFlags: .rst,
            isPresent: subtype(.capable)),
        OptionCase(
            name: "MP_CAPABLE ACK", flags: .ack, bytes: [30, 20, 0x01, 0x01] + Array(repeating: 7, count: 16),
            wrongFlags: .rst, isPresent: subtype(.capable)),
        OptionCase(
            name: "MP_JOIN SYN", flags: .syn, bytes: [30, 12, 0x10, 1, 1, 2, 3, 4, 5, 6, 7, 8], wrongFlags: .rst,
            isPresent: subtype(.join)),
        OptionCase(
            name: "DSS", flags: .ack, bytes: [30, 8, 0x20, 0x01, 1, 2, 3, 4], wrongFlags: .syn,
            isPresent: { $0.multipath.signal?.dataAck == .four(0x0102_0304) }),
        OptionCase(
            name: "ADD_ADDR", flags: .ack, bytes: [30, 16, 0x30, 2, 10, 0, 0, 1] + Array(repeating: 9, count: 8),
            wrongFlags: .syn, isPresent: subtype(.addAddress)),
        OptionCase(
            name: "REMOVE_ADDR", flags: .ack, bytes: [30, 5, 0x40, 2, 3], wrongFlags: .syn,
            isPresent: subtype(.removeAddress)),
        OptionCase(
            name: "MP_PRIO", flags: .ack, bytes: [30, 3, 0x51], wrongFlags: .syn, isPresent: subtype(.priority)),
        OptionCase(
            name: "MP_FAIL", flags: .ack, bytes: [30, 12, 0x60, 0] + Array(repeating: 1, count: 8), wrongFlags: .syn,
            isPresent: subtype(.fail)),
        OptionCase(
            name: "MP_FASTCLOSE", flags: .ack, bytes: [30, 12, 0x70, 0] + Array(repeating: 1, count: 8),
            wrongFlags: .syn, isPresent: subtype(.fastClose)),
        OptionCase(
            name: "MP_TCPRST", flags: .rst, bytes: [30, 4, 0x81, 3], wrongFlags: .ack, isPresent: subtype(.reset)),
        OptionCase(
            name: "experimental", flags: .ack, bytes: [30, 6, 0xf1, 1, 2, 3], wrongFlags: nil,
            isPresent: subtype(.experimental)),
    ]

    /// Lengths that some form of the option has in a segment with ``flags``.
    var rightLengths: Set<Int> {
        switch name {
        case "SACK": [10, 18, 26, 34]
        case "Fast Open": Set([2] + stride(from: 6, through: 18, by: 2))
        case "MP_CAPABLE ACK": [20, 22, 24]
        // With A only and a four-byte Data ACK.
        case "DSS": [8]
        case "ADD_ADDR": [16, 18, 28, 30]
        case "REMOVE_ADDR": Set(4...40)
        case "MP_PRIO": [3, 4]
        case "experimental": Set(3...40)
        default: [bytes.count]
        }
    }
}

@Suite struct OptionTableTests {
    @Test(arguments: OptionCase.all)
    func aloneItIsRead(_ option: OptionCase) throws {
        let read = try options(option.bytes, flags: option.flags)
        #expect(option.isPresent(read))
        #expect(read.ignored.isEmpty)
    }

    /// The first of a kind wins and the second is counted (CVE-2026-80587).
    @Test(arguments: OptionCase.all)
    func ofTwoTheFirstWins(_ option: OptionCase) throws {
        guard option.bytes.count <= 20 else { return }
        var other = option.bytes
        if option.bytes.count > 4 { other[other.count - 1] ^= 0xff }
        let read = try options(option.bytes + other, flags: option.flags)
        #expect(option.isPresent(read))
        #expect(read.ignored == OptionFaults(duplicate: 1))
        #expect(read.multipath.second == nil)
    }

    /// Every wrong length from 2 to 40 is counted, leaves nothing behind, and the option after it is read.
    @Test(arguments: OptionCase.all)
    func wrongLengthsLeaveNothing(_ option: OptionCase) throws {
        for length in 2...40 where !option.rightLengths.contains(length) {
            var bytes = Array(option.bytes.prefix(length))
            bytes += [UInt8](repeating: 0x11, count: length - bytes.count)
            bytes[1] = UInt8(length)
            let read = try options(bytes, flags: option.flags)
            #expect(read.ignored == OptionFaults(malformed: 1), "length \(length)")
            var clean = read
            clean.ignored = OptionFaults()
            #expect(clean == TCPOptions(), "length \(length)")
            if length + option.bytes.count <= 40 {
                // CVE-2026-80586: a valid option behind the broken one is read as if alone.
                let second = try options(bytes + option.bytes, flags: option.flags)
                #expect(option.isPresent(second), "length \(length)")
                var expected = try options(option.bytes, flags: option.flags)
                expected.ignored = OptionFaults(malformed: 1)
                #expect(second == expected, "length \(length)")
            }
        }
    }

    @Test(arguments: OptionCase.all)
    func rightLengthsAreRead(_ option: OptionCase) throws {
        for length in option.rightLengths where length <= 40 {
            var bytes = Array(option.bytes.prefix(length))
            bytes += [UInt8](repeating: 0x11, count: length - bytes.count)
            bytes[1] = UInt8(length)
            #expect(try options(bytes, flags: option.flags).ignored.isEmpty, "length \(length)")
        }
    }

    @Test(arguments: OptionCase.all)
    func wrongSegmentsAreCounted(_ option: OptionCase) throws {
        guard let wrong = option.wrongFlags else { return }
        let read = try options(option.bytes, flags: wrong)
        #expect(!option.isPresent(read))
        #expect(read.ignored == OptionFaults(misplaced: 1))
    }

    @Test(arguments: OptionCase.all)
    func lengthsPastTheHeaderEndTheWalk(_ option: OptionCase) throws {
        for length in [0, 1, UInt8(option.bytes.count + 5), 255] {
            var bytes = option.bytes
            bytes[1] = length
            let read = try options(bytes, flags: option.flags)
            var expected = TCPOptions()
            expected.ignored.truncated = 1
            #expect(read == expected, "length \(length)")
        }
    }

    @Test func endOfListEndsTheWalk() throws {
        #expect(try options([1, 1, 0, 0, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]) == TCPOptions())
        #expect(try options([1, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).timestamps?.echo == 2)
        // A kind as the very last byte has no length.
        #expect(try options([1, 1, 1, 8]).ignored == OptionFaults(truncated: 1))
        #expect(try options([1, 1, 1, 30]).ignored == OptionFaults(truncated: 1))
    }

    @Test func unknownKindsAndSubtypesAreStepped() throws {
        let read = try options([253, 4, 1, 2, 30, 4, 0x90, 0, 30, 4, 0xe0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])
        #expect(read.ignored == OptionFaults(unknown: 3))
        #expect(read.timestamps != nil)
    }

    //= RFC 7323 §2.3 a shift above 14 is taken as 14.
    @Test func windowScaleIsClamped() throws {
        #expect(try options([3, 3, 255], flags: .syn).windowScale == 14)
        var block = OptionBlock()
        block.append(windowScale: 200)
        #expect(block.bytes == [1, 3, 3, 14])
    }
}

@Suite struct OptionCombinationTests {
    /// Linux's table of what stands together, X where it says "mutually exclusive".
    static let table = """
                MPC MPJ DSS ADD RM PRIO FAIL FC RST
        MPC     X   X   X   X   o  X    X    X  X
        MPJ     X   X   X   X   o  o    X    X  X
        DSS     X   X   X   o   o  o    o    X  X
        ADD     X   X   o   X   o  o    X    X  X
        RM      o   o   o   o   X  o    X    X  X
        PRIO    X   o   o   o   o  X    X    X  X
        FAIL    X   X   o   X   X  X    X    X  o
        FC      X   X   X   X   X  X    X    X  o
        RST     X   X   X   X   X  X    o    o  X
        """

    static let order: [MPTCPSubtype] = [
        .capable, .join, .signal, .addAddress, .removeAddress, .priority, .fail, .fastClose, .reset,
    ]

    @Test func everyPairOfTheTable() {
        let rows = Self.table.split(separator: "\n").dropFirst().map { $0.split(separator: " ").dropFirst() }
        for (row, first) in zip(rows, Self.order) {
            for (cell, second) in zip(row, Self.order) {
                #expect(OptionCombination.allows(first, with: second) == (cell == "o"), "\(first) \(second)")
            }
        }
    }

    @Test func itIsSymmetrical() {
        for first in MPTCPSubtype.allCases {
            for second in MPTCPSubtype.allCases {
                #expect(
                    OptionCombination.allows(first, with: second) == OptionCombination.allows(second, with: first))
            }
            #expect(!OptionCombination.allows(first, with: first))
        }
    }

    /// Every ordered pair of options that both belong in one segment: the parser and the emitter agree with the table.
    @Test func parserAndEmitterFollowIt() throws {
        let candidates = OptionCase.all.filter { $0.bytes[0] == 30 }
        var allowed = 0
        var refused = 0
        for first in candidates {
            for second in candidates where first.bytes.count + second.bytes.count <= 40 {
                let one = try options(first.bytes, flags: first.flags).multipath
                let two = try options(second.bytes, flags: second.flags).multipath
                let subtypes = (subtype(one), subtype(two))
                guard subtypes.0 != subtypes.1 else { continue }
                let isAllowed = OptionCombination.allows(subtypes.0, with: subtypes.1)
                var block = OptionBlock()
                #expect(append(one, to: &block))
                let before = block.bytes
                #expect(append(two, to: &block) == isAllowed)
                if !isAllowed { #expect(block.bytes == before) }
                let flags = first.flags.union(second.flags)
                guard try options(first.bytes, flags: flags).ignored.isEmpty,
                    try options(second.bytes, flags: flags).ignored.isEmpty
                else { continue }
                let read = try options(first.bytes + second.bytes, flags: flags)
                #expect(first.isPresent(read), "\(first.name), \(second.name)")
                #expect(read.ignored == OptionFaults(conflicting: isAllowed ? 0 : 1), "\(first.name), \(second.name)")
                if isAllowed { allowed += 1 } else { refused += 1 }
            }
        }
        #expect(allowed > 10 && refused > 10)
    }

    @Test func aThirdOneBesideTheSignalIsCounted() throws {
        let signal: [UInt8] = [30, 8, 0x20, 0x01, 1, 2, 3, 4]
        let echo: [UInt8] = [30, 8, 0x31, 2, 10, 0, 0, 1]
        let read = try options(signal + echo + [30, 4, 0x40, 2] + [30, 3, 0x51])
        #expect(read.multipath.signal != nil)
        #expect(read.multipath.other?.subtype == .addAddress)
        #expect(read.multipath.second?.subtype == .removeAddress)
        #expect(read.ignored == OptionFaults(conflicting: 1))
    }

    @Test func aSecondOfTheSecondKindIsADuplicate() throws {
        let read = try options([30, 3, 0x51, 30, 4, 0x40, 2, 30, 4, 0x40, 3, 30, 3, 0x50, 1, 1])
        #expect(read.multipath.other == .priority(MPPriority(backup: true)))
        #expect(read.multipath.second == .removeAddress(RemoveAddress(AddressID(2))))
        #expect(read.ignored == OptionFaults(duplicate: 2))
    }

    @Test func versionZeroCapableStandsBesideASignal() throws {
        let keys = Array(repeating: 7 as UInt8, count: 16)
        let signal: [UInt8] = [30, 16, 0x20, 0x04] + Array(repeating: 3, count: 12)
        let zero = try options([30, 20, 0x00, 0x01] + keys + signal)
        #expect(zero.multipath.signal != nil && zero.multipath.other?.subtype == .capable && zero.ignored.isEmpty)
        let one = try options([30, 20, 0x01, 0x01] + keys + signal)
        #expect(one.multipath.signal == nil && one.ignored == OptionFaults(conflicting: 1))
        var block = OptionBlock()
        #expect(block.append(zero.multipath.other!) && block.append(zero.multipath.signal!))
        block = OptionBlock()
        #expect(block.append(one.multipath.other!) && !block.append(zero.multipath.signal!))
    }

    private func subtype(_ options: MPTCPOptions) -> MPTCPSubtype { options.other?.subtype ?? .signal }

    private func append(_ options: MPTCPOptions, to block: inout OptionBlock) -> Bool {
        if let signal = options.signal { return block.append(signal) }
        return options.other.map { block.append($0) } ?? false
    }
}
