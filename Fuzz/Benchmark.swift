import TransportValues
import WireFormats

/// Nanoseconds of the per-packet path.
enum Benchmark {
    /// Keeps the optimiser from dropping what is measured.
    @inline(never)
    private static func use<Value>(_ value: Value) { withExtendedLifetime(value) {} }

    private static func measure(_ name: String, _ rounds: Int = 5_000_000, _ body: (Int) -> UInt64) {
        let clock = ContinuousClock()
        var best = Duration.seconds(1_000)
        for _ in 0..<3 {
            var total: UInt64 = 0
            let time = clock.measure { for index in 0..<rounds { total &+= body(index) } }
            use(total)
            best = min(best, time)
        }
        let nanoseconds = Double(best.components.attoseconds) / 1e9 + Double(best.components.seconds) * 1e9
        print(name, (nanoseconds / Double(rounds) * 10).rounded() / 10, "ns")
    }

    static func run() {
        var block = OptionBlock()
        block.append(TCPTimestamps(value: 1, echo: 2))
        let signal = DataSequenceSignal(
            dataAck: .eight(77), mapping: DSSMapping(dataSequence: .eight(99), subflowSequence: 1, length: 1400))
        block.append(signal)
        let packet = SeedPackets.packet(block, flags: .ack, payload: 1400)
        let span = unsafe packet.span.bytes
        measure("parse IPv4, TCP, timestamps and DSS") { _ in
            guard let ip = try? IPHeader(span), let segment = try? TCPSegment(span, ip: ip, checksum: .trusted)
            else { return 0 }
            return UInt64(segment.window) &+ (segment.options.multipath.signal == nil ? 0 : 1)
        }
        measure("the same with its checksum", 1_000_000) { _ in
            guard let ip = try? IPHeader(span), let segment = try? TCPSegment(span, ip: ip, checksum: .unverified)
            else { return 0 }
            return UInt64(segment.window)
        }
        measure("sum of 1,440 bytes", 1_000_000) { _ in InternetChecksum.sum(span.extracting(0..<1440)) }
        measure("option block of timestamps and DSS") { index in
            var options = OptionBlock()
            options.append(TCPTimestamps(value: UInt32(truncatingIfNeeded: index), echo: 2))
            var signal = signal
            signal.dataAck = .eight(UInt64(index))
            options.append(signal)
            return UInt64(options.count)
        }
        var bytes = [UInt8](repeating: 0, count: 2000)
        var mutable = bytes.mutableSpan
        var raw = unsafe mutable.mutableBytes
        let source = IPAddress(10, 0, 0, 1)
        measure("emit IPv4, TCP, timestamps and DSS") { index in
            var options = OptionBlock()
            options.append(TCPTimestamps(value: UInt32(truncatingIfNeeded: index), echo: 2))
            var signal = signal
            signal.dataAck = .eight(UInt64(index))
            options.append(signal)
            let fields = TCPHeaderFields(
                sourcePort: 40_000, destinationPort: 443,
                sequence: SequenceNumber(UInt32(truncatingIfNeeded: index)), acknowledgment: SequenceNumber(2),
                flags: .ack, window: 1000)
            let length = emitTCPHeader(fields, options: options, into: &raw, at: 20)
            let header = IPHeader.emit(
                source: source, destination: source, protocolNumber: IPHeader.tcp, payloadLength: length + 1400,
                into: &raw, at: 0)
            finishTCPChecksum(
                packet: &raw, at: header, length: length + 1400, source: source, destination: source, partial: true)
            return UInt64(length)
        }
    }
}
