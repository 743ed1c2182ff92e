import Testing
import TransportValues

import WireFormats

@Suite struct ICMPMessageTests {
    /// An ICMP error about `embedded`, sent by a router.
    private func message(
        type: UInt8, code: UInt8, parameter: UInt32, embedded: [UInt8], isIPv6: Bool = false
    ) -> [UInt8] {
        let router = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 99) : IPAddress(192, 0, 2, 1)
        let host = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(10, 0, 0, 1)
        let headerLength = isIPv6 ? 40 : 20
        let length = 8 + embedded.count
        return filled(headerLength + length) { raw in
            let number = isIPv6 ? IPHeader.icmpV6 : IPHeader.icmp
            _ = IPHeader.emit(
                source: router, destination: host, protocolNumber: number, payloadLength: length, into: &raw, at: 0)
            raw.store(byte: type, at: headerLength)
            raw.store(byte: code, at: headerLength + 1)
            raw.store(word32: parameter, at: headerLength + 4)
            for (index, byte) in embedded.enumerated() { raw.store(byte: byte, at: headerLength + 8 + index) }
            let pseudo =
                isIPv6
                ? InternetChecksum.pseudoHeaderSum(
                    source: router, destination: host, protocolNumber: number, length: length) : 0
            let sum = InternetChecksum.sum(raw.bytes.extracting(headerLength..<raw.byteCount), initial: pseudo)
            raw.store(word16: ~InternetChecksum.fold(sum), at: headerLength + 2)
        }
    }

    private func read(_ bytes: [UInt8]) throws -> ICMPMessage {
        try bytes.lend { try ICMPMessage($0, ip: try IPHeader($0)) }
    }

    /// RFC 792 lets a router send back no more than the IP header and 8 bytes.
    @Test(arguments: [28, 40])
    func version4(_ kept: Int) throws {
        let sent = Array(packet(optionBytes: [], payload: [UInt8](repeating: 1, count: 1000))[..<kept])
        let big = try read(message(type: 3, code: 4, parameter: 1400, embedded: sent))
        #expect(big.kind == .packetTooBig(mtu: 1400))
        #expect(big.embedded.local == Endpoint(IPAddress(10, 0, 0, 1), 1000))
        #expect(big.embedded.remote == Endpoint(IPAddress(10, 0, 0, 2), 2000))
        #expect(big.embeddedSequence == SequenceNumber(1))
        let codes: [(UInt8, ICMPMessage.Unreachable)] = [
            (0, .network), (1, .host), (2, .protocolNumber), (3, .port), (13, .prohibited), (12, .other(12)),
        ]
        for (code, expected) in codes {
            #expect(
                try read(message(type: 3, code: code, parameter: 0, embedded: sent)).kind == .unreachable(expected))
        }
        #expect(throws: WireError.unsupported) {
            try read(message(type: 8, code: 0, parameter: 0, embedded: sent))
        }
    }

    @Test func version6() throws {
        let sent = Array(packet(optionBytes: [], payload: [UInt8](repeating: 1, count: 1000), isIPv6: true)[..<48])
        let big = try read(message(type: 2, code: 0, parameter: 1280, embedded: sent, isIPv6: true))
        #expect(big.kind == .packetTooBig(mtu: 1280))
        #expect(big.embedded.local == Endpoint(IPAddress(high: 0xfd00 << 48, low: 1), 1000))
        #expect(big.embeddedSequence == SequenceNumber(1))
        let codes: [(UInt8, ICMPMessage.Unreachable)] = [
            (0, .network), (1, .prohibited), (3, .host), (4, .port), (2, .other(2)),
        ]
        for (code, expected) in codes {
            let message = message(type: 1, code: code, parameter: 0, embedded: sent, isIPv6: true)
            #expect(try read(message).kind == .unreachable(expected))
        }
        // An echo request.
        #expect(throws: WireError.unsupported) {
            try read(message(type: 128, code: 0, parameter: 0, embedded: sent, isIPv6: true))
        }
    }

    @Test(arguments: [false, true])
    func brokenOnesThrow(_ isIPv6: Bool) {
        let sent = Array(packet(optionBytes: [], isIPv6: isIPv6))
        let header = isIPv6 ? 40 : 20
        let type: UInt8 = isIPv6 ? 2 : 3
        for kept in 0..<header + 8 {
            let bytes = message(
                type: type, code: 4, parameter: 1400, embedded: Array(sent[..<kept]), isIPv6: isIPv6)
            #expect(throws: WireError.truncated) { try read(bytes) }
        }
        var udp = sent
        udp[isIPv6 ? 6 : 9] = 17
        #expect(throws: WireError.unsupported) {
            try read(message(type: type, code: 4, parameter: 1400, embedded: udp, isIPv6: isIPv6))
        }
        var wrong = message(type: type, code: 4, parameter: 1400, embedded: sent, isIPv6: isIPv6)
        wrong[wrong.count - 1] ^= 1
        #expect(throws: WireError.badChecksum) { try read(wrong) }
        if !isIPv6 {
            var later = sent
            later[7] = 9
            #expect(throws: WireError.fragment) {
                try read(message(type: type, code: 4, parameter: 1400, embedded: later))
            }
        }
    }
}
