import Testing
import TransportValues

@Suite struct IntervalSetTests {
    /// Random insertions and removals beside a set of booleans.
    @Test(arguments: 0..<50) func agreesWithABitmap(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var set = IntervalSet()
        var bitmap = [Bool](repeating: false, count: 200)
        for _ in 0..<300 {
            let low = Int64(random.next() % 190)
            let range = low..<min(200, low + Int64(random.next() % 12))
            if random.chance(0.6) {
                let isInserted = set.insert(range)
                #expect(isInserted)
                for offset in range { bitmap[Int(offset)] = true }
            } else {
                set.remove(range)
                for offset in range { bitmap[Int(offset)] = false }
            }
            check(set, bitmap)
            let probe = Int64(random.next() % 180)
            let wide = probe..<probe + 15
            #expect(set.contains(wide) == wide.allSatisfy { bitmap[Int($0)] })
            #expect(set.overlaps(wide) == wide.contains { bitmap[Int($0)] })
            var gaps: [Int64] = []
            set.forEachGap(in: wide) { gaps += Array($0) }
            #expect(gaps == wide.filter { !bitmap[Int($0)] })
        }
    }

    private func check(_ set: IntervalSet, _ bitmap: [Bool]) {
        var previous: Int64 = -1
        for range in set.ranges {
            #expect(range.lowerBound > previous, "sorted, apart from one another")
            #expect(!range.isEmpty)
            previous = range.upperBound
        }
        #expect(set.count == Int64(bitmap.count { $0 }))
        for (offset, isSet) in bitmap.enumerated() { #expect(set.contains(Int64(offset)) == isSet) }
    }

    @Test func aLimitRefusesWithoutChange() {
        var set = IntervalSet()
        for index in 0..<4 { set.insert(Int64(index * 10)..<Int64(index * 10 + 2), limit: 4) }
        let before = set
        let isFifthIn = set.insert(100..<101, limit: 4)
        #expect(!isFifthIn)
        #expect(set == before)
        let isMerged = set.insert(2..<10, limit: 4)
        #expect(isMerged, "what merges needs no room")
        #expect(set.ranges.count == 3)
    }

    @Test func removesBelow() {
        var set = IntervalSet()
        set.insert(0..<10)
        set.insert(20..<30)
        set.removeAll(below: 25)
        #expect(set.ranges == [25..<30])
        let early = set.popFirst(startingUpTo: 24)
        let first = set.popFirst(startingUpTo: 25)
        #expect(early == nil && first == 25..<30)
        #expect(set.isEmpty)
    }
}
