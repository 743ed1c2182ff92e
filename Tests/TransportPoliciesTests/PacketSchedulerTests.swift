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

private func choose(_ paths: [PathSnapshot]) -> Int? {
    var scheduler = PacketScheduler(.lowestRTT)
    return scheduler.choose(paths.span)
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

    @Test func hugeNumbersDoNotTrap() {
        #expect(
            choose([path(0, 1, inFlight: .max, window: .max), path(1, 1, inFlight: .max, window: .min)]) != nil)
    }
}
