import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

@Suite struct TimerTests {
    @Test func aClosedWindowIsProbedWithBackOffForEver() throws {
        //= RFC 9293 §3.8.6.1 MUST-36: the connection stays open while the peer answers
        let bench = Bench.established()
        _ = bench.acknowledge(1, window: 0)
        #expect(bench.flow.sendRoom(now: bench.now) == 0)
        #expect(bench.flow.nextDeadline == .distantFuture)
        bench.flow.setDataWaiting(.behindOwnWindow, now: bench.now)
        var last = bench.now
        var intervals: [TimeSpan] = []
        for _ in 0..<40 {
            #expect(bench.toDeadline().needsOutput)
            intervals.append(bench.now - last)
            last = bench.now
            let probe = try #require(bench.step())
            #expect(bench.offset(probe) == 0)
            #expect(probe.payloadLength == 0 && probe.flags == .ack)
            #expect(bench.step() == nil)
            _ = bench.acknowledge(1, window: 0)
        }
        #expect(intervals[0] == bench.flow.roundTrip.retransmissionTimeout)
        //= RFC 9293 §3.8.6.1 SHLD-30: exponentially
        #expect(intervals[1] == intervals[0] * 2 && intervals[2] == intervals[0] * 4)
        #expect(intervals[39] == .seconds(120 as Int64))
        #expect(bench.flow.statistics.zeroWindowProbes == 40)
        _ = bench.acknowledge(1, window: 10)
        #expect(bench.flow.nextDeadline == .distantFuture)
        #expect(bench.flow.sendRoom(now: bench.now) == 1_280)
    }

    @Test func probesWithoutAnswerFail() {
        let bench = Bench.established()
        _ = bench.acknowledge(1, window: 0)
        bench.flow.setDataWaiting(.behindOwnWindow, now: bench.now)
        var outcome = TimeoutOutcome()
        var probes = 0
        while !outcome.closed, probes < 100 {
            outcome = bench.toDeadline()
            probes += bench.drain().count
        }
        #expect(probes == 15)
        #expect(outcome.failure == .timedOut)
    }

    @Test func noProbesWhenNothingWaits() {
        let bench = Bench.established()
        bench.flow.setDataWaiting(.behindOwnWindow, now: bench.now)
        #expect(bench.flow.nextDeadline == .distantFuture)
        _ = bench.acknowledge(1, window: 0)
        #expect(bench.flow.nextDeadline != .distantFuture)
        bench.flow.setDataWaiting(.none, now: bench.now)
        #expect(bench.flow.nextDeadline == .distantFuture)
    }

    @Test func aShrunkWindowOfALivePeerDoesNotFailTheSubflow() {
        //= RFC 9293 §3.8.6 MUST-34: robust against window shrinking
        let bench = Bench.established()
        _ = bench.write(1_460)
        _ = bench.acknowledge(1, window: 0)
        for _ in 0..<40 {
            let outcome = bench.toDeadline()
            #expect(!outcome.closed)
            #expect(bench.drain().count == 1)
            bench.wait(.milliseconds(1))
            _ = bench.acknowledge(1, window: 0)
        }
        _ = bench.acknowledge(1_461)
        #expect(bench.flow.consecutiveTimeouts == 0)
    }

    @Test func sillyWindowsAreNotFilled() {
        //= RFC 9293 §3.8.6.2.1
        let bench = Bench.established()
        _ = bench.write(1_460)
        _ = bench.acknowledge(1, window: UInt16((1_460 + 256) / 128))
        #expect(bench.flow.sendRoom(now: bench.now) == 0)
        _ = bench.acknowledge(1_461, window: 2)
        #expect(bench.flow.sendRoom(now: bench.now) == 256)
    }

    @Test func keepaliveProbesAndGivesUp() throws {
        var configuration = Bench.configuration()
        configuration.keepalive = .init(idle: .seconds(100 as Int64), interval: .seconds(10 as Int64), probes: 3)
        let bench = Bench.established(configuration)
        #expect(bench.flow.nextDeadline == bench.now + .seconds(100 as Int64))
        _ = bench.toDeadline()
        //= RFC 9293 §3.8.4: SEG.SEQ = SND.NXT - 1
        #expect(bench.offset(try #require(bench.step())) == 0)
        _ = bench.acknowledge(1)
        #expect(bench.flow.nextDeadline == bench.now + .seconds(100 as Int64))
        let start = bench.now
        var outcome = TimeoutOutcome()
        var probes = 0
        while !outcome.closed, probes < 20 {
            outcome = bench.toDeadline()
            probes += bench.drain().count
        }
        #expect(probes == 3)
        #expect(outcome.failure == .keepaliveExpired)
        #expect(bench.now - start == .seconds(130 as Int64))
    }

    @Test func userTimeout() {
        //= RFC 9293 §3.10.8
        var configuration = Bench.configuration()
        configuration.userTimeout = .seconds(5 as Int64)
        let bench = Bench.established(configuration)
        bench.wait(.seconds(50 as Int64))
        _ = bench.flow.advance(to: bench.now)
        #expect(bench.flow.phase == .established)
        _ = bench.write(2_920)
        bench.wait(.seconds(3 as Int64))
        _ = bench.acknowledge(1_461)
        let start = bench.now
        var outcome = TimeoutOutcome()
        while !outcome.closed {
            outcome = bench.toDeadline()
            _ = bench.drain()
        }
        #expect(outcome.failure == .userTimeout)
        #expect(bench.now - start == .seconds(5 as Int64))
    }

    @Test func idleRestart() {
        //= RFC 5681 §4.1
        var configuration = Bench.configuration()
        configuration.congestion = .newreno
        let bench = Bench.established(configuration)
        var end: Int64 = 1
        for _ in 0..<3 {
            end += Int64(bench.write(1 << 20).reduce(0) { $0 + $1.payloadLength })
            bench.wait(.milliseconds(20))
            _ = bench.acknowledge(end)
        }
        #expect(bench.flow.congestionWindow == 80 * 1_460)
        // The last data went out 20 ms ago.
        bench.wait(bench.flow.roundTrip.retransmissionTimeout - .milliseconds(20))
        #expect(bench.flow.sendRoom(now: bench.now) == 80 * 1_460)
        bench.wait(.milliseconds(1))
        #expect(bench.flow.sendRoom(now: bench.now) == 14_600)
        _ = bench.write(1_460)
        #expect(bench.flow.congestionWindow == 14_600)
    }

    @Test func karnTakesNoSampleOfARetransmission() {
        //= RFC 6298 §3
        let bench = Bench.established()
        let before = bench.flow.roundTrip.smoothed
        _ = bench.write(100)
        _ = bench.toDeadline()
        _ = bench.drain()
        bench.wait(.milliseconds(3))
        _ = bench.acknowledge(101)
        #expect(bench.flow.roundTrip.smoothed == before)
        _ = bench.write(100)
        bench.wait(.milliseconds(100))
        _ = bench.acknowledge(201)
        #expect(bench.flow.roundTrip.latest == .milliseconds(100))
    }
}

@Suite struct TimestampTests {
    private func bench() -> Bench { Bench.established(Bench.configuration(timestamps: true), clock: 1_000) }

    @Test func oldTimestampsAreRefused() throws {
        //= RFC 7323 §5.3 R1
        let bench = bench()
        bench.peerClock = 1_010
        bench.payload(1..<101)
        _ = bench.drain()
        bench.flow.requestAcknowledgement()
        #expect(try #require(bench.step()).options.timestamps?.echo == 1_010)
        bench.peerClock = 1_009
        #expect(bench.give(.ack, 101, ack: 1, payload: 5).verdict == .dropped(.paws))
        #expect(bench.step()?.flags == .ack)
        bench.peerClock = 1_010
        #expect(bench.give(.ack, 101, ack: 1, payload: 5).verdict == .accepted)
        // A RST is not subject to it.
        bench.peerClock = 5
        #expect(bench.give(.rst, 101).change == .reset)
    }

    @Test func anOutdatedTimestampIsNotHeldAgainst() {
        //= RFC 7323 §5.5: 24 days
        let bench = bench()
        bench.payload(1..<101)
        bench.peerClock = 3
        bench.wait(.seconds(23 * 86_400 as Int64))
        #expect(bench.give(.ack, 101, ack: 1).verdict == .dropped(.paws))
        bench.wait(.seconds(2 * 86_400 as Int64))
        #expect(bench.give(.ack, 101, ack: 1).verdict == .accepted)
    }

    @Test func theEchoIsThatOfTheEarliestUnacknowledgedSegment() throws {
        //= RFC 7323 §4.3: with delayed acknowledgements the earliest, beyond a gap the last in order
        let bench = bench()
        bench.peerClock = 1_100
        bench.payload(1..<101)
        bench.peerClock = 1_200
        bench.payload(101..<201)
        bench.flow.requestAcknowledgement()
        #expect(try #require(bench.step()).options.timestamps?.echo == 1_100)
        bench.peerClock = 1_300
        bench.payload(301..<401)
        #expect(try #require(bench.step()).options.timestamps?.echo == 1_100)
        bench.peerClock = 1_400
        bench.payload(201..<301)
        #expect(try #require(bench.step()).options.timestamps?.echo == 1_400)
    }

    @Test func segmentsWithoutTimestampsAreAccepted() {
        let bench = bench()
        bench.peerClock = nil
        #expect(bench.payload(1..<11).payload == 1..<11)
    }

    @Test func timestampsThatJumpAnywhereNeverTrap() {
        let bench = bench()
        var source = RandomSource(seed: 5)
        for _ in 0..<5_000 {
            bench.peerClock = source.nextWord()
            bench.echo = source.nextWord()
            _ = bench.give(.ack, bench.flow.receiveNext, ack: bench.flow.sendUnacknowledged)
            bench.wait(TimeSpan(nanoseconds: Int64(source.next() % 1_000_000_000)))
            _ = bench.write(10)
            _ = bench.acknowledge(bench.flow.sendNext)
        }
        #expect(bench.flow.roundTrip.retransmissionTimeout <= .seconds(120 as Int64))
    }
}

@Suite struct PathMTUTests {
    @Test func aSmallerPathLowersTheSegmentsAndSendsAgain() {
        //= RFC 8201 §5.4, RFC 1191 §6.4: without a reduction of the congestion window
        var configuration = Bench.configuration()
        configuration.maximumBurst = 65_000
        let bench = Bench.established(configuration)
        let window = bench.flow.congestionWindow
        _ = bench.write(4_380, piece: 4_380)
        #expect(bench.pathMTU(1_000, quoting: 1))
        #expect(bench.flow.maximumSegmentSize == 1_000)
        #expect(bench.flow.congestionWindow == window)
        let again = bench.drain()
        #expect(again.reduce(0) { $0 + $1.payloadLength } == 4_380)
        #expect(bench.offset(again[0]) == 1)
        #expect(bench.acknowledge(4_381).newlyAcknowledged == 4_380)
        #expect(bench.write(5_000, piece: 1_000).allSatisfy { $0.payloadLength == 1_000 })
    }

    @Test func messagesThatQuoteNothingOutstandingAreIgnored() {
        //= RFC 5927 §4.1
        let bench = Bench.established()
        _ = bench.write(1_460)
        _ = bench.acknowledge(1_461)
        _ = bench.write(1_460)
        for wrong in [1, 1_460, 2_921, 3_000, -9] as [Int64] {
            #expect(!bench.pathMTU(600, quoting: wrong))
        }
        #expect(!bench.pathMTU(1_460, quoting: 1_461))
        #expect(bench.flow.statistics.pathMTUIgnored == 6)
        #expect(bench.pathMTU(-7, quoting: 1_461))
        #expect(bench.flow.maximumSegmentSize == 512)
    }
}
