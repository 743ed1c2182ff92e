import TransportValues
import WireFormats

/// A seeded property fuzz of every parser of WireFormats: whatever parses stays within its bounds and emits again to
/// the same value, and nothing traps.
public struct WireFuzzer {
    /// What was found wrong: the property that failed and the input, so that it can become a test.
    public struct Failure: Error, CustomStringConvertible {
        public var property: String
        public var input: [UInt8]

        public var description: String {
            let hex = input.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
            return "\(property): \(hex)"
        }
    }

    /// How often each parser accepted its input: a fuzz that nothing survives would prove nothing.
    public struct Tally: Sendable {
        public var inputs = 0
        public var networkHeaders = 0
        public var segments = 0
        public var multipathSegments = 0
        public var optionsWithFaults = 0
        public var icmpMessages = 0
        public var datagrams = 0
        public var captureFrames = 0
    }

    public private(set) var tally = Tally()
    var random: RandomSource
    /// Packets that mutations begin from: those given, and those of our own making.
    let seeds: [[UInt8]]
    let own: [[UInt8]]
    /// Whole capture files that mutations begin from.
    let files: [[UInt8]]

    /// - Parameters:
    ///   - seed: the same seed gives the same inputs.
    ///   - packets: IP packets to mutate; packets of our own making are added.
    ///   - files: capture files to mutate; one of our own is added.
    public init(seed: UInt64, packets: [[UInt8]], files: [[UInt8]]) {
        random = RandomSource(seed: seed)
        own = SeedPackets.make()
        seeds = packets.isEmpty ? own : packets
        self.files = files + [SeedPackets.capture(of: own)]
    }

    /// Runs this many inputs.
    public mutating func run(_ count: Int) throws(Failure) {
        for index in 0..<count {
            tally.inputs += 1
            // A capture file is some hundred times longer than a packet.
            if index % 1_000 == 999 { try checkCapture(mutatedFile()) } else { try check(nextInput()) }
        }
    }

    private mutating func nextInput() -> [UInt8] {
        switch random.next() % 8 {
        case 0: return randomBytes(Int(random.next() % 120))
        case 1, 2, 3: return optionSoup()
        // Captures are many and alike: half of the mutations begin from packets of our own.
        case 4, 5: return mutated(own[Int(random.next() % UInt64(own.count))])
        default: return mutated(seeds[Int(random.next() % UInt64(seeds.count))])
        }
    }

    /// Holds every property of packets against `bytes`.
    public mutating func check(_ bytes: [UInt8]) throws(Failure) {
        let span = unsafe bytes.span.bytes
        _ = try? VirtioNetHeader(span)
        guard let ip = try? IPHeader(span) else { return }
        tally.networkHeaders += 1
        try require("IP payload within packet", bytes) {
            ip.payloadOffset >= 20 && ip.payloadLength >= 0 && ip.payloadOffset + ip.payloadLength <= bytes.count
        }
        if (try? ICMPMessage(span, ip: ip)) != nil { tally.icmpMessages += 1 }
        if let datagram = try? UDPHeader(span, ip: ip, checksum: .trusted) {
            tally.datagrams += 1
            try require("UDP payload within packet", bytes) {
                datagram.payloadLength >= 0
                    && datagram.payloadOffset + datagram.payloadLength <= ip.payloadOffset + ip.payloadLength
            }
        }
        _ = try? TCPSegment(span, ip: ip, checksum: .unverified)
        guard let segment = try? TCPSegment(span, ip: ip, checksum: .trusted) else { return }
        tally.segments += 1
        if !segment.options.multipath.isEmpty { tally.multipathSegments += 1 }
        if !segment.options.ignored.isEmpty { tally.optionsWithFaults += 1 }
        try require("TCP payload within packet", bytes) {
            segment.payloadOffset >= ip.payloadOffset + 20 && segment.payloadLength >= 0
                && segment.payloadOffset + segment.payloadLength == ip.payloadOffset + ip.payloadLength
        }
        try checkOptions(segment, bytes)
    }

    /// Every option alone, and all together when there is room, come back as they went out.
    private func checkOptions(_ segment: TCPSegment, _ bytes: [UInt8]) throws(Failure) {
        let multipath = segment.options.multipath
        try require("a second option has a first", bytes) { multipath.second == nil || multipath.other != nil }
        if let signal = multipath.signal {
            var block = OptionBlock()
            let fits = block.append(signal)
            let read = fits ? OptionEcho.read(block, flags: segment.flags) : nil
            try require("DSS", bytes) { read?.multipath == MPTCPOptions(signal: signal) }
        }
        for option in [multipath.other, multipath.second] {
            guard let option = option.map(OptionEcho.asSent) else { continue }
            var block = OptionBlock()
            let fits = block.append(option)
            let read = fits ? OptionEcho.read(block, flags: segment.flags) : nil
            try require("\(option.subtype)", bytes) { read?.multipath == MPTCPOptions(other: option) }
        }
        var expected = segment.options
        expected.ignored = OptionFaults()
        expected.multipath.other = expected.multipath.other.map(OptionEcho.asSent)
        expected.multipath.second = expected.multipath.second.map(OptionEcho.asSent)
        guard let block = OptionEcho.block(of: expected) else { return }
        try require("all options", bytes) { OptionEcho.read(block, flags: segment.flags) == expected }
    }

    /// Reads a capture to its end; all that it names must lie within the file.
    public mutating func checkCapture(_ file: [UInt8]) throws(Failure) {
        guard var reader = try? CaptureReader(file) else { return }
        while let frame = try? reader.next() {
            tally.captureFrames += 1
            try require("frame within file", file) {
                frame.range.upperBound <= file.count && frame.originalLength >= frame.range.count
            }
            if let packet = reader.networkPacket(of: frame) { try check(Array(file[packet])) }
        }
    }

    private func require(_ property: String, _ input: [UInt8], _ holds: () -> Bool) throws(Failure) {
        if !holds() { throw Failure(property: property, input: input) }
    }
}
