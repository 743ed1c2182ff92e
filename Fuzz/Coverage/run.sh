#!/bin/sh
# Coverage-guided fuzzing of WireFormats with libFuzzer: Fuzz/Coverage/run.sh [seconds] [corpus folder]
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
corpus=${2:-.build/fuzzer/corpus}
scratch=.build/fuzzer
swift build -c release --sanitize fuzzer --scratch-path "$scratch" --target WireFormats
products=$scratch/release
mkdir -p "$corpus"
swiftc -O -sanitize=fuzzer -parse-as-library -module-name LibFuzzer -enable-experimental-feature Lifetimes \
    -I "$products/Modules" Fuzz/Coverage/LibFuzzer.swift Fuzz/WireFuzzer.swift Fuzz/OptionEcho.swift \
    Fuzz/SeedPackets.swift Fuzz/Mutations.swift \
    "$products"/WireFormats.build/*.o "$products"/TransportValues.build/*.o -o "$scratch/LibFuzzer"
exec "$scratch/LibFuzzer" -max_len=1500 -max_total_time="$seconds" "$corpus"
