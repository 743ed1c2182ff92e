import TransportValues
import WireFormats

/// Packets of our own making that mutations begin from, so that the fuzz also runs where there are no captures.
enum SeedPackets {
    /// An IPv4 packet with a TCP header, these options and a payload.
    static func packet(_ options: OptionBlock, flags: TCPFlags, payload: Int = 0, isIPv6: Bool = false) -> [UInt8] {
        let network = isIPv6 ? 40 : 20
        let length = 20 + options.count + payload
        let source = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(10, 0, 0, 1)
        let destination = isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 2) : IPAddress(10, 0, 0, 2)
        var bytes = [UInt8](repeating: 0x5a, count: network + length)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        _ = IPHeader.emit(
            source: source, destination: destination, protocolNumber: IPHeader.tcp, payloadLength: length,
            into: &raw, at: 0)
        let fields = TCPHeaderFields(
            sourcePort: 40_000, destinationPort: 443, sequence: SequenceNumber(1), acknowledgment: SequenceNumber(2),
            flags: flags, window: 1000)
        _ = emitTCPHeader(fields, options: options, into: &raw, at: network)
        finishTCPChecksum(
            packet: &raw, at: network, length: length, source: source, destination: destination, partial: false)
        return bytes
    }

    static func make() -> [[UInt8]] {
        let signal = DataSequenceSignal(
            dataAck: .eight(77),
            mapping: DSSMapping(dataSequence: .eight(99), subflowSequence: 1, length: 16, checksum: 0x1234))
        let address = IPAddress(high: 0xfd00 << 48, low: 3)
        let options: [(MPTCPOption, TCPFlags)] = [
            (.capable(MPCapable()), .syn), (.capable(MPCapable(senderKey: 1)), [.syn, .ack]),
            (.capable(MPCapable(version: 0, senderKey: 1)), .syn),
            (.capable(MPCapable(senderKey: 1, receiverKey: 2, dataLength: 3, checksum: 4)), .ack),
            (.join(.syn(backup: true, addressID: AddressID(1), token: 2, nonce: 3)), .syn),
            (.join(.synAck(backup: false, addressID: AddressID(1), truncatedHMAC: 2, nonce: 3)), [.syn, .ack]),
            (.join(.ack(hmac: HMAC160(high: 1, middle: 2, low: 3))), .ack),
            (.addAddress(AddAddress(addressID: AddressID(1), address: address, port: 5, hmac: 6)), .ack),
            (.addAddress(AddAddress(echoOf: AddressID(1), address: address)), .ack),
            (.addAddress(AddAddress(version0: AddressID(1), address: address, port: 5)), .ack),
            (.removeAddress(RemoveAddress(AddressID(1))), .ack),
            (.priority(MPPriority(backup: true)), .ack),
            (.fail(MPFail(dataSequence: 1)), .ack), (.fastClose(MPFastClose(receiverKey: 1)), [.rst, .ack]),
            (.reset(MPTCPReset(transient: true, reason: 2)), .rst),
            (.experimental(MPTCPExperimental(flags: 1)), .ack),
        ]
        var packets: [[UInt8]] = []
        for (index, (option, flags)) in options.enumerated() {
            var block = OptionBlock()
            block.append(option)
            packets.append(packet(block, flags: flags, payload: index, isIPv6: index % 2 == 1))
        }
        var block = OptionBlock()
        block.append(TCPTimestamps(value: 1, echo: 2))
        block.append(signal)
        packets.append(packet(block, flags: [.ack, .psh], payload: 16))
        for isIPv6 in [false, true] {
            packets.append(unreachable(about: packets[isIPv6 ? 1 : 0], isIPv6: isIPv6))
            packets.append(datagram(isIPv6: isIPv6))
        }
        return packets
    }

    /// An ICMP "too big" about a packet.
    private static func unreachable(about packet: [UInt8], isIPv6: Bool) -> [UInt8] {
        var bytes: [UInt8] = isIPv6 ? [2, 0, 0, 0, 0, 0, 5, 0] : [3, 4, 0, 0, 0, 0, 5, 0]
        bytes += packet
        return wrapped(bytes, isIPv6 ? IPHeader.icmpV6 : IPHeader.icmp, isIPv6: isIPv6)
    }

    private static func datagram(isIPv6: Bool) -> [UInt8] {
        wrapped([0, 53, 20, 233, 0, 12, 0, 0, 1, 2, 3, 4], IPHeader.udp, isIPv6: isIPv6)
    }

    /// An IP packet with this payload; ``repair(_:)`` sets an ICMP checksum.
    private static func wrapped(_ payload: [UInt8], _ protocolNumber: UInt8, isIPv6: Bool) -> [UInt8] {
        let header = isIPv6 ? 40 : 20
        var bytes = [UInt8](repeating: 0, count: header) + payload
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        _ = IPHeader.emit(
            source: isIPv6 ? IPAddress(high: 1, low: 2) : IPAddress(192, 0, 2, 1),
            destination: isIPv6 ? IPAddress(high: 1, low: 3) : IPAddress(10, 0, 0, 1),
            protocolNumber: protocolNumber, payloadLength: payload.count, into: &raw, at: 0)
        repair(&bytes)
        return bytes
    }

    /// Sets the lengths and checksums of a packet's IP header, and of ICMP behind it, as far as it has them.
    static func repair(_ bytes: inout [UInt8]) {
        guard bytes.count >= 20, bytes.count <= 0xffff else { return }
        if bytes[0] >> 4 == 6, bytes.count >= 40 {
            bytes[4] = UInt8((bytes.count - 40) >> 8)
            bytes[5] = UInt8((bytes.count - 40) & 255)
        } else {
            let length = Int(bytes[0] & 15) * 4
            guard bytes[0] >> 4 == 4, length >= 20, length <= bytes.count else { return }
            bytes[2] = UInt8(bytes.count >> 8)
            bytes[3] = UInt8(bytes.count & 255)
            setChecksum(&bytes, at: 10, over: 0..<length, initial: 0)
        }
        guard let ip = try? unsafe IPHeader(bytes.span.bytes), ip.payloadLength >= 8 else { return }
        let pseudo =
            ip.protocolNumber == IPHeader.icmpV6
            ? InternetChecksum.pseudoHeaderSum(
                source: ip.source, destination: ip.destination, protocolNumber: IPHeader.icmpV6,
                length: ip.payloadLength) : 0
        guard ip.protocolNumber == IPHeader.icmp || ip.protocolNumber == IPHeader.icmpV6 else { return }
        setChecksum(
            &bytes, at: ip.payloadOffset + 2, over: ip.payloadOffset..<ip.payloadOffset + ip.payloadLength,
            initial: pseudo)
    }

    private static func setChecksum(_ bytes: inout [UInt8], at field: Int, over range: Range<Int>, initial: UInt64) {
        bytes[field] = 0
        bytes[field + 1] = 0
        let sum = unsafe InternetChecksum.sum(bytes.span.bytes.extracting(range), initial: initial)
        let checksum = ~InternetChecksum.fold(sum)
        bytes[field] = UInt8(checksum >> 8)
        bytes[field + 1] = UInt8(checksum & 255)
    }

    /// A pcapng file with these packets.
    static func capture(of packets: [[UInt8]]) -> [UInt8] {
        var file: [UInt8] = []
        var writer = PcapngWriter(into: &file)
        let interface = writer.addInterface(name: "fuzz0", linkType: .rawIP, into: &file)
        for packet in packets {
            unsafe writer.packet(packet.span.bytes, interface: interface, time: 1_000_000_000, into: &file)
        }
        return file
    }
}
