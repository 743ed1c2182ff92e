import Testing
import TransportPolicies
import TransportValues

@Suite struct PacerTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    @Test func burstsFollowOneAnotherAtTheRate() {
        // 1,000 bytes a millisecond; two segments are the least burst.
        var pacer = Pacer(credit: 3_000)
        #expect(pacer.room(rate: 1_000_000, segment: 1_000, now: start) == 3_000)
        pacer.sent(3_000, rate: 1_000_000, segment: 1_000, now: start)
        #expect(pacer.room(rate: 1_000_000, segment: 1_000, now: start) == 2_000)
        pacer.sent(1_000, rate: 1_000_000, segment: 1_000, now: start)
        #expect(pacer.room(rate: 1_000_000, segment: 1_000, now: start) == 1_000)
        pacer.sent(1_000, rate: 1_000_000, segment: 1_000, now: start)
        #expect(pacer.isClosed(rate: 1_000_000, now: start))
        #expect(pacer.nextDeparture == start + .milliseconds(2))
        #expect(!pacer.isClosed(rate: 1_000_000, now: start + .milliseconds(2)))
    }

    @Test func aLateTimerIsMadeGoodByOneBurst() {
        var pacer = Pacer(credit: 0)
        pacer.sent(2_000, rate: 1_000_000, segment: 1_000, now: start)
        let late = start + .milliseconds(50)
        pacer.sent(2_000, rate: 1_000_000, segment: 1_000, now: late)
        #expect(pacer.nextDeparture == late + .milliseconds(1))
    }

    @Test func theRateHoldsOverASecond() {
        for rate in [10_000, 125_000, 12_500_000, 1_250_000_000] {
            var pacer = Pacer(credit: 0)
            var now = start
            var sent = 0
            var wakes = 0
            while now < start + .seconds(1) {
                while true {
                    let room = pacer.room(rate: rate, segment: 1_448, now: now)
                    if room <= 0 { break }
                    let length = min(max(room, 1_448), 65_160)
                    pacer.sent(length, rate: rate, segment: 1_448, now: now)
                    sent += length
                }
                now = max(now + .nanoseconds(1), pacer.nextDeparture)
                wakes += 1
            }
            #expect(abs(sent - rate) <= max(rate / 50, 2 * 65_160), "\(rate): \(sent)")
            // A timer a millisecond at most, whatever the rate.
            #expect(wakes <= 1_001, "\(rate): \(wakes)")
        }
    }

    @Test func withoutARateNothingIsHeldBack() {
        let pacer = Pacer(credit: 0)
        #expect(pacer.room(rate: 0, segment: 1_448, now: start) == .max)
        #expect(!pacer.isClosed(rate: 0, now: start))
    }
}

@Suite struct DeliveryRateTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    /// One packet of 1,000 bytes is acknowledged.
    private func deliver(
        _ estimator: inout DeliveryRateEstimator, _ stamp: DeliveryRateEstimator.Stamp, sent: Int64, now: Int64,
        minimum: Int64 = 0
    ) -> RateSample? {
        var collection = DeliveryRateEstimator.Collection()
        collection.add(stamp, sentAt: at(sent), end: 0, bytes: 1_000)
        return estimator.sample(collection, minimumRoundTrip: .milliseconds(minimum), now: at(now))
    }

    @Test func theLongerIntervalCounts() throws {
        //= draft-cheng-iccrg-delivery-rate-estimation-02 §2.2: the minimum of send rate and acknowledgement rate
        var estimator = DeliveryRateEstimator()
        let first = estimator.stamp(inFlightBefore: 0, size: 1_000, now: at(0))
        let second = estimator.stamp(inFlightBefore: 1_000, size: 1_000, now: at(5))
        #expect(second.inFlight == 2_000)
        let one = try #require(deliver(&estimator, first, sent: 0, now: 20))
        #expect(one.rate == 50_000)
        #expect(one.roundTrip == .milliseconds(20))
        // The second: both delivered since its stamp, in 22 ms of acknowledgements.
        let two = try #require(deliver(&estimator, second, sent: 5, now: 22))
        #expect(two.delivered == 2_000)
        #expect(abs(two.rate - 2_000 / 0.022) < 1)
        // A third, sent 40 ms after the second but acknowledged after 10: the send interval is longer.
        let third = estimator.stamp(inFlightBefore: 1_000, size: 1_000, now: at(45))
        let three = try #require(deliver(&estimator, third, sent: 45, now: 55))
        #expect(abs(three.rate - 1_000 / 0.040) < 1)
    }

    @Test func whatIsShorterThanTheLeastRoundTripIsNoSample() throws {
        var estimator = DeliveryRateEstimator()
        let stamp = estimator.stamp(inFlightBefore: 0, size: 1_000, now: at(0))
        #expect(try #require(deliver(&estimator, stamp, sent: 0, now: 5, minimum: 10)).rate == 0)
    }

    @Test func applicationLimitsMarkWhatIsSentUntilTheyArePassed() throws {
        var estimator = DeliveryRateEstimator()
        let before = estimator.stamp(inFlightBefore: 0, size: 1_000, now: at(0))
        estimator.applicationLimits(inFlight: 1_000)
        let marked = estimator.stamp(inFlightBefore: 1_000, size: 1_000, now: at(1))
        #expect(!before.isApplicationLimited && marked.isApplicationLimited)
        _ = deliver(&estimator, before, sent: 0, now: 10)
        #expect(try #require(deliver(&estimator, marked, sent: 1, now: 11)).isApplicationLimited)
        #expect(!estimator.stamp(inFlightBefore: 0, size: 1_000, now: at(12)).isApplicationLimited)
    }

    @Test func lossesSinceAPacketWasSentAreCounted() throws {
        var estimator = DeliveryRateEstimator()
        let stamp = estimator.stamp(inFlightBefore: 0, size: 1_000, now: at(0))
        estimator.packetLost(3_000)
        #expect(try #require(deliver(&estimator, stamp, sent: 0, now: 10)).lost == 3_000)
    }
}
