import NetworkSimulation
import Testing
import TransportValues

@Suite struct EventQueueTests {
    @Test func ordersByTimeThenInsertion() {
        var queue = EventQueue<Int>()
        var random = RandomSource(seed: 1)
        var expected: [(Int64, Int)] = []
        for index in 0..<5_000 {
            let time = Int64.random(in: 0..<200, using: &random)
            queue.insert(index, at: MonotonicInstant(nanoseconds: time))
            expected.append((time, index))
        }
        expected.sort { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }
        for (time, index) in expected {
            #expect(queue.nextTime.nanoseconds == time)
            let event = queue.popFirst(dueAt: .distantFuture)
            #expect(event?.time.nanoseconds == time)
            #expect(event?.payload == index)
        }
        #expect(queue.count == 0)
        #expect(queue.nextTime == .distantFuture)
    }

    @Test func givesNothingBeforeItsTime() {
        var queue = EventQueue<Int>()
        queue.insert(7, at: MonotonicInstant(nanoseconds: 100))
        #expect(queue.popFirst(dueAt: MonotonicInstant(nanoseconds: 99)) == nil)
        #expect(queue.popFirst(dueAt: MonotonicInstant(nanoseconds: 100))?.payload == 7)
        #expect(queue.popFirst(dueAt: .distantFuture) == nil)
    }
}
