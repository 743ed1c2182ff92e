import HostStack
import Testing
import TransportValues

@Suite struct TableTests {
    @Test(arguments: 0..<10) func flowTableAgreesWithADictionary(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var table = FlowTable(hash: KeyedHash(drawingFrom: &random))
        var model: [FourTuple: Int32] = [:]
        for step in 0..<5_000 {
            let tuple = FourTuple(
                local: Endpoint(IPAddress(10, 0, 0, UInt8(random.next() % 4)), UInt16(random.next() % 40)),
                remote: Endpoint(IPAddress(10, 0, 1, 1), UInt16(random.next() % 20)))
            if random.chance(0.6) {
                let isNew = table.insert(tuple, FlowTable.Flow(connection: Int32(step), subflow: 0))
                #expect(isNew == (model[tuple] == nil))
                if isNew { model[tuple] = Int32(step) }
            } else {
                table.remove(tuple)
                model[tuple] = nil
            }
            #expect(table.count == model.count)
        }
        for (tuple, value) in model { #expect(table.find(tuple)?.connection == value) }
    }

    @Test(arguments: 0..<10) func deadlineHeapGivesTheEarliest(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var heap = DeadlineHeap()
        var model = [Int64?](repeating: nil, count: 50)
        for _ in 0..<3_000 {
            let slot = Int32(random.next() % 50)
            switch random.next() % 4 {
            case 0:
                heap.remove(slot)
                model[Int(slot)] = nil
            case 1:
                // Later without `exact` leaves the earlier time, which only wakes too soon.
                let time = Int64(random.next() % 1_000)
                heap.update(slot, MonotonicInstant(nanoseconds: time), exact: false)
                model[Int(slot)] = min(model[Int(slot)] ?? .max, time)
            default:
                let time = Int64(random.next() % 1_000)
                heap.update(slot, MonotonicInstant(nanoseconds: time), exact: true)
                model[Int(slot)] = time
            }
            let earliest = model.compactMap { $0 }.min()
            #expect(heap.next == earliest.map { MonotonicInstant(nanoseconds: $0) } ?? .distantFuture)
            if let earliest {
                #expect(heap.due(at: MonotonicInstant(nanoseconds: earliest - 1)) == nil)
                let due = heap.due(at: MonotonicInstant(nanoseconds: earliest))
                #expect(due.flatMap { model[Int($0)] } == earliest)
            }
        }
    }
}
