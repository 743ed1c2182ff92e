import Foundation
import TransportValues

// Fuzz [inputs] [seed] [folder of captures], or: Fuzz benchmark

let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "benchmark" {
    Benchmark.run()
    exit(0)
}
let count = arguments.first.flatMap { Int($0) } ?? 1_000_000
let seed = arguments.dropFirst().first.flatMap { UInt64($0) } ?? 1
let folder = arguments.dropFirst(2).first ?? "../shared/captures"
let files = captureFiles(in: folder)
var fuzzer = WireFuzzer(seed: seed, packets: networkPackets(in: files), files: files)
print("seed \(seed), \(count) inputs, \(files.count) captures from \(folder)")
do throws(WireFuzzer.Failure) {
    try fuzzer.run(count)
    print("no failure: \(fuzzer.tally)")
} catch {
    print("after \(fuzzer.tally.inputs) inputs: \(error)")
    exit(1)
}
