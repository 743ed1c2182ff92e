import NetworkSimulation
import Testing
import TransportValues

@Suite struct LinkQuantitiesTests {
    @Test(
        arguments: [
            ("100mbit", 100_000_000), ("1.5gbit", 1_500_000_000), ("500kbit", 500_000), ("64000", 64_000),
            ("64000bit", 64_000), ("40Mbit/s", 40_000_000), ("10m", 10_000_000), ("unlimited", 0), ("0", 0),
        ] as [(String, Int64)])
    func rates(text: String, bits: Int64) {
        #expect(BitRate(text)?.bitsPerSecond == bits)
    }

    @Test(arguments: ["", "mbit", "-1mbit", "1e3", "nan", "inf", "10mb", "1 mbit", "99999999999gbit", "0x10"])
    func notRates(text: String) { #expect(BitRate(text) == nil) }

    @Test func queueLimits() {
        #expect(QueueLimit("256kB") == .bytes(256_000))
        #expect(QueueLimit("64KiB") == .bytes(65_536))
        #expect(QueueLimit("1MB") == .bytes(1_000_000))
        #expect(QueueLimit("3000") == .bytes(3000))
        #expect(QueueLimit("100p") == .packets(100))
        #expect(QueueLimit("unlimited") == .unlimited)
        for text in ["", "p", "0p", "-1p", "0", "kB", "1.5p", "xB"] { #expect(QueueLimit(text) == nil, "\(text)") }
    }

    @Test func probabilities() {
        #expect(Probability("1%")?.value == 0.01)
        #expect(Probability("0.5")?.value == 0.5)
        #expect(Probability("100%")?.value == 1)
        for text in ["", "101%", "2", "-1%", "one"] { #expect(Probability(text) == nil, "\(text)") }
    }

    @Test func times() {
        #expect(TimeSpan(text: "10ms") == .milliseconds(10))
        #expect(TimeSpan(text: "2.5s") == .milliseconds(2500))
        #expect(TimeSpan(text: "200us") == .microseconds(200))
        #expect(TimeSpan(text: "50ns") == .nanoseconds(50))
        for text in ["", "10", "ms", "-1ms", "1m"] { #expect(TimeSpan(text: text) == nil, "\(text)") }
    }
}
