import Testing
import TransportPolicies
import TransportValues

@Suite struct RoundTripEstimatorTests {
    @Test func theFirstSampleSetsSmoothedAndHalfAsVariance() {
        //= RFC 6298 §2 rule 2.2
        var estimator = RoundTripEstimator()
        #expect(estimator.retransmissionTimeout == .seconds(1 as Int64))
        #expect(!estimator.hasSample)
        estimator.sample(.milliseconds(400), now: .zero)
        #expect(estimator.smoothed == .milliseconds(400))
        #expect(estimator.variance == .milliseconds(200))
        #expect(estimator.minimum == .milliseconds(400))
        #expect(estimator.retransmissionTimeout == .milliseconds(400 + 4 * 200))
    }

    @Test func laterSamplesFollowTheRecurrence() {
        //= RFC 6298 §2 rule 2.3
        var estimator = RoundTripEstimator()
        var smoothed = 0.1
        var variance = 0.05
        estimator.sample(.milliseconds(100), now: .zero)
        for step in 1...50 {
            let value = Double(50 + (step * 37) % 300) / 1000
            estimator.sample(TimeSpan(seconds: value), now: .zero + .milliseconds(Int64(step)))
            variance = 0.75 * variance + 0.25 * abs(smoothed - value)
            smoothed = 0.875 * smoothed + 0.125 * value
            #expect(abs(estimator.smoothed.seconds - smoothed) < 1e-6)
            #expect(abs(estimator.variance.seconds - variance) < 1e-6)
            let timeout = smoothed + max(0.2, 4 * variance)
            #expect(abs(estimator.retransmissionTimeout.seconds - timeout) < 1e-5)
        }
        let lowest = (1...50).map { 50 + Int64($0 * 37) % 300 }.min()!
        #expect(estimator.minimum == .milliseconds(lowest))
    }

    @Test func aSteadyShortPathKeepsTwoHundredMillisecondsOfMargin() {
        var estimator = RoundTripEstimator()
        for _ in 0..<200 { estimator.sample(.milliseconds(1), now: .zero) }
        #expect(estimator.variance < .microseconds(1))
        #expect(estimator.retransmissionTimeout == .milliseconds(201))
    }

    @Test func extremeSamplesSaturate() {
        //= RFC 6298 §2 rule 2.5: a maximum of at least 60 seconds
        var estimator = RoundTripEstimator()
        estimator.sample(TimeSpan(nanoseconds: .min), now: .zero)
        #expect(estimator.smoothed == .zero)
        for _ in 0..<100 { estimator.sample(TimeSpan(nanoseconds: .max), now: .zero, expectedSamples: .max) }
        for _ in 0..<100 { estimator.sample(TimeSpan(nanoseconds: .max), now: .zero, expectedSamples: -5) }
        #expect(estimator.retransmissionTimeout == .seconds(120 as Int64))
    }

    @Test func manySamplesARoundTripWeighLess() {
        // RFC 7323 appendix G
        var one = RoundTripEstimator()
        var many = RoundTripEstimator()
        one.sample(.milliseconds(100), now: .zero)
        many.sample(.milliseconds(100), now: .zero)
        one.sample(.milliseconds(180), now: .zero)
        for _ in 0..<10 { many.sample(.milliseconds(180), now: .zero, expectedSamples: 10) }
        #expect(one.smoothed == .milliseconds(110))
        #expect(abs(many.smoothed.milliseconds - 110) < 1)
    }
}
