import Testing
import TransportPolicies
import TransportValues

private func path(
    _ index: Int, _ milliseconds: Int64, room: Int = 1_000, inFlight: Int = 0, window: Int = 10_000,
    backup: Bool = false, stalled: Bool = false
) -> PathSnapshot {
    PathSnapshot(
        index: index, smoothedRoundTrip: .milliseconds(milliseconds), congestionWindow: window, inFlight: inFlight,
        room: room, maximumSegmentSize: 1_400, isBackup: backup, isStalled: stalled)
}

private func choose(
    _ paths: [PathSnapshot], by algorithm: SchedulerAlgorithm = .lowestRTT, backlog: Int = .max, window: Int = .max,
    isReinjection: Bool = false
) -> Int? {
    var scheduler = PacketScheduler(algorithm)
    return scheduler.choose(
        paths.span, for: SchedulingWork(backlog: backlog, window: window, isReinjection: isReinjection))
}

@Suite struct PacketSchedulerTests {
    @Test func theLowestRoundTripWithRoomWins() {
        #expect(choose([]) == nil)
        #expect(choose([path(7, 30), path(8, 10), path(9, 20)]) == 8)
        #expect(choose([path(7, 30), path(8, 10, room: 0), path(9, 20)]) == 9)
        #expect(choose([path(7, 30, room: 0), path(8, 10, room: 0)]) == nil)
    }

    @Test func equalPathsShareByTheEmptierWindow() {
        #expect(choose([path(0, 10, inFlight: 5_000), path(1, 10, inFlight: 4_000)]) == 1)
        #expect(choose([path(0, 10, inFlight: 5_000, window: 20_000), path(1, 10, inFlight: 4_000)]) == 0)
        #expect(choose([path(0, 10), path(1, 10)]) == 0)
    }

    @Test func aBackupServesOnlyWhenNoRegularPathIsUsable() {
        //= RFC 8684 §3.3.8: backup paths only when no regular path is usable
        #expect(choose([path(0, 50), path(1, 1, backup: true)]) == 0)
        #expect(choose([path(0, 50, room: 0), path(1, 1, backup: true)]) == nil)
        #expect(choose([path(0, 50, stalled: true), path(1, 100, backup: true)]) == 1)
        #expect(choose([path(1, 100, backup: true)]) == 1)
    }

    @Test func aStalledPathIsNotUsedWhileAnotherWorks() {
        #expect(choose([path(0, 1, stalled: true), path(1, 90)]) == 1)
        #expect(choose([path(0, 1, stalled: true), path(1, 90, room: 0)]) == nil)
        #expect(choose([path(0, 9, stalled: true), path(1, 1, backup: true, stalled: true)]) == 0)
    }

    @Test(arguments: SchedulerAlgorithm.allCases)
    func everySchedulerKeepsTheRulesOfBackupAndStall(algorithm: SchedulerAlgorithm) {
        //= RFC 8684 §3.3.8: backup paths only when no regular path is usable
        #expect(choose([], by: algorithm) == nil)
        #expect(choose([path(0, 50), path(1, 1, backup: true)], by: algorithm) == 0)
        #expect(choose([path(0, 50, room: 0, inFlight: 9), path(1, 1, backup: true)], by: algorithm) == nil)
        #expect(choose([path(0, 1, stalled: true), path(1, 90)], by: algorithm) == 1)
        #expect(choose([path(3, 10, room: 0), path(4, 90, room: 0)], by: algorithm) == nil)
        #expect(choose([path(5, 90)], by: algorithm) == 5)
    }

    /// A path that has nothing under way is told of nothing: waiting for it would be for ever.
    @Test(arguments: SchedulerAlgorithm.allCases)
    func nobodyWaitsForASilentPath(algorithm: SchedulerAlgorithm) {
        for backlog in [1, 100_000, Int.max] {
            for window in [1, 100_000, Int.max] {
                let choice = choose(
                    [path(0, 10, room: 0, inFlight: 0), path(1, 400)], by: algorithm, backlog: backlog, window: window)
                #expect(choice == 1, "backlog \(backlog), window \(window)")
            }
        }
    }

    @Test(arguments: SchedulerAlgorithm.allCases)
    func hugeNumbersDoNotTrap(algorithm: SchedulerAlgorithm) {
        let paths = [
            path(0, 1, room: .max, inFlight: .max, window: .max), path(1, 1, inFlight: .max, window: .min),
            path(2, .max / 1_000_000, room: 1, inFlight: 1, window: 0), path(3, 0, room: 0, inFlight: .max, window: .max),
        ]
        for backlog in [0, 1, Int.max] {
            for window in [0, Int.max] {
                _ = choose(paths, by: algorithm, backlog: backlog, window: window)
                _ = choose(paths.reversed(), by: algorithm, backlog: backlog, window: window, isReinjection: true)
            }
        }
    }

    // MARK: The rules themselves

    @Test func roundRobinTakesTurnsAmongThoseWithRoom() {
        var scheduler = RoundRobinScheduler()
        let paths = [path(0, 10), path(1, 90), path(2, 50, room: 0), path(3, 20)]
        let work = SchedulingWork(backlog: 1)
        #expect((0..<6).map { _ in scheduler.choose(paths.span, for: work) } == [0, 1, 3, 0, 1, 3])
    }

    @Test func weightsShareTheBytes() {
        var scheduler = WeightedScheduler()
        var paths = [path(0, 10), path(1, 90), path(2, 10)]
        (paths[0].weight, paths[1].weight, paths[2].weight) = (3, 1, 0)
        for _ in 0..<400 {
            let choice = scheduler.choose(paths.span, for: SchedulingWork(backlog: .max))!
            paths[choice].bytesSent += 1_000
        }
        #expect(paths.map(\.bytesSent) == [300_000, 100_000, 0])
    }

    /// 10 ms and 1 MB/s before 100 ms: 50,000 bytes take the fast path 50 ms, so the slow one is not worth it; 500,000 are.
    @Test(arguments: [SchedulerAlgorithm.ecf, .earliest])
    func whatEndsSoonerOnTheFastPathWaitsForIt(algorithm: SchedulerAlgorithm) {
        let paths = [path(0, 10, room: 0, inFlight: 10_000, window: 10_000), path(1, 100)]
        #expect(choose(paths, by: algorithm, backlog: 50_000) == nil)
        #expect(choose(paths, by: algorithm, backlog: 500_000) == 1)
        #expect(choose(paths, by: algorithm, backlog: .max) == 1)
        #expect(choose(paths, by: algorithm, backlog: 50_000, isReinjection: true) == 1)
    }

    /// In the slow path's 100 ms the fast one needs 100,000 bytes of window and more.
    @Test(arguments: [SchedulerAlgorithm.blest, .earliest])
    func aSlowPathThatWouldBlockTheWindowIsLeftIdle(algorithm: SchedulerAlgorithm) {
        let paths = [path(0, 10, room: 0, inFlight: 10_000, window: 10_000), path(1, 100)]
        #expect(choose(paths, by: algorithm, window: 60_000) == nil)
        #expect(choose(paths, by: algorithm, window: 1_000_000) == 1)
    }

    @Test func shortestTransferTimeCountsTheRoundTripsOfAFullWindow() {
        let full = path(0, 10, room: 0, inFlight: 10_000, window: 10_000)
        #expect(choose([full, path(1, 100)], by: .sttf) == nil)
        #expect(choose([full, path(1, 30)], by: .sttf) == 1)
    }

    @Test func aPolicyOfOnesOwn() {
        struct Last: SchedulingPolicy {
            var asked = 0
            mutating func choose(_ paths: Span<PathSnapshot>, for work: SchedulingWork) -> Int? {
                asked += 1
                return asked % 2 == 0 ? nil : paths[paths.count - 1].index
            }
        }
        var scheduler = PacketScheduler.custom(Last())
        let paths = [path(4, 1), path(9, 2)]
        let work = SchedulingWork(backlog: 1)
        #expect((0..<3).map { _ in scheduler.choose(paths.span, for: work) } == [9, nil, 9])
    }
}
