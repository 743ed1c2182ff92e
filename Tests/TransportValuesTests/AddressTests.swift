import Testing
import TransportValues

@Suite struct AddressTests {
    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"),
        ("fd00:0:0:1::2", "fd00:0:0:1::2"), ("2001:DB8::0:1", "2001:db8::1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::ffff:10.1.2.3", "::ffff:a01:203"), ("1::", "1::"),
    ])
    func readsAndWrites(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(address.description) == address)
    }

    @Test(arguments: [
        "", "10.0.0", "10.0.0.256", "10.0.0.1.2", "1e1.0.0.1", "fd00", ":::", "1::2::3", "1:2:3:4:5:6:7", "g::1",
        "1:2:3:4:5:6:7:8:9", "12345::", "1:2:3:4:5:6:7::8", "+1.2.3.4",
    ])
    func refuses(text: String) { #expect(IPAddress(text) == nil) }

    @Test func endpoints() {
        #expect(Endpoint("10.0.1.1:40000")?.description == "10.0.1.1:40000")
        #expect(Endpoint("[fd00::1]:40000")?.description == "[fd00::1]:40000")
        #expect(Endpoint("fd00::1:40000") == nil)
        #expect(Endpoint("10.0.1.1:70000") == nil)
        #expect(Endpoint("10.0.1.1") == nil)
    }

    @Test func prefixes() throws {
        let one = IPAddress(10, 1, 2, 3)
        #expect(one.matches(IPAddress(10, 1, 2, 200), prefixLength: 24))
        #expect(!one.matches(IPAddress(10, 1, 3, 3), prefixLength: 24))
        #expect(one.matches(IPAddress(99, 1, 1, 1), prefixLength: 0))
        let six = try #require(IPAddress("fd00:1::5"))
        #expect(six.matches(try #require(IPAddress("fd00:1::6")), prefixLength: 126))
        #expect(!six.matches(try #require(IPAddress("fd00:1::9")), prefixLength: 126))
        #expect(!six.matches(one, prefixLength: 0))
    }

    @Test func sequenceNumbersWrap() {
        let initial = SequenceNumber(0xffff_fff0)
        for offset in [Int64(0), 15, 16, 17, 1 << 31, 1 << 33] {
            #expect(initial.advanced(by: offset).offset(from: initial, near: offset + 1000) == offset)
            #expect(initial.advanced(by: offset).offset(from: initial, near: offset - 1000) == offset)
        }
        #expect(
            DataSequenceNumber.expanding(5, near: DataSequenceNumber(0x1_ffff_fff0)) == DataSequenceNumber(0x2_0000_0005))
        #expect(
            DataSequenceNumber.expanding(0xffff_fff0, near: DataSequenceNumber(0x2_0000_0005))
                == DataSequenceNumber(0x1_ffff_fff0))
    }

    @Test func timesSaturate() {
        #expect(MonotonicInstant.distantFuture + .seconds(5) == .distantFuture)
        #expect(TimeSpan.seconds(.max) > .seconds(1_000_000))
        #expect(TimeSpan(seconds: .nan) == .zero)
        #expect(TimeSpan(seconds: 1e300).nanoseconds == .max)
        #expect((MonotonicInstant(nanoseconds: .min) - MonotonicInstant(nanoseconds: .max)).nanoseconds == .min)
    }
}
