import Foundation
import Fuzz
import Testing
import WireFormats

@Suite struct FuzzTests {
    /// The short form; `make fuzz` runs ten million.
    @Test(arguments: [1, 2] as [UInt64])
    func fiftyThousandInputs(_ seed: UInt64) throws {
        let files = captureFiles(in: SharedCaptures.folder.path())
        var fuzzer = WireFuzzer(seed: seed, packets: networkPackets(in: files), files: files)
        try fuzzer.run(50_000)
        let tally = fuzzer.tally
        // It proves something only when much of it gets through.
        #expect(tally.networkHeaders > 30_000)
        #expect(tally.segments > 20_000)
        #expect(tally.multipathSegments > 5_000)
        #expect(tally.optionsWithFaults > 5_000)
        #expect(tally.captureFrames > 100)
        #expect(tally.icmpMessages > 100)
        #expect(tally.datagrams > 100)
    }

    /// A packet that breaks off within an option, one with every option broken, and none at all pass too.
    @Test func singleInputs() throws {
        var fuzzer = WireFuzzer(seed: 1, packets: [], files: [])
        for input in [[], [0x45], packet(optionBytes: [30, 20, 1, 1]), packet(optionBytes: [8, 255, 5, 9, 30, 0])] {
            try fuzzer.check(input)
        }
        #expect(fuzzer.tally.optionsWithFaults == 2)
    }
}
