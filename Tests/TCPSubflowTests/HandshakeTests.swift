import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

@Suite struct HandshakeTests {
    @Test func activeOpen() throws {
        let bench = Bench(active: Bench.configuration(timestamps: true))
        bench.window = 100_000
        let syn = try #require(bench.step())
        #expect(syn.flags == .syn)
        #expect(syn.sequence == SequenceNumber(1_000))
        #expect(syn.options.maximumSegmentSize == 1_460)
        #expect(syn.options.windowScale == 7)
        #expect(syn.options.sackPermitted)
        let stamp = try #require(syn.options.timestamps)
        #expect(stamp.value == 5_077)
        //= RFC 7323 §2.2: the window in a SYN is not scaled
        #expect(syn.window == 65_535)
        #expect(bench.step() == nil)
        #expect(bench.flow.phase == .synSent)
        bench.wait(.milliseconds(30))
        let options = Bench.synOptions(segment: 1_400, scale: 9, timestamps: TCPTimestamps(value: 900, echo: 5_077))
        let outcome = bench.give([.syn, .ack], 0, ack: 1, window: 4_000, options: options)
        #expect(outcome.change == .established)
        #expect(outcome.window == 4_000)
        #expect(bench.flow.phase == .established)
        #expect(bench.flow.roundTrip.smoothed == .milliseconds(30))
        let third = try #require(bench.step())
        #expect(third.flags == .ack)
        #expect(third.sequence == SequenceNumber(1_001))
        #expect(third.acknowledgment == SequenceNumber(500_001))
        #expect(third.options.timestamps == TCPTimestamps(value: 5_030 + 77, echo: 900))
        #expect(Int(third.window) == 100_000 >> 7)
        #expect(bench.step() == nil)
        //= RFC 6691 §2: MSS less the options in use
        #expect(bench.flow.maximumSegmentSize == 1_388)
        #expect(bench.flow.segmentPayloadLimit(multipathOptionBytes: 20) == 1_368)
        // The SYN/ACK's window is not scaled.
        #expect(bench.flow.peerWindowEdge == 4_001)
        _ = bench.give(.ack, 1, ack: 1, window: 10)
        #expect(bench.flow.peerWindowEdge == 1 + 10 << 9)
    }

    @Test func passiveOpenAnswersOnlyWhatWasOffered() throws {
        let bench = Bench(
            passive: Bench.configuration(timestamps: true),
            options: Bench.synOptions(segment: nil, scale: nil, sack: false)
        )
        let answer = try #require(bench.step())
        #expect(answer.flags == [.syn, .ack])
        #expect(answer.acknowledgment == SequenceNumber(500_001))
        #expect(answer.options.windowScale == nil)
        #expect(answer.options.timestamps == nil)
        #expect(!answer.options.sackPermitted)
        #expect(answer.options.maximumSegmentSize == 1_460)
        let outcome = bench.give(.ack, 1, ack: 1, payload: 10)
        #expect(outcome.change == .established)
        #expect(outcome.payload == 1..<11)
        //= RFC 9293 §3.7.1 MUST-15: 536 without the option
        #expect(bench.flow.maximumSegmentSize == 536)
        bench.window = 1 << 20
        #expect(bench.step()?.window == 65_535)
    }

    @Test func synIsRetransmittedWithBackOffAndFails() throws {
        var configuration = Bench.configuration()
        configuration.synRetries = 3
        let bench = Bench(active: configuration)
        _ = bench.drain()
        var waits: [Int64] = []
        var outcome = TimeoutOutcome()
        while !outcome.closed {
            let before = bench.now
            outcome = bench.toDeadline()
            waits.append((bench.now - before).nanoseconds / 1_000_000_000)
            if outcome.closed { break }
            #expect(outcome.retransmissionTimedOut)
            #expect(try #require(bench.step()).flags == .syn)
        }
        //= RFC 6298 §5 rule 5.5
        #expect(waits == [1, 2, 4, 8])
        #expect(outcome.failure == .handshakeTimedOut)
        #expect(bench.flow.phase == .closed)
        #expect(bench.flow.nextDeadline == .distantFuture)
    }

    @Test func aLostSynMakesTheFirstTimeoutThreeSeconds() {
        //= RFC 6298 §5 rule 5.7
        let bench = Bench()
        _ = bench.drain()
        _ = bench.toDeadline()
        _ = bench.drain()
        _ = bench.give([.syn, .ack], 0, ack: 1, options: Bench.synOptions())
        _ = bench.drain()
        #expect(bench.flow.roundTrip.hasSample == false)
        _ = bench.write(100)
        #expect(bench.flow.nextDeadline == bench.now + .seconds(3 as Int64))
        #expect(bench.flow.congestionWindow == 14_600)
    }

    @Test func twoLostSynsLeaveOneSegment() {
        //= RFC 5681 §3.1: IW of one segment when the SYN was lost
        let bench = Bench()
        _ = bench.drain()
        for _ in 0..<2 {
            _ = bench.toDeadline()
            _ = bench.drain()
        }
        _ = bench.give([.syn, .ack], 0, ack: 1, options: Bench.synOptions())
        #expect(bench.flow.congestionWindow == 1_460)
    }

    @Test func simultaneousOpen() throws {
        //= RFC 9293 §3.5 figure 8
        let bench = Bench()
        _ = bench.drain()
        #expect(bench.give(.syn, 0, options: Bench.synOptions()).change == .none)
        #expect(bench.flow.phase == .synReceived)
        let answer = try #require(bench.step())
        #expect(answer.flags == [.syn, .ack])
        #expect(answer.sequence == SequenceNumber(1_000))
        #expect(answer.acknowledgment == SequenceNumber(500_001))
        #expect(bench.give([.syn, .ack], 0, ack: 1, options: Bench.synOptions()).change == .established)
        let last = try #require(bench.step())
        #expect(last.flags == .ack)
        #expect(last.sequence == SequenceNumber(1_001))
    }

    @Test func aWrongAcknowledgmentInSynSentIsAnsweredWithReset() throws {
        //= RFC 9293 §3.10.7.3 first step
        let bench = Bench()
        _ = bench.drain()
        for wrong in [-5, 0, 2, 9] as [Int64] {
            let outcome = bench.give([.syn, .ack], 0, ack: wrong)
            #expect(outcome.verdict == .dropped(.badAcknowledgment))
            let reset = try #require(bench.step())
            #expect(reset.flags == .rst)
            #expect(bench.offset(reset) == wrong)
            #expect(bench.flow.phase == .synSent)
        }
        #expect(bench.give([.rst, .ack], 0, ack: 7).verdict == .dropped(.rstOutsideWindow))
        #expect(bench.give(.rst, 0).verdict == .dropped(.rstOutsideWindow))
        #expect(bench.give(.ack, 0, ack: 1).verdict == .dropped(.notSynchronized))
        let refused = bench.give([.rst, .ack], 0, ack: 1)
        #expect(refused.change == .refused)
        #expect(bench.flow.phase == .closed)
    }

    @Test func aSynAgainIsAnsweredAgain() throws {
        let bench = Bench(passive: Bench.configuration())
        _ = bench.drain()
        #expect(bench.give(.syn, 0, options: Bench.synOptions()).verdict == .dropped(.duplicateSyn))
        #expect(try #require(bench.step()).flags == [.syn, .ack])
        #expect(bench.flow.statistics.drops[.duplicateSyn] == 1)
    }

    @Test func smallAndMissingValuesAreBounded() {
        for (announced, expected) in [(0, 88), (1, 88), (87, 88), (88, 88), (9_000, 1_460)] as [(UInt16, Int)] {
            let bench = Bench.established(options: Bench.synOptions(segment: announced, scale: 255))
            #expect(bench.flow.maximumSegmentSize == expected)
            #expect(bench.flow.peerWindowScale == 14)
        }
        var configuration = SubflowConfiguration(maximumSegmentSize: -4, windowScale: 255)
        configuration.maximumBurst = .min
        configuration.initialWindowSegments = .max
        configuration.synRetries = .max
        configuration.delayedAcknowledgement = .seconds(99 as Int64)
        let bench = Bench.established(configuration)
        #expect(bench.flow.phase == .established)
        #expect(bench.flow.maximumSegmentSize == 88)
    }

    @Test func finWithTheEstablishingSegmentLeadsOn() {
        let bench = Bench(passive: Bench.configuration())
        _ = bench.drain()
        let outcome = bench.give([.ack, .fin], 1, ack: 1)
        #expect(outcome.change == .established)
        #expect(outcome.peerFinished)
        #expect(bench.flow.phase == .closeWait)
    }
}
