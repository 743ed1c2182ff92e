import TransportPolicies
import TransportValues

// When the window's bytes go out, and what a pause in sending means.
extension Subflow {
    /// The rate follows the window and the round trip.
    mutating func updatePacing() {
        guard configuration.paces || !reducesProportionally else { return }
        pacingRate = congestion.departureRate(smoothedRoundTrip: roundTrip.smoothed)
    }

    /// `length` bytes of payload went out.
    mutating func notePaced(_ length: Int, _ now: MonotonicInstant) {
        pacer.sent(length, rate: pacingRate, segment: dataPayloadLimit, now: now)
        watchPacer(now)
    }

    /// Starts the pacing timer where the windows have room and the pacer has not.
    mutating func watchPacer(_ now: MonotonicInstant) {
        guard timers.pacing == .distantFuture, pacer.isClosed(rate: pacingRate, now: now), phase.isSynchronized,
            sent.pendingLost > 0 || sendWindow &- inFlight >= dataPayloadLimit
        else { return }
        timers.pacing = pacer.nextDeparture
    }

    /// After how long without sending the window starts anew (RFC 5681 §4.1; RFC 7661 §4.1 for paced senders).
    var idleLimit: TimeSpan {
        if !reducesProportionally { return .nanoseconds(.max) }
        return configuration.paces ? CongestionController.validationPeriod : retransmissionTimeout
    }

    /// Something is sent while nothing is in flight.
    mutating func noteIdle(_ now: MonotonicInstant) {
        guard let last = send.lastDataSent else { return }
        let span = now - last
        congestion.idle(
            for: span, retransmissionTimeout: retransmissionTimeout, isPaced: configuration.paces,
            initialWindow: restartWindow, now: now)
        if reducesProportionally, span > roundTrip.smoothed {
            // A pause of a round trip: as at the beginning, an initial window goes out at once.
            pacer.restart(credit: min(congestionWindow, restartWindow))
        }
        updatePacing()
    }

    /// An acknowledgement finds room that nobody has used: the application limits, or the scheduler went elsewhere.
    mutating func noteApplicationLimit() {
        guard sent.pendingLost == 0, timers.pacing == .distantFuture,
            congestionWindow &- inFlight >= dataPayloadLimit
        else { return }
        rate.applicationLimits(inFlight: inFlight)
    }
}
