// Not part of the package: `Fuzz/Coverage/run.sh` compiles it with the property fuzz for libFuzzer, whose coverage
// leads the inputs.

/// Called by libFuzzer with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    var fuzzer = WireFuzzer(seed: 1, packets: [[0]], files: [])
    do throws(WireFuzzer.Failure) {
        // The first byte chooses what the rest is: as it is, with its IP header repaired, or a capture file.
        guard let kind = bytes.first else { return 0 }
        var rest = Array(bytes.dropFirst())
        if kind % 4 == 1 { return try checked(&fuzzer, capture: rest) }
        if kind % 4 > 1 { SeedPackets.repair(&rest) }
        try fuzzer.check(rest)
    } catch {
        fatalError("\(error)")
    }
    return 0
}

func checked(_ fuzzer: inout WireFuzzer, capture file: [UInt8]) throws(WireFuzzer.Failure) -> CInt {
    try fuzzer.checkCapture(file)
    return 0
}
