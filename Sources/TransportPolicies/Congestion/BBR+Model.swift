import TransportValues

// draft-ietf-ccwg-bbr-06 §5.3 to §5.5: what acknowledgements and losses do to the model and the state machine.
extension BBR {
    mutating func acknowledged(_ report: DeliveryReport) {
        guard var sample = report.rate else { return }
        if !(sample.rate > 0 && sample.rate < 1e15) { sample.rate = 0 }
        let now = report.now
        totalDelivered = sample.totalDelivered
        if pacingRate == 0 { initializePacing(report) }
        updateLatestSignals(sample)
        updateRound(sample)
        updateMaximumRate(sample)
        if startsLossRound {
            adaptLowerBounds()
        }
        updateAggregation(sample, now)
        checkFullPipe(sample)
        checkStartup(report)
        checkDrain(report)
        updateCycle(report, sample)
        updateMinimum(sample, now)
        checkProbe(report, sample)
        if startsLossRound {
            latestRate = sample.rate
            latestVolume = Double(sample.delivered)
            isLossInRound = false
            lossEvents = 0
        }
        rate = min(maximumRate.value, shortTermRate)
        updateControl(sample)
    }

    private mutating func initializePacing(_ report: DeliveryReport) {
        let seconds = report.smoothedRoundTrip > .zero ? report.smoothedRoundTrip.seconds : 0.001
        pacingRate = Self.startupGain * initialWindow / seconds
        extraStart = report.now
        probeMinimumStamp = report.now
    }

    // MARK: Rounds and rates

    mutating func startRound() { nextRoundDelivered = totalDelivered }

    private mutating func updateRound(_ sample: RateSample) {
        startsRound = sample.priorDelivered >= nextRoundDelivered
        guard startsRound else { return }
        startRound()
        roundCount += 1
        roundsSinceProbe += 1
    }

    private mutating func updateMaximumRate(_ sample: RateSample) {
        guard sample.rate > 0, sample.rate >= maximumRate.value || !sample.isApplicationLimited else { return }
        maximumRate.take(sample.rate)
    }

    private mutating func updateLatestSignals(_ sample: RateSample) {
        startsLossRound = false
        latestRate = max(latestRate, sample.rate)
        latestVolume = max(latestVolume, Double(sample.delivered))
        if sample.priorDelivered >= lossRoundDelivered {
            lossRoundDelivered = totalDelivered
            startsLossRound = true
        }
    }

    /// AdaptLowerBoundsFromCongestion().
    private mutating func adaptLowerBounds() {
        guard !phase.isAccelerating, isLossInRound else { return }
        if shortTermRate.isInfinite { shortTermRate = maximumRate.value }
        if shortTermVolume.isInfinite { shortTermVolume = congestionWindow }
        shortTermRate = max(latestRate, Self.beta * shortTermRate)
        shortTermVolume = max(latestVolume, Self.beta * shortTermVolume)
    }

    private mutating func updateAggregation(_ sample: RateSample, _ now: MonotonicInstant) {
        var expected = rate * max(0, (now - extraStart).seconds)
        if extraDelivered <= expected {
            extraDelivered = 0
            extraStart = now
            expected = 0
        }
        extraDelivered += Double(sample.newlyDelivered)
        let extra = min(extraDelivered - expected, congestionWindow)
        extraFilter.take(extra, round: roundCount, span: hasBeenFull ? 5 : 1)
    }

    // MARK: Startup and drain (§5.3.1, §5.3.2)

    mutating func resetFullPipe() {
        fullRate = 0
        fullRounds = 0
        isFullNow = false
    }

    private mutating func checkFullPipe(_ sample: RateSample) {
        if isFullNow || !startsRound || sample.isApplicationLimited || sample.rate <= 0 { return }
        if sample.rate >= fullRate * 1.25 {
            resetFullPipe()
            fullRate = sample.rate
            return
        }
        fullRounds += 1
        isFullNow = fullRounds >= 3
        if isFullNow { hasBeenFull = true }
    }

    private mutating func checkStartup(_ report: DeliveryReport) {
        guard phase == .startup else { return }
        if let sample = report.rate, startsLossRound, isInRecovery, lossEvents >= 6, isTooHigh(sample) {
            //= draft-ietf-ccwg-bbr-06 §5.3.1.3: more than 2 % and six ranges lost in a round: the pipe is full
            undo.phase = .startup
            hasBeenFull = true
            longTermVolume = max(product(1, rate: maximumRate.value), latestVolume)
        }
        guard hasBeenFull else { return }
        phase = .drain
        drainStart = roundCount
    }

    private mutating func checkDrain(_ report: DeliveryReport) {
        guard phase == .drain else { return }
        if Double(report.inFlight) <= inFlightTarget(1) || roundCount > drainStart + 3 { startDown(report.now) }
    }

    // MARK: The cycle (§5.3.3.9)

    mutating func startDown(_ now: MonotonicInstant) {
        isLossInRound = false
        latestRate = 0
        latestVolume = 0
        probeUpPerIncrement = .infinity
        roundsSinceProbe = randomFraction() < 0.5 ? 0 : 1
        probeWait = TimeSpan(seconds: 2 + randomFraction())
        cycleStamp = now
        acknowledgementPhase = .probeStopping
        startRound()
        phase = .probeDown
    }

    mutating func startRefill() {
        shortTermRate = .infinity
        shortTermVolume = .infinity
        probeUpRounds = 0
        probeUpAcknowledged = 0
        wasProbePrecautionary = false
        acknowledgementPhase = .refilling
        startRound()
        phase = .probeRefill
    }

    private mutating func startUp(_ sample: RateSample) {
        acknowledgementPhase = .probeStarting
        startRound()
        resetFullPipe()
        fullRate = sample.rate
        phase = .probeUp
        raiseSlope()
    }

    private mutating func raiseSlope() {
        let growth = Double(1 << probeUpRounds)
        probeUpRounds = min(probeUpRounds + 1, 30)
        probeUpPerIncrement = max(congestionWindow / growth, segment)
    }

    private mutating func updateCycle(_ report: DeliveryReport, _ sample: RateSample) {
        guard hasBeenFull else { return }
        if adaptLongTermModel(report, sample) { return }
        switch phase {
        case .probeDown:
            if isTimeToProbe(report.now) { return startRefill() }
            let inFlight = Double(report.inFlight)
            if inFlight <= volumeWithHeadroom, inFlight <= inFlightTarget(1) { phase = .probeCruise }
        case .probeCruise:
            if isTimeToProbe(report.now) { startRefill() }
        case .probeRefill:
            guard startsRound else { return }
            isProbeSample = true
            startUp(sample)
        case .probeUp:
            guard isTimeToGoDown(report, sample) else { return }
            wasProbeTooHigh = false
            startDown(report.now)
        case .startup, .drain, .probeRoundTrip: break
        }
    }

    /// IsTimeToProbeBW(): every two to three seconds, and where Reno would at the latest.
    private func isTimeToProbe(_ now: MonotonicInstant) -> Bool {
        if now > cycleStamp + probeWait { return true }
        let rounds = min(min(product(1, rate: rate), congestionWindow) / segment, 63)
        return Double(roundsSinceProbe) >= rounds
    }

    private mutating func isTimeToGoDown(_ report: DeliveryReport, _ sample: RateSample) -> Bool {
        if wasProbeTooHigh, Double(report.inFlight) >= longTermVolume {
            wasProbePrecautionary = true
            return true
        }
        if report.isWindowLimited, congestionWindow >= longTermVolume {
            resetFullPipe()
            fullRate = sample.rate
            return false
        }
        return isFullNow
    }

    private mutating func adaptLongTermModel(_ report: DeliveryReport, _ sample: RateSample) -> Bool {
        if acknowledgementPhase == .probeStarting, startsRound { acknowledgementPhase = .probeFeedback }
        if acknowledgementPhase == .probeStopping, startsRound {
            isProbeSample = false
            acknowledgementPhase = .initial
            if phase.isProbeBandwidth, !sample.isApplicationLimited { maximumRate.advance() }
            if phase.isProbeBandwidth, wasProbePrecautionary, !wasProbeTooHigh {
                startRefill()
                return true
            }
        }
        guard !isTooHigh(sample), longTermVolume.isFinite else { return false }
        longTermVolume = max(longTermVolume, Double(sample.inFlightWhenSent))
        if phase == .probeUp { probeUpwards(report, sample) }
        return false
    }

    private mutating func probeUpwards(_ report: DeliveryReport, _ sample: RateSample) {
        guard report.isWindowLimited, congestionWindow >= longTermVolume else { return }
        probeUpAcknowledged += Double(sample.newlyDelivered)
        if probeUpAcknowledged >= probeUpPerIncrement {
            let steps = Double(Int(min(probeUpAcknowledged / probeUpPerIncrement, 1e6)))
            probeUpAcknowledged -= steps * probeUpPerIncrement
            longTermVolume += steps * segment
        }
        if startsRound { raiseSlope() }
    }

    // MARK: Loss (§5.5.10)

    private func isTooHigh(_ sample: RateSample) -> Bool {
        Double(sample.lost) > Double(sample.inFlightWhenSent) * Self.lossThreshold
    }

    /// Packets were found lost.
    mutating func packetsLost(_ report: LossReport) {
        totalDelivered = report.totalDelivered
        if !isLossInRound {
            lossRoundDelivered = totalDelivered
            saveState()
        }
        isLossInRound = true
        lossEvents += 1
        guard isProbeSample else { return }
        let (inFlight, lost) = (Double(report.inFlightWhenSent), Double(report.lostSince))
        guard lost > inFlight * Self.lossThreshold else { return }
        // InflightAtLoss(): at which volume did the losses exceed the threshold?
        let size = Double(report.size)
        let before = inFlight - size
        let prefix = (Self.lossThreshold * before - (lost - size)) / (1 - Self.lossThreshold)
        let atLoss = max(before + prefix, 0)
        wasProbeTooHigh = true
        isProbeSample = false
        if !report.isApplicationLimited {
            longTermVolume = max(atLoss, min(product(1, rate: rate), congestionWindow) * Self.beta, leastWindow)
        }
        if phase == .probeUp {
            undo.phase = .probeUp
            startDown(report.now)
        }
    }

    private mutating func saveState() {
        saveWindow()
        undo = Undo(
            phase: nil, shortTermRate: shortTermRate, shortTermVolume: shortTermVolume, longTermVolume: longTermVolume)
    }

    mutating func lost() {
        saveState()
        isInRecovery = true
    }

    mutating func timedOut(inFlight: Int) {
        saveState()
        isInRecovery = true
        congestionWindow = segment
    }

    mutating func recovered() {
        isInRecovery = false
        restoreWindow()
    }

    mutating func spurious() {
        isInRecovery = false
        restoreWindow()
        isLossInRound = false
        resetFullPipe()
        shortTermRate = max(shortTermRate, undo.shortTermRate)
        shortTermVolume = max(shortTermVolume, undo.shortTermVolume)
        longTermVolume = max(longTermVolume, undo.longTermVolume)
        if undo.phase == .startup, phase != .startup {
            hasBeenFull = false
            if phase != .probeRoundTrip { phase = .startup }
        } else if undo.phase == .probeUp, phase != .probeUp, phase != .probeRoundTrip {
            startRefill()
        }
        undo.phase = nil
    }

    // MARK: The least round trip (§5.3.4)

    private mutating func updateMinimum(_ sample: RateSample, _ now: MonotonicInstant) {
        isProbeExpired = now > probeMinimumStamp + Self.probeInterval
        if sample.roundTrip > .zero, sample.roundTrip < probeMinimum || isProbeExpired {
            probeMinimum = sample.roundTrip
            probeMinimumStamp = now
        }
        let isExpired = minimumStamp.map { now > $0 + Self.minimumFilter } ?? true
        if probeMinimum < minimumRoundTrip || isExpired {
            minimumRoundTrip = probeMinimum
            minimumStamp = probeMinimumStamp
        }
    }

    private mutating func checkProbe(_ report: DeliveryReport, _ sample: RateSample) {
        if phase != .probeRoundTrip, isProbeExpired, !isRestartingIdle {
            saveWindow()
            phase = .probeRoundTrip
            probeDone = nil
            acknowledgementPhase = .probeStopping
            startRound()
        }
        if phase == .probeRoundTrip {
            if let done = probeDone {
                if startsRound { isProbeRoundDone = true }
                if isProbeRoundDone, report.now > done { endProbe(report.now) }
            } else if Double(report.inFlight) <= probeWindow {
                probeDone = report.now + Self.probeDuration
                isProbeRoundDone = false
                startRound()
            }
        }
        if sample.delivered > 0 { isRestartingIdle = false }
    }

    private mutating func endProbe(_ now: MonotonicInstant) {
        probeMinimumStamp = now
        restoreWindow()
        shortTermRate = .infinity
        shortTermVolume = .infinity
        if hasBeenFull {
            startDown(now)
            phase = .probeCruise
        } else {
            phase = .startup
        }
    }

    /// Sending begins again with nothing in flight (§5.4.1).
    mutating func restart(now: MonotonicInstant) {
        isRestartingIdle = true
        extraStart = now
        if phase.isProbeBandwidth {
            setPacingRate(gain: 1)
        } else if phase == .probeRoundTrip, let done = probeDone, now > done {
            endProbe(now)
        }
    }
}
