import Testing
import TransportPolicies
import TransportValues

private let segment = 1_000

/// What an acknowledgement of `bytes` reports.
private func report(
    _ bytes: Int, limited: Bool = true, roundTrip: TimeSpan? = nil, smoothed: TimeSpan = .zero, now: MonotonicInstant
) -> DeliveryReport {
    var report = DeliveryReport(bytes: bytes, now: now)
    report.isWindowLimited = limited
    report.roundTrip = roundTrip
    report.smoothedRoundTrip = smoothed
    return report
}

private let windowAlgorithms = CongestionAlgorithm.allCases.filter { $0 != .bbr }

/// Delivers one window in segments over one round trip that starts at `now`.
private func roundTrip(
    _ controller: inout CongestionController, _ now: inout MonotonicInstant, _ span: TimeSpan, every: Int = 1
) {
    let count = max(1, controller.window / segment)
    var done = 0
    while done < count {
        let part = min(every, count - done)
        done += part
        let instant = now + TimeSpan(nanoseconds: span.nanoseconds * Int64(done) / Int64(count))
        controller.acknowledged(report(part * segment, roundTrip: span, smoothed: span, now: instant))
    }
    now = now + span
}

@Suite struct CongestionControllerTests {
    @Test func initialWindowIsThatOfRFC6928() {
        //= RFC 6928 §2: min(10 * MSS, max(2 * MSS, 14600))
        #expect(CongestionController.initialWindow(segments: 10, maximumSegmentSize: 1_460) == 14_600)
        #expect(CongestionController.initialWindow(segments: 10, maximumSegmentSize: 536) == 5_360)
        #expect(CongestionController.initialWindow(segments: 10, maximumSegmentSize: 8_960) == 17_920)
    }

    @Test(arguments: windowAlgorithms, [1, 2, 10])
    func slowStartDoublesARoundTripHoweverAcknowledgementsAreMerged(_ algorithm: CongestionAlgorithm, every: Int) {
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 10 * segment)
        var now = MonotonicInstant.zero
        for round in 1...5 {
            roundTrip(&controller, &now, .milliseconds(20), every: every)
            #expect(controller.window == 10 * segment << round)
        }
        #expect(controller.isInSlowStart)
    }

    @Test(arguments: windowAlgorithms)
    func aWindowThatDoesNotLimitDoesNotGrow(_ algorithm: CongestionAlgorithm) {
        //= RFC 9438 §5.8 and RFC 7661: an application-limited sender's window stays
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 10 * segment)
        for _ in 0..<100 {
            controller.acknowledged(report(segment, limited: false, now: .zero))
        }
        #expect(controller.window == 10 * segment)
    }

    @Test func newRenoHalvesOnLossAndAddsOneSegmentARoundTrip() {
        //= RFC 5681 §3.1 equation 4: ssthresh = max (FlightSize / 2, 2*SMSS)
        var controller = CongestionController(.newreno, maximumSegmentSize: segment, initialWindow: 100 * segment)
        controller.lost(inFlight: 100 * segment, now: .zero)
        #expect(controller.window == 50 * segment)
        #expect(controller.slowStartThreshold == 50 * segment)
        controller.recovered(now: .zero)
        #expect(controller.window == 50 * segment)
        var now = MonotonicInstant.zero
        for round in 1...20 {
            roundTrip(&controller, &now, .milliseconds(10), every: 2)
            // RFC 3465: one segment for each window of bytes; the window grows under way, so at most one late.
            #expect(abs(controller.window - (50 + round) * segment) <= segment)
        }
        controller.lost(inFlight: segment, now: now)
        #expect(controller.window == 2 * segment)
    }

    @Test(arguments: windowAlgorithms)
    func aTimeoutLeavesOneSegmentAndSlowStartUpToTheThreshold(_ algorithm: CongestionAlgorithm) {
        //= RFC 5681 §3.1: upon a timeout cwnd MUST be set to no more than the loss window
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 80 * segment)
        controller.timedOut(inFlight: 80 * segment, now: .zero)
        #expect(controller.window == segment)
        let threshold = algorithm == .cubic ? 56 * segment : 40 * segment
        #expect(controller.slowStartThreshold == threshold)
        var now = MonotonicInstant.zero
        for round in 1...5 {
            roundTrip(&controller, &now, .milliseconds(10))
            #expect(controller.window == segment << round)
        }
    }

    @Test(arguments: windowAlgorithms)
    func idleRestartUsesTheRestartWindow(_ algorithm: CongestionAlgorithm) {
        //= RFC 5681 §4.1
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 80 * segment)
        controller.idle(
            for: .milliseconds(200), retransmissionTimeout: .milliseconds(201), isPaced: false,
            initialWindow: 10 * segment, now: .zero)
        #expect(controller.window == 80 * segment)
        controller.idle(
            for: .milliseconds(202), retransmissionTimeout: .milliseconds(201), isPaced: false,
            initialWindow: 10 * segment, now: .zero)
        #expect(controller.window == 10 * segment)
    }

    @Test(arguments: windowAlgorithms)
    func aSpuriousLossIsTakenBack(_ algorithm: CongestionAlgorithm) {
        //= RFC 9438 §4.9.2
        var controller = CongestionController(algorithm, maximumSegmentSize: segment, initialWindow: 80 * segment)
        controller.lost(inFlight: 80 * segment, now: .zero)
        controller.spurious(now: .zero)
        #expect(controller.window == 80 * segment)
        #expect(controller.slowStartThreshold == .max)
        controller.spurious(now: .zero)
        #expect(controller.window == 80 * segment)
    }

    @Test(arguments: CongestionAlgorithm.allCases)
    func theWindowStaysBoundedUnderNonsense(_ algorithm: CongestionAlgorithm) {
        var controller = CongestionController(algorithm, maximumSegmentSize: -1, initialWindow: .min)
        let sizes = [Int.min, -1, 0, 1, 1460, 1 << 40, .max]
        var seed = RandomSource(seed: 7)
        for _ in 0..<20_000 {
            let size = sizes[Int(seed.next() % 7)]
            let now = MonotonicInstant(nanoseconds: Int64(bitPattern: seed.next()))
            switch seed.next() % 8 {
            case 0: controller.lost(inFlight: size, now: now)
            case 1: controller.timedOut(inFlight: size, now: now)
            case 2: controller.maximumSegmentSizeChanged(size)
            case 3: controller.spurious(now: now)
            case 4:
                controller.idle(
                    for: .seconds(9 as Int64), retransmissionTimeout: .zero, isPaced: false, initialWindow: size,
                    now: now)
            case 5: controller.recovered(now: now)
            default:
                let smoothed = TimeSpan(nanoseconds: Int64(bitPattern: seed.next()))
                var report = report(
                    size, limited: seed.next() & 1 == 0, roundTrip: smoothed, smoothed: smoothed, now: now)
                report.startsRound = seed.next() & 1 == 0
                report.inFlight = size
                var rate = RateSample()
                rate.rate = Double(bitPattern: seed.next())
                rate.newlyDelivered = size
                rate.totalDelivered = Int64(bitPattern: seed.next())
                rate.priorDelivered = Int64(bitPattern: seed.next())
                rate.delivered = size
                rate.lost = size
                rate.inFlightWhenSent = size
                rate.roundTrip = smoothed
                report.rate = rate
                controller.acknowledged(report)
            }
            #expect(controller.window >= 1 && controller.window <= 1 << 31)
            #expect(controller.slowStartThreshold >= 1)
        }
    }
}

@Suite struct CubicTests {
    @Test func cubeRootIsExactToTheLastPlaces() {
        var value = 1e-30
        while value < 1e30 {
            let root = cubeRoot(value)
            #expect(abs(root * root * root / value - 1) < 1e-14)
            value *= 3.7
        }
        #expect(abs(cubeRoot(27) - 3) < 1e-15)
        #expect(cubeRoot(0) == 0 && cubeRoot(-8) == 0 && cubeRoot(.nan) == 0 && cubeRoot(.infinity) == 0)
    }

    /// Grows for `span` from `now` on with a round trip of 100 ms.
    private func grow(_ controller: inout CongestionController, _ now: inout MonotonicInstant, _ span: TimeSpan) {
        let end = now + span
        while now < end { roundTrip(&controller, &now, .milliseconds(100)) }
    }

    @Test func theCurveReturnsToTheSaturationPointAfterK() {
        //= RFC 9438 §4.2: W(K) = W_max with K = cbrt((W_max - cwnd_epoch) / C)
        var controller = CongestionController(.cubic, maximumSegmentSize: segment, initialWindow: 1_000 * segment)
        controller.lost(inFlight: 1_000 * segment, now: .zero)
        #expect(controller.window == 700 * segment)
        let plateau = cubeRoot(300 / 0.4)
        #expect(abs(plateau - 9.0856) < 1e-3)
        var now = MonotonicInstant.zero
        grow(&controller, &now, TimeSpan(seconds: plateau / 2))
        // Half way: 0.4 · (−K/2)³ + 1000 = 962.5, within the growth of one round trip.
        #expect(abs(controller.window - 962_500) < 8 * segment)
        grow(&controller, &now, TimeSpan(seconds: plateau / 2))
        #expect(abs(controller.window - 1_000 * segment) < 2 * segment)
        grow(&controller, &now, TimeSpan(seconds: plateau))
        // Convex as it was concave: 0.4 · K³ + 1000 = 1300.
        #expect(abs(controller.window - 1_300 * segment) < 14 * segment)
    }

    @Test func aSmallWindowFollowsReno() {
        //= RFC 9438 §4.3: alpha = 3 (1 - beta) / (1 + beta) segments a round trip until cwnd_prior, then 1
        var controller = CongestionController(.cubic, maximumSegmentSize: segment, initialWindow: 20 * segment)
        controller.lost(inFlight: 20 * segment, now: .zero)
        #expect(controller.window == 14 * segment)
        var now = MonotonicInstant.zero
        for _ in 0..<6 { roundTrip(&controller, &now, .milliseconds(1)) }
        // Windows are whole segments a round trip, so each brings a little less than alpha.
        let expected = 14.0 + 6 * 3 * 0.3 / 1.7
        #expect(abs(Double(controller.window) / 1_000 - expected) < 0.35)
    }

    @Test func fastConvergenceGivesUpMoreWhenTheSaturationPointSinks() {
        //= RFC 9438 §4.7
        var controller = CongestionController(.cubic, maximumSegmentSize: segment, initialWindow: 1_000 * segment)
        controller.lost(inFlight: 1_000 * segment, now: .zero)
        controller.lost(inFlight: 700 * segment, now: .zero)
        #expect(controller.window == 490 * segment)
        var now = MonotonicInstant.zero
        // W_max = 700 · 0.85 = 595, K = cbrt(105 / 0.4) = 6.403
        grow(&controller, &now, TimeSpan(seconds: cubeRoot(105 / 0.4)))
        #expect(abs(controller.window - 595 * segment) < 2 * segment)
    }

    @Test func theClockStandsWhileTheApplicationLimits() {
        //= RFC 9438 §4.2: t MUST NOT include application-limited periods
        var controller = CongestionController(.cubic, maximumSegmentSize: segment, initialWindow: 1_000 * segment)
        controller.lost(inFlight: 1_000 * segment, now: .zero)
        var now = MonotonicInstant.zero
        grow(&controller, &now, .seconds(4 as Int64))
        let before = controller.window
        controller.acknowledged(report(segment, limited: false, smoothed: .milliseconds(100), now: now))
        now = now + .seconds(1_000 as Int64)
        roundTrip(&controller, &now, .milliseconds(100))
        #expect(controller.window - before < 10 * segment)
    }

    @Test func noRoundTripGrowsTheWindowByMoreThanHalf() {
        //= RFC 9438 §4.2: target is at most 1.5 cwnd
        var controller = CongestionController(.cubic, maximumSegmentSize: segment, initialWindow: 10 * segment)
        controller.lost(inFlight: 10 * segment, now: .zero)
        var now = MonotonicInstant.zero
        roundTrip(&controller, &now, .milliseconds(10))
        now = now + .seconds(100 as Int64)
        for _ in 0..<5 {
            let before = controller.window
            roundTrip(&controller, &now, .milliseconds(10))
            // Each of the window's acknowledgements may use the grown window: (1 + 0.5/n)^n < e^0.5.
            #expect(Double(controller.window) < Double(before) * 1.65)
        }
    }
}
