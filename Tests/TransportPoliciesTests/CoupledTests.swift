import Testing
import TransportPolicies
import TransportValues

private let segment = 1_000

@Suite struct CoupledTests {
    /// Two subflows of 100 ms with windows of 10 and 20 segments; `own` is which of them asks.
    private func group(own: Int, intervals: [Int64] = [0, 0]) -> CoupledGroup {
        let shares = [
            CoupledShare(window: 10 * segment, roundTrip: .milliseconds(100), interval: intervals[0]),
            CoupledShare(window: 20 * segment, roundTrip: .milliseconds(100), interval: intervals[1]),
        ]
        var group = CoupledGroup()
        for share in shares { group.measure(share) }
        for share in shares { group.rank(share) }
        group.own = shares[own]
        return group
    }

    /// In congestion avoidance with a window of `segments`.
    private func controller(_ algorithm: CongestionAlgorithm, segments: Int) -> CongestionController {
        var controller = CongestionController(
            algorithm, maximumSegmentSize: segment, initialWindow: 2 * segments * segment)
        controller.lost(inFlight: 2 * segments * segment, now: .zero)
        return controller
    }

    /// Bytes by which the window grows for one segment acknowledged.
    private func growth(_ algorithm: CongestionAlgorithm, own: Int, intervals: [Int64] = [0, 0]) -> Double {
        var controller = controller(algorithm, segments: own == 0 ? 10 : 20)
        let before = controller.window
        var report = DeliveryReport(bytes: segment / 100, now: .zero)
        report.group = group(own: own, intervals: intervals)
        // The window is rounded to bytes: a hundred hundredths.
        for _ in 0..<100 { controller.acknowledged(report) }
        return Double(controller.window - before)
    }

    @Test func liaGrowsByAlpha() {
        //= RFC 6356 §3: alpha = 30 * (20 / 0.01) / (10 / 0.1 + 20 / 0.1)^2 = 2/3; min(alpha / 30, 1 / 10) segments
        #expect(abs(growth(.lia, own: 0) - 1_000 * 2 / 90) < 1)
        #expect(abs(growth(.lia, own: 1) - 1_000 * 2 / 90) < 1)
    }

    @Test func liaIsNeverFasterThanReno() {
        // The sibling is a hundred times as quick, so that alpha / cwnd_total exceeds 1 / cwnd_i.
        let shares = [
            CoupledShare(window: 10 * segment, roundTrip: .milliseconds(100), interval: 0),
            CoupledShare(window: 2 * segment, roundTrip: .milliseconds(1), interval: 0),
        ]
        var group = CoupledGroup()
        for share in shares { group.measure(share) }
        group.own = shares[0]
        var controller = controller(.lia, segments: 10)
        var report = DeliveryReport(bytes: 10 * segment, now: .zero)
        report.group = group
        controller.acknowledged(report)
        #expect(controller.window <= 11 * segment)
    }

    @Test func oliaMovesTrafficToTheBetterPath() {
        // The first has the longer loss interval: B = {1}, M = {2}. w1/rtt^2 / sum^2 = 1000 / 300^2 = 1/90, and
        // alpha = 1 / (2 * 1), over a window of 10; the second 2/90 - 0.5 / 20.
        let intervals: [Int64] = [500_000, 100_000]
        #expect(abs(growth(.olia, own: 0, intervals: intervals) - 1_000 * (1.0 / 90 + 0.05)) < 1)
        #expect(abs(growth(.olia, own: 1, intervals: intervals) - 1_000 * (2.0 / 90 - 0.025)) < 1)
        // The widest is the best: nothing to move.
        #expect(abs(growth(.olia, own: 1, intervals: [100_000, 500_000]) - 1_000 * 2 / 90) < 1)
    }

    @Test func baliaFollowsItsFormulas() {
        // x = 100 and 200 segments a second, alpha_1 = 2: 100 / (0.1 * 300^2) * 3/2 * 6/5 = 0.02; alpha_2 = 1:
        // 200 / (0.1 * 300^2) = 2/90.
        #expect(abs(growth(.balia, own: 0) - 20) < 1)
        #expect(abs(growth(.balia, own: 1) - 1_000 * 2 / 90) < 1)
        // On loss by w/2 * min(alpha, 1.5).
        var controller = controller(.balia, segments: 10)
        var report = DeliveryReport(bytes: 0, now: .zero)
        report.group = group(own: 0)
        controller.acknowledged(report)
        controller.lost(inFlight: 10 * segment, now: .zero)
        #expect(controller.window == 2_500)
    }

    @Test func wVegasKeepsItsShareOfTenSegmentsQueued() {
        var controller = controller(.wvegas, segments: 100)
        var now = MonotonicInstant.zero
        // 1,000 segments a second and 100 ms: more than 100 segments wait.
        for _ in 0..<400 {
            let window = Double(controller.window) / Double(segment)
            let span = TimeSpan(seconds: max(0.1, window / 1_000))
            now = now + span
            for part in 0..<10 {
                var report = DeliveryReport(bytes: segment, now: now)
                report.startsRound = part == 0
                report.roundTrip = span
                report.smoothedRoundTrip = span
                controller.acknowledged(report)
            }
        }
        let queued = Double(controller.window) / Double(segment) - 100
        #expect(queued > 5 && queued < 13, "\(queued)")
    }

    @Test(arguments: [CongestionAlgorithm.lia, .olia, .balia])
    func aloneTheyAreReno(_ algorithm: CongestionAlgorithm) {
        var controller = controller(algorithm, segments: 10)
        for _ in 0..<10 { controller.acknowledged(DeliveryReport(bytes: segment, now: .zero)) }
        #expect(abs(controller.window - 11 * segment) < 60)
    }
}

@Suite struct HyStartTests {
    /// One round trip in ten reports, all samples `span`.
    private func round(_ controller: inout CongestionController, _ span: TimeSpan) {
        let part = controller.window / 10
        for index in 0..<10 {
            var report = DeliveryReport(bytes: part, now: .zero)
            report.startsRound = index == 0
            report.roundTrip = span
            report.smoothedRoundTrip = span
            controller.acknowledged(report)
        }
    }

    @Test(arguments: [CongestionAlgorithm.cubic, .newreno, .lia])
    func slowStartEndsByTheRoundTrip(_ algorithm: CongestionAlgorithm) {
        //= RFC 9406 §4.2: 40 ms: RttThresh = max(4, min(40 / 8, 16)) = 5 ms
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 100 * segment)
        round(&controller, .milliseconds(40))
        #expect(controller.window == 200 * segment)
        round(&controller, .milliseconds(44))
        #expect(controller.window == 400 * segment)
        // RttThresh is now 44 / 8 = 5.5 ms, and this is 6 more than the round before: conservative slow start from the eighth sample on, a quarter of the growth.
        round(&controller, .milliseconds(50))
        #expect(abs(controller.window - (400 + 7 * 40 + 3 * 10) * segment) < 2 * segment)
        for _ in 0..<4 {
            let before = controller.window
            round(&controller, .milliseconds(50))
            #expect(abs(Double(controller.window) / Double(before) - 1.25) < 0.01)
            #expect(controller.isInSlowStart)
        }
        //= RFC 9406 §4.2: after CSS_ROUNDS = 5 ssthresh = cwnd
        round(&controller, .milliseconds(50))
        #expect(!controller.isInSlowStart)
    }

    @Test func aShorterRoundTripResumesSlowStart() {
        //= RFC 9406 §4.2: currentRoundMinRTT < cssBaselineMinRtt: slow start
        var controller = CongestionController(.newreno, maximumSegmentSize: segment, initialWindow: 100 * segment)
        round(&controller, .milliseconds(40))
        round(&controller, .milliseconds(46))
        round(&controller, .milliseconds(41))
        let before = controller.window
        round(&controller, .milliseconds(41))
        #expect(abs(controller.window - 2 * before) < segment)
    }
}

@Suite struct BBRTests {
    /// A path of 10 MB/s and 50 ms under a flow that fills it; a report every millisecond.
    private struct Path {
        var controller = CongestionController(.bbr, maximumSegmentSize: segment, initialWindow: 10 * segment, seed: 3)
        var totals: [Int64] = [0]
        var inFlight = 450_000
        var lossShare = 0.0

        mutating func run(_ milliseconds: Int) {
            for _ in 0..<milliseconds {
                let step = totals.count
                totals.append(totals[step - 1] + 10_000)
                var sample = RateSample()
                sample.rate = 10_000_000
                sample.newlyDelivered = 10_000
                sample.totalDelivered = totals[step]
                sample.priorDelivered = totals[max(0, step - 50)]
                sample.delivered = Int(sample.totalDelivered - sample.priorDelivered)
                sample.inFlightWhenSent = inFlight
                sample.roundTrip = .milliseconds(50)
                var report = DeliveryReport(bytes: 10_000, now: now)
                report.inFlight = inFlight
                report.smoothedRoundTrip = .milliseconds(50)
                report.rate = sample
                controller.acknowledged(report)
            }
        }

        var now: MonotonicInstant { MonotonicInstant(nanoseconds: Int64(totals.count) * 1_000_000) }
        var pacing: Int { controller.departureRate(smoothedRoundTrip: .milliseconds(50)) }
    }

    @Test func itFindsRateAndVolume() {
        var path = Path()
        path.run(20)
        //= draft-ietf-ccwg-bbr-06 §5.3.1.1: StartupPacingGain 2.77, PacingMarginPercent 1
        #expect(path.pacing == Int(2.77 * 10_000_000 * 0.99))
        // Three rounds without growth: the pipe is full; drained, since 450 KB are less than rate times 50 ms.
        path.run(400)
        #expect(!path.controller.isInSlowStart)
        #expect([8_910_000, 9_900_000].contains(path.pacing), "\(path.pacing)")
        // C.cwnd = 2 * bdp and what aggregation adds.
        #expect(path.controller.window >= 1_000_000 && path.controller.window < 1_100_000, "\(path.controller.window)")
    }

    @Test func everyFiveSecondsItLooksForTheLeastRoundTrip() {
        //= draft-ietf-ccwg-bbr-06 §5.3.4: ProbeRTTInterval 5 s, 200 ms at half of the product
        var path = Path()
        path.run(4_990)
        #expect(path.controller.window >= 900_000)
        path.run(60)
        #expect(path.controller.window == 250_000)
        path.inFlight = 240_000
        path.run(320)
        #expect(path.controller.window >= 900_000, "\(path.controller.window)")
    }

    @Test func itBearsLossBelowTwoPercentAndYieldsAbove() {
        //= draft-ietf-ccwg-bbr-06 §5.5.10.3: Beta 0.7 bounds what a round with loss takes
        var path = Path()
        path.run(600)
        let loss = LossReport(
            size: segment, inFlightWhenSent: 450_000, lostSince: segment, isApplicationLimited: false,
            totalDelivered: path.totals.last ?? 0, now: path.now)
        path.controller.packetsLost(loss)
        path.controller.lost(inFlight: 450_000, now: path.now)
        path.run(60)
        // The short-term volume became what was delivered in a round (500 KB), or 0.7 of the window.
        #expect(path.controller.window >= 500_000 && path.controller.window < 900_000, "\(path.controller.window)")
        // The path still delivers as before: the rate stays.
        #expect(path.pacing >= 8_900_000)
        path.controller.recovered(now: path.now)
        path.controller.timedOut(inFlight: 450_000, now: path.now)
        #expect(path.controller.window == segment)
    }
}
