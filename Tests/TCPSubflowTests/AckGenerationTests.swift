import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

@Suite struct AckGenerationTests {
    @Test func oneSegmentIsAcknowledgedAfterTheDelay() throws {
        //= RFC 9293 §3.8.6.3 MUST-40: an acknowledgement is not delayed by 500 ms or more
        let bench = Bench.established()
        bench.payload(1..<1_461)
        #expect(bench.step() == nil)
        #expect(bench.flow.nextDeadline == bench.now + .milliseconds(40))
        bench.wait(.milliseconds(39))
        #expect(bench.step() == nil)
        #expect(bench.toDeadline().needsOutput)
        let segment = try #require(bench.step())
        #expect(segment.flags == .ack)
        #expect(bench.acked(segment) == 1_461)
        #expect(bench.step() == nil)
        #expect(bench.flow.nextDeadline == .distantFuture)
    }

    @Test func everySecondFullSegmentIsAcknowledgedAtOnce() throws {
        //= RFC 9293 §3.8.6.3 SHLD-19: at least every second full-sized segment
        let bench = Bench.established()
        bench.payload(1..<1_461)
        bench.payload(1_461..<2_921)
        #expect(bench.acked(try #require(bench.step())) == 2_921)
        bench.payload(2_921..<3_921)
        #expect(bench.step() == nil)
        bench.payload(3_921..<5_841)
        #expect(bench.acked(try #require(bench.step())) == 5_841)
    }

    @Test func aSuperPacketIsAcknowledgedAtOnce() throws {
        let bench = Bench.established()
        bench.payload(1..<30_001)
        #expect(bench.acked(try #require(bench.step())) == 30_001)
    }

    @Test func dataCarriesTheAcknowledgement() throws {
        let bench = Bench.established()
        bench.payload(1..<101)
        let data = try #require(bench.write(10).first)
        #expect(bench.acked(data) == 101)
        #expect(bench.step() == nil)
        bench.wait(.milliseconds(100))
        #expect(bench.step() == nil)
    }

    @Test func theFirstSegmentsAreNotDelayed() throws {
        let bench = Bench.established()
        bench.flow.quickAcknowledgements = 3
        for index in 0..<3 {
            bench.payload(Int64(1 + index * 1_460)..<Int64(1 + (index + 1) * 1_460))
            _ = try #require(bench.step())
        }
        bench.payload(4_381..<5_841)
        #expect(bench.step() == nil)
    }

    @Test func aGapIsReportedAtOnceMostRecentFirst() throws {
        //= RFC 5681 §4.2 and RFC 2018 §4
        let bench = Bench.established()
        bench.payload(1_461..<2_921)
        #expect(bench.blocks(try #require(bench.step())) == [1_461..<2_921])
        bench.payload(5_841..<7_301)
        #expect(bench.blocks(try #require(bench.step())) == [5_841..<7_301, 1_461..<2_921])
        bench.payload(2_921..<4_381)
        #expect(bench.blocks(try #require(bench.step())) == [1_461..<4_381, 5_841..<7_301])
        #expect(bench.flow.hasReceivedOutOfOrder == true)
        #expect(bench.flow.statistics.outOfOrder == 3)
        // Filling in a gap is acknowledged at once too.
        bench.payload(1..<1_461)
        let filled = try #require(bench.step())
        #expect(bench.acked(filled) == 4_381)
        #expect(bench.blocks(filled) == [5_841..<7_301])
        bench.payload(4_381..<5_841)
        let last = try #require(bench.step())
        #expect(bench.acked(last) == 7_301)
        #expect(bench.blocks(last) == [])
        #expect(bench.flow.statistics.bytesReceived == 7_300)
    }

    @Test func atMostThreeBlocksStandBesideTimestamps() throws {
        let bench = Bench.established(Bench.configuration(timestamps: true), clock: 9)
        for index in 0..<6 { bench.payload(Int64(1_001 + index * 200)..<Int64(1_101 + index * 200)) }
        let segment = try #require(bench.step())
        #expect(bench.blocks(segment) == [2_001..<2_101, 1_801..<1_901, 1_601..<1_701])
    }

    @Test func aDuplicateIsReported() throws {
        //= RFC 2883 §4
        let bench = Bench.established()
        bench.payload(1..<1_461)
        let outcome = bench.payload(1..<1_461)
        #expect(outcome.verdict == .dropped(.duplicate))
        #expect(bench.blocks(try #require(bench.step())) == [1..<1_461])
        // Above the acknowledgement, inside a stored block: the second block contains the first.
        bench.payload(2_921..<5_841)
        _ = bench.drain()
        bench.payload(2_921..<4_381)
        #expect(bench.blocks(try #require(bench.step())) == [2_921..<4_381, 2_921..<5_841])
        // Once only.
        bench.flow.requestAcknowledgement()
        #expect(bench.blocks(try #require(bench.step())) == [2_921..<5_841])
        #expect(bench.flow.statistics.duplicateSegments == 2)
    }

    @Test func partlyNewPayloadIsOfferedFromTheFirstNewByte() throws {
        let bench = Bench.established()
        bench.payload(1..<1_001)
        let outcome = bench.payload(501..<1_501)
        #expect(outcome.payload == 1_001..<1_501)
        #expect(outcome.payloadSkip == 500)
        #expect(bench.blocks(try #require(bench.step())) == [501..<1_001])
        #expect(bench.flow.receiveNext == 1_501)
    }

    @Test func gapsAreBounded() {
        let bench = Bench.established()
        for index in 0..<4_140 {
            let start = 1_001 + Int64(index) * 10
            bench.payload(start..<start + 1)
        }
        #expect(bench.flow.outOfOrderRangeCount == 4_096)
        #expect(bench.flow.statistics.outOfOrderRefused == 44)
    }

    @Test func noBlocksAreSentToAPeerWithoutSACK() throws {
        let bench = Bench.established(options: Bench.synOptions(sack: false))
        bench.payload(1_461..<2_921)
        bench.payload(1_461..<2_921)
        #expect(bench.blocks(try #require(bench.step())) == [])
    }

    @Test func blocksYieldToMultipathOptionsAndToTheSegmentSize() throws {
        let bench = Bench.established(Bench.configuration(timestamps: true), clock: 9)
        bench.payload(1_461..<2_921)
        var block = OptionBlock()
        block.append(
            DataSequenceSignal(dataAck: .eight(1), mapping: nil, dataFin: false))
        bench.multipath = block
        let room = bench.flow.optionRoom(for: .acknowledge)
        #expect(room == 28)
        let acknowledgment = try #require(bench.step())
        #expect(bench.blocks(acknowledgment) == [1_461..<2_921])
        bench.multipath = OptionBlock()
        // A full segment has no room: the acknowledgement with blocks follows by itself.
        bench.payload(4_381..<5_841)
        let data = try #require(bench.write(1_448, piece: 1_448).first)
        #expect(data.payloadLength == 1_448)
        #expect(data.options.sackBlocks.isEmpty)
        #expect(bench.blocks(try #require(bench.step())) == [4_381..<5_841, 1_461..<2_921])
        bench.payload(7_301..<8_761)
        let small = try #require(bench.write(100).first)
        #expect(small.options.sackBlocks.count == 3)
        #expect(bench.step() == nil)
    }
}

@Suite struct AdvertisedWindowTests {
    @Test func theRightEdgeNeverMovesBack() throws {
        //= RFC 9293 §3.8.6.2.2 SHLD-14
        let bench = Bench.established()
        bench.window = 100_000
        var edge: Int64 = 0
        var source = RandomSource(seed: 3)
        var asked = bench.flow.askedReceiveEdge
        for _ in 0..<2_000 {
            bench.window = Int(source.next() % 200_000)
            asked = max(asked, bench.flow.receiveNext + Int64(bench.window))
            bench.flow.requestAcknowledgement()
            let segment = try #require(bench.step())
            let fresh = bench.flow.receiveNext + Int64(segment.window) << 7
            // Rounding may seem to take back less than a unit (RFC 7323 §2.4) and gives at most one more than asked.
            #expect(fresh > edge - 128)
            #expect(fresh <= asked + 128)
            edge = max(edge, fresh)
            #expect(bench.flow.receiveWindowEdge >= edge)
            let count = Int64(source.next() % 97)
            if bench.flow.receiveNext + count <= bench.flow.receiveWindowEdge {
                bench.payload(bench.flow.receiveNext..<bench.flow.receiveNext + count)
            }
        }
    }

    @Test func aSharedWindowFollowsTheConnection() throws {
        let bench = Bench.established()
        bench.flow.sharesWindow = true
        bench.window = 1_000_000
        bench.flow.requestAcknowledgement()
        #expect(Int(try #require(bench.step()).window) == 1_000_000 >> 7)
        bench.window = 500_000
        bench.flow.requestAcknowledgement()
        #expect(Int(try #require(bench.step()).window) == 500_000 >> 7)
        // What was promised is still accepted.
        #expect(bench.payload(900_001..<900_101).payload == 900_001..<900_101)
    }

    @Test func nothingBeyondTheAdvertisedEdgeIsAccepted() throws {
        let bench = Bench.established()
        let edge = bench.flow.receiveWindowEdge
        let outcome = bench.payload(edge - 10..<edge + 10)
        #expect(outcome.payload == edge - 10..<edge)
        #expect(bench.payload(edge..<edge + 10).verdict == .dropped(.outsideWindow))
        #expect(bench.step()?.flags == .ack)
    }

    @Test func aClosedWindowStillTakesAcknowledgements() throws {
        //= RFC 9293 §3.10.7.4: with a zero window, valid ACKs are processed
        let bench = Bench.established()
        bench.window = 0
        let edge = bench.flow.receiveWindowEdge
        bench.payload(1..<edge)
        #expect(try #require(bench.step()).window == 0)
        _ = bench.write(100)
        let next = bench.flow.receiveNext
        let outcome = bench.give(.ack, next, ack: 101, payload: 10)
        #expect(outcome.newlyAcknowledged == 100)
        #expect(outcome.payload == nil)
        #expect(outcome.verdict == .dropped(.windowClosed))
        #expect(bench.step()?.flags == .ack)
    }
}
