import MPTCPConnection
import NetworkSimulation
import Testing
import TransportValues

/// Transfers through every middlebox (RFC 8684 §3.7, §6). `make middleboxes` runs the same with more seeds.
@Suite struct MiddleboxTests {
    struct Column: Sendable, CustomTestStringConvertible {
        var mode: MultipathMode
        var inside: LinkEnd
        var paths: Int
        var testDescription: String { "\(mode), \(inside == .a ? "client" : "server") inside, \(paths) path(s)" }
    }

    static let columns = [MultipathMode.version1, .version0].flatMap { mode in
        [LinkEnd.a, .b].flatMap { inside in [1, 2].map { Column(mode: mode, inside: inside, paths: $0) } }
    }

    private func trial(_ name: String, _ column: Column, seed: UInt64) throws -> MiddleboxTrial {
        let row = try #require(MiddleboxCase.all.first { $0.name == name })
        return MiddleboxTrial(
            box: row, mode: column.mode, inside: column.inside, pathCount: column.paths, seed: seed)
    }

    @Test(arguments: columns)
    func everyTransferEndsAsItShould(column: Column) {
        for row in MiddleboxCase.all {
            for seed in UInt64(0)..<3 {
                let trial = MiddleboxTrial(
                    box: row, mode: column.mode, inside: column.inside, pathCount: column.paths, seed: seed)
                let (outcome, _) = trial.run()
                #expect(trial.accepts(outcome), "\(trial): \(outcome)")
            }
        }
    }

    /// A row whose box does nothing would prove nothing.
    @Test(arguments: [MultipathMode.version1, .version0])
    func everyBoxIntervenes(mode: MultipathMode) {
        let column = Column(mode: mode, inside: .a, paths: 2)
        for row in MiddleboxCase.all {
            var interventions: UInt64 = 0
            var boxes = 0
            // Seeds by which the boxes stand on the first, the second and both paths, in links that lose packets too.
            for seed in UInt64(0)..<9 {
                let trial = MiddleboxTrial(
                    box: row, mode: column.mode, inside: column.inside, pathCount: column.paths, seed: seed)
                let result = trial.run().result
                boxes += result.interventions.reduce(0) { $0 + $1.count }
                interventions += result.interventions.joined().reduce(0, +)
            }
            // Nobody sends an ACK of data that was not sent, or in such a transfer these options.
            let mayBeIdle = [
                "unseen ACKs dropped", "ADD_ADDR stripped", "REMOVE_ADDR stripped", "MP_FASTCLOSE stripped",
            ].contains(row.name)
            #expect(boxes == 0 || mayBeIdle || interventions > 0, "\(row.name)")
        }
    }

    /// What remains of Multipath TCP is what the box leaves.
    @Test func outcomesAreTheExpectedOnes() throws {
        let one = Column(mode: .version1, inside: .a, paths: 1)
        let two = Column(mode: .version1, inside: .b, paths: 2)
        for name in [
            "NAT", "sequence numbers shifted", "segments split, options once", "MTU black hole", "reset injected",
        ] {
            #expect(try trial(name, one, seed: 0).run().outcome == .multipath, "\(name)")
            #expect(try trial(name, two, seed: 7).run().outcome == .multipath, "\(name)")
        }
        for name in [
            "all options stripped", "options become EOL", "stripped from third ACK", "SYN with option dropped",
        ] {
            #expect(try trial(name, one, seed: 0).run().outcome == .plain, "\(name)")
        }
    }

    /// The judge sees damage: without checksums, what is rewritten is handed up as it came.
    @Test func rewritingWithoutChecksumsIsSeen() throws {
        let trial = try trial("payload: same", Column(mode: .version1, inside: .a, paths: 1), seed: 0)
        var scenario = trial.scenario
        scenario.client.requestChecksum = false
        let problems = scenario.run().problems
        #expect(problems.contains { $0.contains("wrong byte") }, "\(problems)")
    }

    /// Where both ends take what the path makes of the data, as RFC 8684 §3.7 has it, a single path ends as TCP.
    @Test func damageOnTheOnlyPathFallsBackUnlessRefused() throws {
        let trial = try trial("payload: same", Column(mode: .version1, inside: .a, paths: 1), seed: 0)
        var scenario = trial.scenario
        scenario.client.refusesDamage = false
        scenario.server.refusesDamage = false
        let result = scenario.run()
        #expect(result.serverCounter("MPTcpExtDSSCorruptionFallback") == 1)
        #expect(result.streams.contains { $0.snapshot?.fallback == FallbackReason.checksumFailed.rawValue })
    }

    // Seeds that once failed.

    @Test(arguments: [
        ("stripped after 60 packets", 2, 7), ("stripped after 60 packets", 2, 8), ("stripped after 60 packets", 2, 9),
        ("stripped after 60 packets", 2, 19), ("…outward only", 2, 7), ("…inward only", 2, 26), ("…inward only", 2, 6),
        ("link that flaps", 1, 15), ("NAT that forgets", 1, 1), ("data acknowledged early", 1, 2),
    ])
    func versionOneSeedsThatOnceFailed(name: String, paths: Int, seed: UInt64) throws {
        for inside in [LinkEnd.a, .b] {
            let trial = try trial(name, Column(mode: .version1, inside: inside, paths: paths), seed: seed)
            let outcome = trial.run().outcome
            #expect(trial.accepts(outcome), "\(trial): \(outcome)")
        }
    }

    /// With checksums a hole in front of more than 256 segments once made mappings run out, and the segment that filled
    /// it made the mappings behind it be forgotten.
    @Test(arguments: [("MP_JOIN stripped", 21), ("…outward only", 1), ("nothing in the way", 21)])
    func versionZeroSeedsThatOnceFailed(name: String, seed: UInt64) throws {
        let trial = try trial(name, Column(mode: .version0, inside: .a, paths: 1), seed: seed)
        let (outcome, result) = trial.run()
        #expect(trial.accepts(outcome), "\(trial): \(outcome)")
        if name == "nothing in the way" { #expect(result.clientCounter("dataTimeout") == 0) }
    }

    // MARK: Texts

    @Test(arguments: [
        (
            "nat,outside=10.1.1.77",
            Middlebox.Action.translateAddresses(
                outside: IPAddress(10, 1, 1, 77), timeout: .seconds(30 as Int64), forwardsTo: nil)
        ),
        ("strip", .strip(OptionStrip())),
        (
            "strip,option=dss,on=data,direction=out,after=60,with=eol",
            .strip(OptionStrip(.subtype(2), from: .data, direction: .outward, after: 60, replacement: .eol))
        ),
        ("drop-syn,option=join", .dropSYN(.subtype(1), .both)),
        ("split,size=700,options=first", .split(size: 700, copiesOptions: false)),
        ("coalesce,hold=5ms", .coalesce(limit: 1500, hold: .milliseconds(5))), ("clamp,mss=900", .clampMSS(900)),
        ("rewrite,change=grow,every=3", .rewrite(.grow, every: 3, .both)),
        ("early-ack,direction=in", .acknowledgeEarly(.inward)),
        ("reset,after=9,flows=2", .reset(after: 9, flows: 2)), ("black-hole,mtu=1000", .blackHole(mtu: 1000)),
        ("shift-sequence", .shiftSequence), ("drop-unseen-acks", .dropUnseenAcks), ("block-holes", .blockHoles),
    ])
    func textsAreRead(text: String, action: Middlebox.Action) throws {
        #expect(try Middlebox(parsing: text) == Middlebox(action))
        #expect(try Middlebox(parsing: text + ",inside=to") == Middlebox(action, inside: .b))
    }

    @Test(arguments: [
        ("", "is no middlebox"), ("nonsense", "is no middlebox"), ("nat", "needs its address"),
        ("nat,outside=x", "an IP address"),
        ("strip,on=later", "on=later: write all or syn"), ("strip,after=-1", "a number from 0"),
        ("strip,on=syn,on=ack", "set twice"),
        ("split,size=0", "a number from 1"), ("reset,foo=1", "no setting 'foo'"),
        ("strip,,", "no setting of a middlebox"),
        ("nat,outside=10.0.0.1,forward=fd00::1", "different families"),
        ("clamp,mss=9999999999999999999999", "a number from 88"),
    ])
    func wrongTextsSayWhatIsWrong(text: String, part: String) {
        do {
            _ = try Middlebox(parsing: text)
            Issue.record("\(text) was read")
        } catch {
            #expect(error.description.contains(part), "\(error)")
        }
    }
}
