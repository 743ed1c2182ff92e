import Testing
import TransportValues
import WireFormats

@Suite struct OptionRoundTripTests {
    /// Appends, puts the block into a packet and reads it back.
    private func roundTrip(_ block: OptionBlock, flags: TCPFlags) throws -> TCPOptions {
        var bytes = [UInt8](repeating: 0xee, count: 80)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        let fields = TCPHeaderFields(
            sourcePort: 1, destinationPort: 2, sequence: SequenceNumber(3), acknowledgment: SequenceNumber(4),
            flags: flags, window: 5, urgentPointer: 6)
        let length = emitTCPHeader(fields, options: block, into: &raw, at: 20)
        #expect(length == 20 + block.count)
        let source = IPAddress(10, 0, 0, 1)
        let ipLength = IPHeader.emit(
            source: source, destination: source, protocolNumber: 6, payloadLength: length, into: &raw, at: 0)
        #expect(ipLength == 20)
        finishTCPChecksum(
            packet: &raw, at: 20, length: length, source: source, destination: source, partial: false)
        let segment = try segment(Array(bytes[..<(20 + length)]))
        #expect(segment.sourcePort == 1 && segment.destinationPort == 2 && segment.urgentPointer == 6)
        #expect(segment.sequence.rawValue == 3 && segment.acknowledgment.rawValue == 4 && segment.window == 5)
        #expect(segment.flags == flags && segment.payloadLength == 0)
        return segment.options
    }

    @Test(arguments: 0..<200)
    func signals(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        for _ in 0..<50 {
            let signal = random.signal()
            var block = OptionBlock()
            #expect(block.append(signal) == true)
            let read = try roundTrip(block, flags: .ack)
            #expect(read.multipath.signal == signal && read.ignored.isEmpty)
            // In a block that is too small by one word nothing is written.
            var small = OptionBlock(capacity: block.count - 4)
            #expect(!small.append(signal) && small.count == 0 && small.remaining == block.count - 4)
        }
    }

    @Test(arguments: 0..<200)
    func otherOptions(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        for subtype in MPTCPSubtype.allCases where subtype != .signal {
            let (option, flags) = random.option(subtype)
            var block = OptionBlock()
            #expect(block.append(option) == true)
            let read = try roundTrip(block, flags: flags)
            #expect(read.multipath == MPTCPOptions(other: option), "\(option)")
            #expect(read.ignored.isEmpty)
            var small = OptionBlock(capacity: block.count - 4)
            #expect(!small.append(option) && small.count == 0)
        }
    }

    @Test(arguments: 0..<200)
    func plainOptions(_ seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        var expected = TCPOptions()
        var block = OptionBlock()
        expected.maximumSegmentSize = random.integer()
        expected.windowScale = random.integer(UInt8.self) % 15
        expected.timestamps = TCPTimestamps(value: random.integer(), echo: random.integer())
        expected.sackPermitted = true
        #expect(block.append(maximumSegmentSize: expected.maximumSegmentSize!) == true)
        #expect(block.append(windowScale: expected.windowScale!) == true)
        if seed % 2 == 0 {
            #expect(block.appendSACKPermitted() && block.append(expected.timestamps!))
        } else {
            #expect(block.appendSACKPermitted(with: expected.timestamps!) == true)
        }
        let cookie = random.bytes(random.chance(0.3) ? 0 : 4 + 2 * Int(random.next() % 4))
        let fastOpen = unsafe FastOpenCookie(cookie.span.bytes)
        let wanted: FastOpenCookie = try #require(fastOpen)
        expected.fastOpen = wanted
        let fits = block.count + (cookie.count + 2 + 3) / 4 * 4 <= 40
        #expect(block.append(fastOpen: expected.fastOpen!) == fits)
        if !fits { expected.fastOpen = nil }
        #expect(try roundTrip(block, flags: .syn) == expected)
    }

    @Test func sackBlocksYieldToRoom() throws {
        var blocks = SACKBlocks()
        for index in 0..<4 as Range<UInt32> {
            #expect(
                blocks.append(SACKBlock(left: SequenceNumber(10 * index), right: SequenceNumber(10 * index + 5)))
                    == true)
        }
        #expect(blocks.append(SACKBlock(left: SequenceNumber(0), right: SequenceNumber(1))) == false)
        for (capacity, count) in [(40, 4), (36, 4), (32, 3), (28, 3), (20, 2), (12, 1), (8, 0), (0, 0)] {
            var block = OptionBlock(capacity: capacity)
            #expect(block.append(blocks) == (count > 0))
            let read = try roundTrip(block, flags: .ack).sackBlocks
            #expect(read.count == count)
            for index in 0..<count { #expect(read[index] == blocks[index]) }
        }
        var limited = OptionBlock()
        #expect(limited.append(blocks, limit: 2) && limited.count == 20)
    }

    @Test func blocksJoinOthersAsAWhole() throws {
        var multipath = OptionBlock()
        #expect(multipath.append(DataSequenceSignal(dataAck: .eight(7))) == true)
        var block = OptionBlock()
        block.append(TCPTimestamps(value: 1, echo: 2))
        #expect(block.append(multipath) == true)
        #expect(block.append(multipath) == false, "two DSS in one segment")
        #expect(block.append(.fastClose(MPFastClose(receiverKey: 1))) == false, "not beside a DSS")
        #expect(block.append(.priority(MPPriority(backup: true))) == true)
        #expect(block.count == 28 && block.remaining == 12)
        let read = try roundTrip(block, flags: .ack)
        #expect(read.timestamps != nil && read.multipath.signal?.dataAck == .eight(7))
        #expect(read.multipath.other == .priority(MPPriority(backup: true)))
        var small = OptionBlock(capacity: 8)
        #expect(!small.append(multipath) && small.count == 0)
    }

    /// CVE-2024-57882: ADD_ADDR over IPv6 with a port does not fit beside timestamps and a full DSS.
    @Test func fortyBytesAreTheLimit() {
        var block = OptionBlock()
        block.append(TCPTimestamps(value: 1, echo: 2))
        let address = AddAddress(
            addressID: AddressID(1), address: IPAddress(high: 1, low: 2), port: 3, hmac: 4)
        #expect(block.append(.addAddress(address)) == false)
        #expect(block.count == 12)
        block = OptionBlock()
        #expect(block.append(.addAddress(address)) && block.count == 32)
        #expect(block.append(DataSequenceSignal(dataAck: .eight(1))) == false)
        #expect(block.append(DataSequenceSignal(dataAck: .four(1))) && block.remaining == 0)
    }

    //= RFC 8684 §3.6 U, V and W MUST be set to 0 by a sender and ignored by a receiver.
    @Test func reservedBitsAreZeroWhenSent() {
        var block = OptionBlock()
        block.append(.reset(MPTCPReset(transient: true, reason: 2, flags: 14)))
        #expect(block.bytes == [30, 4, 0x81, 2])
    }

    //= RFC 8684 §3.4.1, §3.6 unassigned bits are ignored
    @Test func reservedBitsAreIgnored() throws {
        // MP_TCPRST, MP_JOIN, DSS, MP_PRIO, MP_FAIL and ADD_ADDR (RFC 8684 §3.4.1) with every reserved bit set.
        let join = try options([30, 12, 0x1e, 1, 1, 2, 3, 4, 5, 6, 7, 8], flags: .syn).multipath.other
        #expect(
            join
                == .join(
                    .syn(backup: false, addressID: AddressID(1), token: 0x0102_0304, nonce: 0x0506_0708)))
        let signal = try options([30, 8, 0x2f, 0xe1, 1, 2, 3, 4]).multipath.signal
        #expect(signal == DataSequenceSignal(dataAck: .four(0x0102_0304)))
        #expect(try options([30, 3, 0x5e]).multipath.other == .priority(MPPriority(backup: false)))
        let reset = try options([30, 4, 0x8e, 5], flags: .rst).multipath.other
        #expect(reset == .reset(MPTCPReset(transient: false, reason: 5, flags: 14)))
        let fail = try options([30, 12, 0x6f, 0xff, 0, 0, 0, 0, 0, 0, 0, 9]).multipath.other
        #expect(fail == .fail(MPFail(dataSequence: 9)))
        let address = try options([30, 16, 0x3e, 2, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5]).multipath.other
        #expect(
            address == .addAddress(AddAddress(addressID: AddressID(2), address: IPAddress(10, 0, 0, 1), hmac: 5)))
    }

    //= RFC 8684 §3.3 'a' and 'm' only have meaning if the corresponding 'A' or 'M' flags are set.
    @Test func flagsWithoutTheirFieldsMeanNothing() throws {
        #expect(try options([30, 8, 0x20, 0x09, 0, 0, 0, 1]).multipath.signal == .init(dataAck: .four(1)))
        #expect(try options([30, 4, 0x20, 0x1a]).multipath.signal == DataSequenceSignal())
    }

    /// The two ADD_ADDR formats differ in every length or nibble.
    @Test func addAddressFormsOfBothVersions() throws {
        let address: [UInt8] = [10, 0, 0, 1]
        #expect(
            try options([30, 8, 0x34, 2] + address).multipath.other
                == .addAddress(AddAddress(version0: AddressID(2), address: IPAddress(10, 0, 0, 1))))
        #expect(
            try options([30, 10, 0x31, 2] + address + [1, 0xbb]).multipath.other
                == .addAddress(AddAddress(echoOf: AddressID(2), address: IPAddress(10, 0, 0, 1), port: 443)))
        // IPv6's nibble with IPv4's length; no echo and no HMAC; echo and HMAC.
        #expect(try options([30, 8, 0x36, 2] + address).ignored == OptionFaults(malformed: 1))
        #expect(try options([30, 8, 0x30, 2] + address).ignored == OptionFaults(malformed: 1))
        #expect(
            try options([30, 16, 0x31, 2] + address + Array(repeating: 1, count: 8)).ignored
                == OptionFaults(malformed: 1))
    }

    //= RFC 8684 §3.4.1 the HMAC is there exactly when E is 0.
    @Test func contradictoryAdvertisementsAreNotWritten() {
        let advertisement = AddAddress(addressID: AddressID(1), address: IPAddress(10, 0, 0, 1), hmac: 4)
        var changes: [AddAddress] = Array(repeating: advertisement, count: 4)
        changes[0].hmac = nil
        changes[1].isEcho = true
        changes[2].form = .zero
        changes[3].form = .zero
        changes[3].hmac = nil
        changes[3].isEcho = true
        var block = OptionBlock()
        for change in changes { #expect(block.append(.addAddress(change)) == false, "\(change)") }
        #expect(block.isEmpty)
    }

    /// MP_CAPABLE's lengths depend on version and segment (RFC 8684 §3.1, RFC 6824 §3.1).
    @Test func capableFormsOfBothVersions() throws {
        let synAck: TCPFlags = [.syn, .ack]
        let right: [(version: UInt8, flags: TCPFlags, lengths: Set<Int>)] = [
            (0, .syn, [12]), (0, synAck, [12]), (0, .ack, [20]),
            (1, .syn, [4]), (1, synAck, [12]), (1, .ack, [20, 22, 24]),
            (2, .syn, Set(4...40)), (2, synAck, Set(4...40)), (2, .ack, []),
        ]
        for row in right {
            for length in 4...40 {
                let bytes = [30, UInt8(length), row.version, 0x81] + [UInt8](repeating: 5, count: length - 4)
                let read = try options(bytes, flags: row.flags)
                #expect((read.multipath.other != nil) == row.lengths.contains(length), "\(row) \(length)")
            }
        }
    }
}

extension RandomSource {
    mutating func signal() -> DataSequenceSignal {
        let ack = maybe { $0.chance(0.5) ? DataAck.four($0.integer()) : .eight($0.integer()) }
        let mapping = maybe { random in
            DSSMapping(
                dataSequence: random.chance(0.5) ? .four(random.integer()) : .eight(random.integer()),
                subflowSequence: random.integer(), length: random.integer(),
                checksum: random.maybe { $0.integer() })
        }
        return DataSequenceSignal(dataAck: ack, mapping: mapping, dataFin: mapping != nil && chance(0.3))
    }

    /// Any option of this subtype, and flags of a segment that it belongs to.
    mutating func option(_ subtype: MPTCPSubtype) -> (MPTCPOption, TCPFlags) {
        switch subtype {
        case .capable: return capable()
        case .join: return join()
        case .signal, .addAddress:
            let id = AddressID(integer())
            let address = address(isIPv6: chance(0.5))
            let port: UInt16? = maybe { $0.integer() }
            switch next() % 3 {
            case 0: return (.addAddress(AddAddress(version0: id, address: address, port: port)), .ack)
            case 1: return (.addAddress(AddAddress(echoOf: id, address: address, port: port)), .ack)
            default:
                return (.addAddress(AddAddress(addressID: id, address: address, port: port, hmac: next())), .ack)
            }
        case .removeAddress:
            var value = RemoveAddress(AddressID(integer()))
            for _ in 0..<next() % 37 { value.append(AddressID(integer())) }
            return (.removeAddress(value), .ack)
        case .priority:
            return (.priority(MPPriority(backup: chance(0.5), addressID: maybe { AddressID($0.integer()) })), .ack)
        case .fail: return (.fail(MPFail(dataSequence: next())), chance(0.5) ? .ack : .rst)
        case .fastClose: return (.fastClose(MPFastClose(receiverKey: next())), chance(0.5) ? .ack : [.rst, .ack])
        case .reset: return (.reset(MPTCPReset(transient: chance(0.5), reason: integer())), .rst)
        case .experimental:
            var value = MPTCPExperimental(flags: integer())
            for _ in 0..<next() % 38 { value.append(integer()) }
            return (.experimental(value), .ack)
        }
    }

    private mutating func capable() -> (MPTCPOption, TCPFlags) {
        let version: UInt8 = chance(0.5) ? 1 : 0
        var value = MPCapable(
            version: version, checksumRequired: chance(0.5), extensibility: chance(0.5),
            noAdditionalSubflows: version == 1 && chance(0.5), hmacSHA256: chance(0.5),
            otherAlgorithms: integer() & (version == 0 ? 0x3e : 0x1e))
        switch next() % 3 {
        case 0:
            if version == 0 { value.senderKey = next() }
            return (.capable(value), .syn)
        case 1:
            value.senderKey = next()
            return (.capable(value), [.syn, .ack])
        default:
            value.senderKey = next()
            value.receiverKey = next()
            if version == 1 { value.dataLength = maybe { $0.integer() } }
            if value.dataLength != nil { value.checksum = maybe { $0.integer() } }
            return (.capable(value), .ack)
        }
    }

    private mutating func join() -> (MPTCPOption, TCPFlags) {
        switch next() % 3 {
        case 0:
            return (
                .join(
                    .syn(backup: chance(0.5), addressID: AddressID(integer()), token: integer(), nonce: integer())),
                .syn
            )
        case 1:
            return (
                .join(
                    .synAck(
                        backup: chance(0.5), addressID: AddressID(integer()), truncatedHMAC: next(),
                        nonce: integer())), [.syn, .ack]
            )
        default:
            return (.join(.ack(hmac: HMAC160(high: next(), middle: next(), low: integer()))), .ack)
        }
    }
}
