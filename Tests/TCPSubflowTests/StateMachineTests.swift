import TCPSubflow
import Testing
import TransportPolicies
import TransportValues
import WireFormats

extension Bench {
    /// A bench whose subflow is in `phase`, with nothing due. Both sides sent `data` bytes where they could.
    static func inPhase(_ phase: SubflowPhase) -> Bench {
        if phase == .synSent {
            let bench = Bench()
            _ = bench.drain()
            return bench
        }
        if phase == .synReceived {
            let bench = Bench(passive: Bench.configuration())
            _ = bench.drain()
            return bench
        }
        let bench = established()
        switch phase {
        case .synSent, .synReceived, .established: break
        case .finWait1: bench.finish()
        case .finWait2:
            bench.finish()
            _ = bench.give(.ack, 1, ack: 2)
        case .closeWait: _ = bench.give([.fin, .ack], 1, ack: 1)
        case .closing:
            bench.finish()
            _ = bench.give([.fin, .ack], 1, ack: 1)
        case .lastAck:
            _ = bench.give([.fin, .ack], 1, ack: 1)
            _ = bench.drain()
            bench.finish()
        case .timeWait:
            bench.finish()
            _ = bench.give([.fin, .ack], 1, ack: 2)
        case .closed: bench.flow.abandon()
        }
        _ = bench.drain()
        precondition(bench.flow.phase == phase)
        return bench
    }

    func finish() {
        flow.close()
        _ = drain()
    }
}

@Suite struct StateMachineTests {
    static let all = SubflowPhase.allCases
    static let synchronized = SubflowPhase.allCases.filter(\.isSynchronized)

    @Test(arguments: synchronized)
    func resetAtTheLeftEdgeResets(_ phase: SubflowPhase) {
        //= RFC 5961 §3: RST at RCV.NXT MUST reset the connection
        let bench = Bench.inPhase(phase)
        let outcome = bench.give(.rst, bench.flow.receiveNext)
        #expect(bench.flow.phase == .closed)
        let quiet: [SubflowPhase] = [.closing, .lastAck, .timeWait]
        #expect(outcome.change == (quiet.contains(phase) ? .closed : .reset))
        #expect(bench.drain().isEmpty)
    }

    @Test(arguments: synchronized)
    func resetInTheWindowIsChallenged(_ phase: SubflowPhase) throws {
        //= RFC 5961 §3: elsewhere in the window a challenge ACK MUST be sent
        let bench = Bench.inPhase(phase)
        #expect(bench.give(.rst, bench.flow.receiveNext + 1).verdict == .dropped(.rstChallenged))
        #expect(bench.flow.phase == phase)
        let challenge = try #require(bench.step())
        #expect(challenge.flags == .ack)
        #expect(bench.offset(challenge) == bench.flow.sendNext)
        #expect(bench.acked(challenge) == bench.flow.receiveNext)
        #expect(bench.give(.rst, bench.flow.receiveWindowEdge + 1).verdict == .dropped(.rstOutsideWindow))
        #expect(bench.give(.rst, bench.flow.receiveNext - 1).verdict == .dropped(.rstOutsideWindow))
        #expect(bench.drain().isEmpty)
    }

    @Test(arguments: synchronized, [-100, 0, 1, 5, 100_000_000] as [Int64])
    func aSynIsChallenged(_ phase: SubflowPhase, _ distance: Int64) throws {
        //= RFC 5961 §4: irrespective of the sequence number
        let bench = Bench.inPhase(phase)
        let outcome = bench.give(.syn, bench.flow.receiveNext + distance)
        #expect(outcome.verdict == .dropped(.synInWindow))
        #expect(bench.flow.phase == phase)
        #expect(try #require(bench.step()).flags == .ack)
    }

    @Test func challengesAreLimited() {
        //= RFC 5961 §7: 10 in 5 seconds
        let bench = Bench.established()
        var answers = 0
        for _ in 0..<100 {
            _ = bench.give(.rst, bench.flow.receiveNext + 9)
            answers += bench.drain().count
        }
        #expect(answers == 10)
        #expect(bench.flow.statistics.challengeAcknowledgements == 10)
        #expect(bench.flow.statistics.acknowledgementsSuppressed == 90)
        bench.wait(.seconds(5 as Int64))
        _ = bench.give(.rst, bench.flow.receiveNext + 9)
        #expect(bench.drain().count == 1)
    }

    @Test(arguments: synchronized)
    func acknowledgmentsOfWhatWasNeverSentAreRefused(_ phase: SubflowPhase) throws {
        //= RFC 5961 §5: (SND.UNA - MAX.SND.WND) =< SEG.ACK =< SND.NXT
        let bench = Bench.inPhase(phase)
        let next = bench.flow.receiveNext
        let sendNext = bench.flow.sendNext
        let outcome = bench.give(.ack, next, ack: sendNext + 1)
        #expect(outcome.verdict == .dropped(.badAcknowledgment))
        #expect(bench.flow.phase == phase)
        #expect(try #require(bench.step()).flags == .ack)
        let old = bench.flow.sendUnacknowledged - Int64(65_535) << 7 - 1
        #expect(bench.give(.ack, next, ack: old).verdict == .dropped(.badAcknowledgment))
        #expect(bench.give(.ack, next, ack: old + 1).verdict == .accepted)
    }

    @Test(arguments: all)
    func segmentsWithoutAckAreDropped(_ phase: SubflowPhase) {
        let bench = Bench.inPhase(phase)
        let outcome = bench.give([], bench.flow.receiveNext, payload: 5)
        let expected: SubflowDrop =
            phase == .closed ? .closed : phase == .synSent ? .notSynchronized : .noAcknowledgment
        #expect(outcome.verdict == .dropped(expected))
        #expect(bench.flow.phase == phase)
        #expect(bench.flow.statistics.drops[expected] == 1)
    }

    @Test(arguments: synchronized)
    func anUnacceptableSegmentIsAnswered(_ phase: SubflowPhase) throws {
        //= RFC 9293 §3.10.7.4 first step
        let bench = Bench.inPhase(phase)
        let outcome = bench.give(.ack, bench.flow.receiveWindowEdge + 1, ack: bench.flow.sendNext, payload: 1)
        #expect(outcome.verdict == .dropped(.outsideWindow))
        #expect(outcome.payload == nil)
        let answer = try #require(bench.step())
        #expect(answer.flags == .ack)
        #expect(bench.acked(answer) == bench.flow.receiveNext)
        // A keepalive probe.
        #expect(bench.give(.ack, bench.flow.receiveNext - 1, ack: bench.flow.sendNext).verdict == .dropped(.duplicate))
        #expect(bench.step()?.flags == .ack)
    }

    @Test func finInEveryState() {
        //= RFC 9293 §3.10.7.4 eighth step
        let table: [(SubflowPhase, SubflowPhase, Bool)] = [
            (.synReceived, .closeWait, true), (.established, .closeWait, true), (.finWait1, .closing, true),
            (.finWait2, .timeWait, true), (.closeWait, .closeWait, false), (.closing, .closing, false),
            (.lastAck, .lastAck, false), (.timeWait, .timeWait, false),
        ]
        for (before, after, consumed) in table {
            let bench = Bench.inPhase(before)
            let ack = before == .synReceived ? 1 : bench.flow.sendUnacknowledged
            let next = bench.flow.receiveNext
            let outcome = bench.give([.fin, .ack], next, ack: ack)
            #expect(bench.flow.phase == after, "\(before)")
            #expect(outcome.peerFinished == consumed)
            #expect(bench.flow.receiveNext == next + (consumed ? 1 : 0))
            #expect(bench.step()?.flags == .ack)
        }
    }

    @Test func theAcknowledgmentOfOurFin() {
        //= RFC 9293 §3.10.7.4 fifth step
        let table: [(SubflowPhase, SubflowPhase, SubflowChange)] = [
            (.finWait1, .finWait2, .none), (.closing, .timeWait, .closed), (.lastAck, .closed, .closed),
        ]
        for (before, after, change) in table {
            let bench = Bench.inPhase(before)
            let outcome = bench.give(.ack, bench.flow.receiveNext, ack: bench.flow.sendNext)
            #expect(bench.flow.phase == after, "\(before)")
            #expect(outcome.change == change)
            #expect(outcome.newlyAcknowledged == 0)
            #expect(bench.flow.hasUnacknowledgedData == false)
            #expect(bench.flow.isFinAcknowledged == true)
        }
    }

    @Test func finAndItsAcknowledgmentTogetherLeadToTimeWait() {
        let bench = Bench.inPhase(.finWait1)
        let outcome = bench.give([.fin, .ack], 1, ack: 2)
        #expect(bench.flow.phase == .timeWait)
        #expect(outcome.change == .peerFinished)
        #expect(bench.step()?.flags == .ack)
    }

    @Test func timeWaitEndsAndIsRestartedByARetransmittedFin() {
        //= RFC 9293 §3.10.7.4: acknowledge it, and restart the 2 MSL timeout
        let bench = Bench.inPhase(.timeWait)
        let first = bench.flow.nextDeadline
        #expect(first == bench.now + .seconds(60 as Int64))
        bench.wait(.seconds(30 as Int64))
        #expect(bench.give([.fin, .ack], 1, ack: 2).verdict == .dropped(.duplicate))
        #expect(bench.step()?.flags == .ack)
        #expect(bench.flow.nextDeadline == bench.now + .seconds(60 as Int64))
        let outcome = bench.toDeadline()
        #expect(outcome.closed && outcome.failure == nil)
        #expect(bench.flow.phase == .closed)
    }

    @Test func aNewConnectionMayReuseTimeWait() {
        //= RFC 6191 §2
        let bench = Bench.inPhase(.timeWait)
        func syn(_ offset: Int64) -> TCPSegment {
            Bench.segment(
                .syn, bench.peerInitial.advanced(by: offset), SequenceNumber(0), 0, 1_000, OptionBlock())
        }
        #expect(bench.permitsReuse(syn(bench.flow.receiveNext + 1)))
        #expect(!bench.permitsReuse(syn(bench.flow.receiveNext)))
        #expect(!Bench.inPhase(.finWait2).permitsReuse(syn(1_000)))
    }

    @Test func finGoesOutBehindDataAndIsSentAgain() throws {
        let bench = Bench.established()
        _ = bench.write(100)
        bench.flow.close()
        #expect(bench.flow.canSendData == false)
        #expect(bench.flow.sendRoom(now: bench.now) == 0)
        let fin = try #require(bench.step())
        #expect(fin.flags == [.fin, .ack])
        #expect(bench.offset(fin) == 101)
        #expect(bench.flow.sendNext == 102)
        #expect(bench.flow.phase == .finWait1)
        #expect(bench.step() == nil)
        _ = bench.acknowledge(101)
        _ = bench.toDeadline()
        let again = try #require(bench.step())
        #expect(again.flags == [.fin, .ack])
        #expect(bench.offset(again) == 101)
        #expect(again.payloadLength == 0)
        #expect(bench.step() == nil)
        _ = bench.acknowledge(102)
        #expect(bench.flow.phase == .finWait2)
        #expect(bench.flow.nextDeadline == .distantFuture)
    }

    @Test func finMayStandWithTheLastData() throws {
        let bench = Bench.established()
        let mapping = SentMapping(dataOffset: 1, subflowOffset: 1, length: 50)
        let segment = bench.emit(.data(mapping, length: 50, push: true, fin: true))
        #expect(segment.flags == [.fin, .ack, .psh])
        #expect(bench.flow.phase == .finWait1)
        _ = bench.acknowledge(51)
        _ = bench.toDeadline()
        let fin = try #require(bench.step())
        #expect(bench.offset(fin) == 51 && fin.flags == [.fin, .ack])
        #expect(bench.acknowledge(52).newlyAcknowledged == 0)
        #expect(bench.flow.phase == .finWait2)
    }

    @Test func halfCloseGoesOnReceiving() {
        let bench = Bench.inPhase(.finWait2)
        #expect(bench.payload(1..<1_001).payload == 1..<1_001)
        #expect(bench.flow.receiveNext == 1_001)
        let other = Bench.inPhase(.closeWait)
        #expect(other.write(500).count == 1)
        #expect(other.give(.ack, 2, ack: 501).newlyAcknowledged == 500)
    }

    @Test func finBeyondAGapWaitsForTheGap() {
        let bench = Bench.established()
        bench.payload(101..<201, flags: [.fin, .ack])
        #expect(bench.flow.phase == .established)
        // Data behind the FIN, and another FIN, contradict it.
        let behind = bench.payload(201..<301)
        #expect(behind.payload == nil)
        _ = bench.give([.fin, .ack], 301, ack: 1)
        #expect(bench.flow.statistics.finsIgnored == 1)
        let outcome = bench.give(.ack, 1, ack: 1, payload: 100)
        let finished = bench.flow.store(outcome.payload!, now: bench.now)
        #expect(finished)
        #expect(bench.flow.phase == .closeWait)
        #expect(bench.flow.receiveNext == 202)
        #expect(bench.flow.hasPeerFinished == true)
    }

    @Test func simultaneousClose() throws {
        let bench = Bench.inPhase(.finWait1)
        _ = bench.give([.fin, .ack], 1, ack: 1)
        #expect(bench.flow.phase == .closing)
        let answer = try #require(bench.step())
        #expect(bench.offset(answer) == 2 && bench.acked(answer) == 2)
        _ = bench.give(.ack, 2, ack: 2)
        #expect(bench.flow.phase == .timeWait)
    }

    @Test func closeAndAbortInEveryState() {
        //= RFC 9293 §3.10.4, §3.10.5
        for phase in Self.all {
            let closing = Bench.inPhase(phase)
            closing.flow.close()
            let sent = closing.drain().map(\.flags)
            switch phase {
            case .synSent:
                #expect(closing.flow.phase == .closed)
                #expect(sent.isEmpty)
            case .synReceived:
                #expect(sent.isEmpty)
                _ = closing.give(.ack, 1, ack: 1)
                #expect(closing.drain().map(\.flags).first == [.fin, .ack])
                #expect(closing.flow.phase == .finWait1)
            case .established: #expect(closing.flow.phase == .finWait1 && sent == [[.fin, .ack]])
            case .closeWait: #expect(closing.flow.phase == .lastAck && sent == [[.fin, .ack]])
            case .finWait1, .finWait2, .closing, .lastAck, .timeWait, .closed:
                #expect(closing.flow.phase == phase && sent.isEmpty)
            }
            let aborting = Bench.inPhase(phase)
            aborting.flow.abort()
            let resets = aborting.drain()
            let expectsReset: [SubflowPhase] = [.synReceived, .established, .finWait1, .finWait2, .closeWait]
            #expect(resets.map(\.flags) == (expectsReset.contains(phase) ? [[.rst, .ack]] : []), "\(phase)")
            #expect(aborting.flow.phase == .closed)
            #expect(aborting.give(.ack, 1, ack: 1).verdict == .dropped(.closed))
            #expect(aborting.flow.nextDeadline == .distantFuture)
        }
    }

    @Test func synReceivedLeavesByResetOrBadAcknowledgment() throws {
        let bench = Bench.inPhase(.synReceived)
        #expect(bench.give(.ack, 1, ack: 0).verdict == .dropped(.badAcknowledgment))
        let reset = try #require(bench.step())
        #expect(reset.flags == .rst && bench.offset(reset) == 0)
        #expect(bench.flow.phase == .synReceived)
        #expect(bench.give(.rst, 1).change == .reset)
        #expect(bench.flow.phase == .closed)
        let active = Bench.inPhase(.synSent)
        _ = active.give(.syn, 0, options: Bench.synOptions())
        _ = active.drain()
        #expect(active.give(.rst, 1).change == .refused)
    }

    @Test(arguments: [0xffff_ffff, 0xffff_fffe, 0xffff_ec77, 0, 0x7fff_fffe, 0x8000_0000] as [UInt32])
    func sequenceNumbersWrap(_ start: UInt32) {
        let bench = Bench.established(initial: start, peerInitial: start &- 3)
        for round in 0..<20 {
            let from = Int64(1 + round * 2_920)
            #expect(bench.write(2_920).count == 2)
            bench.payload(from + 1_460..<from + 2_920)
            bench.payload(from..<from + 1_460)
            _ = bench.drain()
            #expect(bench.acknowledge(from + 2_920).newlyAcknowledged == 2_920)
        }
        #expect(bench.flow.receiveNext == 58_401)
        #expect(bench.flow.sendUnacknowledged == 58_401)
        bench.finish()
        #expect(bench.give([.fin, .ack], 58_401, ack: 58_402).peerFinished)
        #expect(bench.flow.phase == .timeWait)
    }
}
