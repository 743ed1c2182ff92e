import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues

/// Random connections, faults and middleboxes with the stacks' invariants checked after every packet: the short form of
/// `make soak`.
@Suite struct SoakTests {
    /// Two simulated minutes of each weather.
    @Test(arguments: UInt64(1000)..<1008)
    func everythingHolds(seed: UInt64) {
        let outcome = SoakEpisode(seed: seed, duration: .seconds(120)).run()
        #expect(outcome.violations.isEmpty, "Soak --episode is of ten minutes; this is of two: \(outcome.violations)")
        #expect(outcome.connections > 50)
        #expect(outcome.invariantChecks > Int(outcome.packets) / 2)
    }

    /// 0, 18: writing never went on beside a send ring whose limit is no power of two. 2, 4: a DATA_FIN counted in the
    /// checksum of MP_CAPABLE with data, which can't say it. 12: a path given up in `single` with only its FIN missing.
    /// 16: a window closed by a few bytes less than the data level knew was never probed. 22: a connection without any
    /// byte whose third ACK was stripped. 11, 23: pairs of addresses that are gone stayed due, and the host never slept.
    /// 68, 222: data went on as TCP on a subflow whose peer had had data on others, and was refused.
    @Test(arguments: [0, 2, 4, 11, 12, 16, 18, 22, 23, 68, 222] as [UInt64])
    func seedsThatOnceFailed(seed: UInt64) {
        let outcome = SoakEpisode(seed: seed).run()
        #expect(outcome.violations.isEmpty, "Soak --episode \(seed): \(outcome.violations)")
    }

    @Test func theSameSeedGivesTheSamePackets() {
        let runs = (0..<2).map { _ in SoakEpisode(seed: 77, duration: .seconds(20)).run() }
        #expect(runs[0].digest == runs[1].digest)
        #expect(runs[0].packets == runs[1].packets && runs[0].packets > 1_000)
    }
}

/// Paths lost, back, and changed in mid-transfer: `make silence` runs the same with more seeds.
@Suite struct PathLossTests {
    @Test(arguments: PathLossTrial.Event.allCases, [MultipathMode.version1, .version0])
    func theReceiverHearsSoon(event: PathLossTrial.Event, mode: MultipathMode) {
        for seed in UInt64(0)..<4 {
            let trial = PathLossTrial(event: event, mode: mode, isUpload: seed % 2 == 0, seed: seed)
            let (silence, outcome) = trial.run()
            #expect(outcome.isIntact, "\(trial): \(outcome.problems)")
            let limit = event == .allLost ? TimeSpan.milliseconds(2_500) : .milliseconds(280)
            #expect(silence - event.unavoidable <= limit, "\(trial): \(silence.seconds) s")
        }
    }

    /// Without any traffic on the backup, the first overdue segment asks there (``PathUse/handover``).
    @Test func aBackupTakesOverSoon() {
        let trial = PathLossTrial(event: .lostForGood, mode: .version1, isUpload: true, seed: 2)
        var scenario = trial.scenario
        scenario.client.pathUse = .handover
        scenario.bytes = 8_000_000
        let outcome = scenario.run()
        #expect(outcome.isIntact, "\(outcome.problems)")
        #expect(outcome.streams.allSatisfy { $0.longestSilence < .milliseconds(400) })
    }
}
