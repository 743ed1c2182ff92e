import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3.3 to §3.3.6 (and RFC 6824 there) ask of the data level, by script.
@Suite struct DataConformanceTests {
    //= RFC 8684 §3.3 a mapping has a checksum exactly when that was agreed on; otherwise RST with MP_TCPRST.
    // RFC 6824 §3.3: one that was not agreed on is ignored
    @Test(arguments: [MultipathVersion.one, .zero], [false, true])
    func checksumsAreAsAgreed(version: MultipathVersion, isAgreed: Bool) throws {
        for isPresent in [false, true] {
            let peer = ScriptedPeer()
            let (id, lane) = try peer.opened(version: version, checksum: isAgreed)
            let bytes: [UInt8] = [7, 8, 9]
            let right = peer.checksum(1, subflow: 1, payload: bytes, version: version)
            // Where it is to be ignored it is wrong.
            let mapping = peer.mapping(
                1, subflow: 1, length: 3, checksum: isPresent ? (isAgreed ? right : right ^ 1) : nil, version: version)
            peer.say(lane, [.ack, .psh], options: OptionBlock(DataSequenceSignal(mapping: mapping)), payload: bytes)
            let isTaken = isAgreed == isPresent || (version == .zero && isPresent)
            #expect(peer.read(id) == (isTaken ? bytes : []), "\(isPresent)")
            let reset = peer.replies().first(where: \.isReset)
            #expect((reset == nil) == isTaken)
            #expect(reset?.reset?.reason == (isTaken || version == .zero ? nil : MPTCPReset.multipathSpecificError))
            #expect(peer.host.counters[.checksumNotAsAgreed] == (isTaken ? 0 : 1))
        }
    }

    //= RFC 8684 §3.3.1 numbers of 4 bytes are taken like those of 8, across a wrap of the lower half, and out of order
    @Test(arguments: [false, true]) func shortNumbersAreLikeLongOnes(isEightBytes: Bool) throws {
        let peer = ScriptedPeer()
        // Its initial data sequence number ends 486 below 2^32.
        peer.key = 0x0102_0304_0514_3484
        let initial = DataSequenceNumber(KeyMaterial.initialDataSequence(of: peer.key))
        #expect(initial.low32 == 0xffff_fe1a)
        let (id, lane) = try peer.opened()
        let stream = PairedHosts.pattern(0, 1000)
        func send(_ range: Range<Int>) {
            let mapping = peer.mapping(
                Int64(range.lowerBound + 1), subflow: UInt32(range.lowerBound + 1), length: range.count,
                isEightBytes: isEightBytes)
            peer.say(
                lane, [.ack, .psh], at: UInt32(range.lowerBound),
                options: OptionBlock(DataSequenceSignal(mapping: mapping)),
                payload: Array(stream[range]))
        }
        // Beyond the wrap first, then below it, then across.
        for range in [600..<700, 0..<100, 700..<1000, 100..<450, 450..<600] { send(range) }
        #expect(peer.read(id) == stream)
        let last = try #require(peer.replies().last { $0.signal?.dataAck != nil })
        #expect(peer.offset(last.signal?.dataAck) == 1001)
        //= RFC 8684 §3.3.2 what came with 8 bytes is acknowledged with 8; after 4 either will do
        if isEightBytes {
            guard case .eight(let value)? = last.signal?.dataAck else { throw Unexpected("a DATA_ACK of 4 bytes") }
            #expect(value == initial.advanced(by: 1001).rawValue)
        }
    }

    //= RFC 8684 §3.3.1 the upper half grows at a wrap in either direction, and never by a number that is out of order
    @Test func promotionFollowsTheNearest() {
        let reference = DataSequenceNumber(0x5_ffff_fff0)
        #expect(DataSequenceNumber.expanding(0xffff_fff8, near: reference).rawValue == 0x5_ffff_fff8)
        #expect(DataSequenceNumber.expanding(0x10, near: reference).rawValue == 0x6_0000_0010)
        let behind = DataSequenceNumber(0x6_0000_0010)
        #expect(DataSequenceNumber.expanding(0xffff_fff0, near: behind).rawValue == 0x5_ffff_fff0)
        #expect(DataSequenceNumber.expanding(0x20, near: behind).rawValue == 0x6_0000_0020)
        let top = DataSequenceNumber(.max - 1)
        #expect(DataSequenceNumber.expanding(4, near: top).rawValue == 4)
    }

    //= RFC 8684 §3.3.2 a short DATA_ACK frees as much as a long one
    @Test(arguments: [false, true]) func eitherDataAckIsTaken(isEightBytes: Bool) throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened()
        #expect(peer.write(id, [1, 2, 3, 4]) == 4)
        _ = peer.replies()
        let number = DataSequenceNumber(KeyMaterial.initialDataSequence(of: peer.hostKey)).advanced(by: 5)
        lane.acknowledgment &+= 4
        peer.say(
            lane,
            options: OptionBlock(
                DataSequenceSignal(dataAck: isEightBytes ? .eight(number.rawValue) : .four(number.low32))))
        #expect(peer.snapshot(id)?.bytesAcknowledged == 4)
    }

    //= RFC 8684 §3.3.1 every number sent has 64 bits
    //= RFC 8684 §3.7 every segment with data has a mapping before a DATA_ACK has come, and the urgent pointer is not used
    @Test(arguments: [MultipathVersion.one, .zero]) func everySegmentOfDataIsMapped(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        let (id, _) = try peer.opened(version: version)
        #expect(peer.write(id, PairedHosts.pattern(0, 13_000)) == 13_000)
        let data = peer.replies().filter { !$0.payload.isEmpty }
        #expect(data.count >= 9)
        var position: Int64 = 1
        for reply in data {
            let mapping = try #require(reply.signal?.mapping)
            #expect(mapping.dataSequence.isEightBytes)
            #expect(peer.offset(mapping, version: version) == position)
            #expect(mapping.subflowSequence == UInt32(position))
            #expect(Int(mapping.length) == reply.payload.count)
            position += Int64(reply.payload.count)
            #expect(!reply.flags.contains(.urg) && reply.segment.urgentPointer == 0)
        }
    }

    //= RFC 8684 §3.3.1 urgent data is delivered in its place in the stream
    @Test func urgentDataIsDeliveredInLine() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        peer.say(
            lane, [.ack, .urg], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 3),
            payload: [1, 2, 3])
        #expect(peer.read(id) == [1, 2, 3])
    }

    //= RFC 8684 §3.3.2 segments without a DATA_ACK are valid
    @Test func segmentsWithoutADataAckAreValid() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        peer.say(lane, options: peer.signal(dataAck: 1))
        for number in 0..<50 {
            peer.say(
                lane, at: UInt32(number),
                options: peer.signal(dataOffset: Int64(number + 1), subflow: UInt32(number + 1), length: 1),
                payload: [UInt8(number)])
        }
        #expect(peer.read(id) == (0..<50).map { UInt8($0) })
        #expect(peer.snapshot(id)?.isMultipath == true)
    }

    //= RFC 8684 §3.3.2 a window counts at the connection level only beside a DATA_ACK
    //= RFC 8684 §3.3.2, §4 acknowledgments of the subflow free no data
    @Test func aWindowCountsOnlyBesideADataAck() throws {
        let peer = ScriptedPeer()
        var (id, lane) = try peer.opened()
        #expect(peer.write(id, PairedHosts.pattern(0, 300_000)) == 300_000)
        var sent = 0
        func drain() {
            for reply in peer.replies() where !reply.payload.isEmpty {
                guard let from = peer.offset(reply.signal?.mapping) else { continue }
                sent = max(sent, Int(from) - 1 + reply.payload.count)
            }
        }
        drain()
        // The subflow acknowledges all of it; DATA_ACK stays where it is.
        let start = lane.acknowledgment
        for _ in 0..<40 {
            lane.acknowledgment = start &+ UInt32(sent)
            peer.say(lane, options: peer.signal(dataAck: 1))
            drain()
        }
        #expect(sent > 60_000 && sent <= 65_535)
        for _ in 0..<5 {
            lane.acknowledgment = start &+ UInt32(sent)
            peer.say(lane)
            drain()
        }
        #expect(sent <= 65_535)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 0)
        lane.acknowledgment = start &+ UInt32(sent)
        peer.say(lane, options: peer.signal(dataAck: 30_001))
        drain()
        #expect(sent > 65_535 && sent <= 95_535)
        #expect(peer.snapshot(id)?.bytesAcknowledged == 30_000)
    }

    //= RFC 8684 §3.3.5, §4 the largest of the windows counts for the connection, and each subflow's own on that subflow
    @Test func eachSubflowsWindowIsKept() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        let join = try peer.joined()
        peer.say(join, window: 1_000, options: peer.signal(dataAck: 1))
        #expect(peer.write(id, PairedHosts.pattern(0, 60_000)) == 60_000)
        let sent = peer.replies()
        let onJoin = sent.filter { $0.goes(to: join) }.reduce(0) { $0 + $1.payload.count }
        let onFirst = sent.filter { $0.goes(to: first) }.reduce(0) { $0 + $1.payload.count }
        #expect(onJoin <= 1_000)
        #expect(onFirst > 5_000)
    }

    //= RFC 8684 §3.3.2, §3.3.6 data stays until DATA_ACK and its subflow have acknowledged it, and comes again there
    @Test func dataStaysUntilBothLevelsHaveAcknowledgedIt() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        #expect(peer.write(id, [1, 2, 3, 4]) == 4)
        let before = try #require(peer.replies().first { !$0.payload.isEmpty })
        // The data level has it (by another way), the subflow does not.
        peer.say(lane, options: peer.signal(dataAck: 5))
        #expect(peer.snapshot(id)?.bytesAcknowledged == 4)
        #expect(peer.write(id, PairedHosts.pattern(0, 8_000)) == 8_000)
        _ = peer.replies()
        var again: [ScriptedPeer.Reply] = []
        for _ in 0..<6 {
            peer.wait(.seconds(3))
            again += peer.replies().filter { $0.segment.sequence == before.segment.sequence }
        }
        #expect(!again.isEmpty)
        #expect(again.allSatisfy { $0.payload == [1, 2, 3, 4] && $0.signal?.mapping == before.signal?.mapping })
    }

    //= RFC 8684 §3.3.6 what is sent again on another subflow is sent again on its own as well, with the mapping it had
    @Test func reinjectedDataIsRepeatedWhereItWasFirst() throws {
        let peer = ScriptedPeer()
        let (id, first) = try peer.opened()
        #expect(peer.write(id, [1, 2, 3, 4]) == 4)
        let before = try #require(peer.replies().first { !$0.payload.isEmpty })
        let join = try peer.joined()
        peer.say(join, options: peer.signal(dataAck: 1))
        var there: [ScriptedPeer.Reply] = []
        var elsewhere: [ScriptedPeer.Reply] = []
        for _ in 0..<8 {
            peer.wait(.seconds(2))
            let sent = peer.replies().filter { !$0.payload.isEmpty }
            there += sent.filter { $0.goes(to: first) }
            elsewhere += sent.filter { $0.goes(to: join) }
        }
        #expect(!there.isEmpty && !elsewhere.isEmpty)
        //= RFC 8684 §3.3.1 a mapping does not change once declared
        #expect(there.allSatisfy { $0.payload == [1, 2, 3, 4] && $0.signal?.mapping == before.signal?.mapping })
        #expect(elsewhere.allSatisfy { $0.payload == [1, 2, 3, 4] && peer.offset($0.signal?.mapping) == 1 })
    }

    //= RFC 8684 §3.3.4 the right edge of the window never moves back
    @Test func theRightEdgeNeverMovesBack() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        var edge: Int64 = 0
        var seen = 0
        for number in 0..<200 {
            let start = number * 1000
            peer.say(
                lane, at: UInt32(start),
                options: peer.signal(
                    dataAck: 1, dataOffset: Int64(start + 1), subflow: UInt32(start + 1), length: 1000),
                payload: [UInt8](repeating: 5, count: 1000))
            if number % 7 == 6 { _ = peer.read(id) }
            if number % 3 == 0 { peer.wait(.milliseconds(50)) }
            for reply in peer.replies() {
                guard let acknowledged = peer.offset(reply.signal?.dataAck) else { continue }
                let now = acknowledged + Int64(reply.segment.window)
                #expect(now >= edge)
                edge = max(edge, now)
                seen += 1
            }
        }
        #expect(seen > 50)
    }

    //= RFC 8684 §3.3.5 the send buffer is as large as the receive buffer
    @Test func theSendBufferIsAsLargeAsTheReceiveBuffer() {
        let settings = ConnectionConfiguration()
        #expect(settings.sendBuffer >= settings.receiveBuffer)
    }

    //= RFC 9293 §3.7.1 the peer's MSS is kept where the interface does not segment
    @Test(arguments: [UInt16(536), 1000, 1400]) func noSegmentExceedsThePeersMSS(size: UInt16) throws {
        let peer = ScriptedPeer()
        var options = OptionBlock()
        options.append(maximumSegmentSize: size)
        options.append(.capable(MPCapable()))
        let (answer, lane, listener) = try peer.open(options)
        peer.hostKey = try #require(answer.multipath.other.capable?.senderKey)
        peer.say(lane, options: OptionBlock(.capable(MPCapable(senderKey: peer.key, receiverKey: peer.hostKey))))
        let found = peer.accept(listener)
        let id = try #require(found)
        #expect(peer.write(id, PairedHosts.pattern(0, 20_000)) == 20_000)
        var sent = peer.replies()
        for _ in 0..<5 {
            peer.wait(.seconds(2))
            sent += peer.replies()
        }
        #expect(sent.contains { !$0.payload.isEmpty })
        #expect(sent.allSatisfy { $0.payload.count <= Int(size) })
    }
}
