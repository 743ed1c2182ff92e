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
    }

    /// The fuzz does see a packet that breaks a property: its own failure carries the input.
    @Test func failuresNameTheirInput() {
        let failure = WireFuzzer.Failure(property: "DSS", input: [0x0a, 0xff])
        #expect("\(failure)" == "DSS: 0aff")
    }
}
