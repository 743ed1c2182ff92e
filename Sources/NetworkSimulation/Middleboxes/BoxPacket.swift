import TransportValues
import WireFormats

/// A TCP packet in the hands of a middlebox, to be changed.
///
/// Only packets whose checksums are right become one: a box that repaired a damaged packet's checksum would hide the
/// damage.
struct BoxPacket {
    private(set) var bytes: [UInt8]
    /// Where the TCP header begins.
    private let tcp: Int
    private let isIPv6: Bool

    /// Nil for anything but an undamaged, unfragmented TCP segment.
    init?(_ packet: RawSpan) {
        guard let ip = try? IPHeader(packet), ip.protocolNumber == IPHeader.tcp,
            (try? TCPSegment(packet, ip: ip, checksum: .unverified)) != nil
        else { return nil }
        let length = ip.payloadOffset + ip.payloadLength
        bytes = (0..<length).map { packet.octet($0) }
        tcp = ip.payloadOffset
        isIPv6 = ip.source.isIPv6
    }

    /// A bare segment from this one's destination to its source.
    func reply(flags: TCPFlags, sequence: UInt32, acknowledgment: UInt32) -> BoxPacket {
        var packet = self
        packet.setOptions([])
        packet.setPayload([])
        (packet.source, packet.destination) = (destination, source)
        packet.flags = flags
        packet.sequence = sequence
        packet.acknowledgment = acknowledgment
        return packet
    }

    // MARK: Fields

    private func word16(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) }
    private func word32(_ offset: Int) -> UInt32 { UInt32(word16(offset)) << 16 | UInt32(word16(offset + 2)) }

    private mutating func store(_ value: UInt16, _ offset: Int) {
        bytes[offset] = UInt8(value >> 8)
        bytes[offset + 1] = UInt8(value & 0xff)
    }

    private mutating func store(_ value: UInt32, _ offset: Int) {
        store(UInt16(value >> 16), offset)
        store(UInt16(truncatingIfNeeded: value), offset + 2)
    }

    private func address(_ offset: Int) -> IPAddress {
        if !isIPv6 { return IPAddress(ipv4: word32(offset)) }
        let high = UInt64(word32(offset)) << 32 | UInt64(word32(offset + 4))
        return IPAddress(high: high, low: UInt64(word32(offset + 8)) << 32 | UInt64(word32(offset + 12)))
    }

    private mutating func store(_ address: IPAddress, _ offset: Int) {
        guard isIPv6 else { return store(address.ipv4, offset) }
        for (index, word) in [address.high, address.low].enumerated() {
            store(UInt32(word >> 32), offset + 8 * index)
            store(UInt32(truncatingIfNeeded: word), offset + 8 * index + 4)
        }
    }

    var family: Bool { isIPv6 }

    var source: Endpoint {
        get { Endpoint(address(isIPv6 ? 8 : 12), word16(tcp)) }
        set {
            store(newValue.address, isIPv6 ? 8 : 12)
            store(newValue.port, tcp)
        }
    }

    var destination: Endpoint {
        get { Endpoint(address(isIPv6 ? 24 : 16), word16(tcp + 2)) }
        set {
            store(newValue.address, isIPv6 ? 24 : 16)
            store(newValue.port, tcp + 2)
        }
    }

    var sequence: UInt32 {
        get { word32(tcp + 4) }
        set { store(newValue, tcp + 4) }
    }

    var acknowledgment: UInt32 {
        get { word32(tcp + 8) }
        set { store(newValue, tcp + 8) }
    }

    var flags: TCPFlags {
        get { TCPFlags(rawValue: bytes[tcp + 13]) }
        set { bytes[tcp + 13] = newValue.rawValue }
    }

    var window: UInt16 {
        get { word16(tcp + 14) }
        set { store(newValue, tcp + 14) }
    }

    var payloadLength: Int { bytes.count - payloadOffset }
    var payload: ArraySlice<UInt8> { bytes[payloadOffset...] }
    private var payloadOffset: Int { tcp + Int(bytes[tcp + 12] >> 4) * 4 }

    /// Sequence numbers that the segment takes: payload, SYN and FIN.
    var sequenceLength: UInt32 {
        UInt32(payloadLength) + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }

    var end: UInt32 { sequence &+ sequenceLength }

    // MARK: Options and payload

    struct Option {
        var kind: UInt8
        /// The whole option, kind and length included, in the packet.
        var place: Range<Int>
        /// Multipath TCP's subtype.
        var subtype: UInt8
    }

    /// The options up to the end-of-options, without NOPs; stops at a length that can't be.
    var options: [Option] {
        var found: [Option] = []
        var offset = tcp + 20
        let end = payloadOffset
        while offset < end, bytes[offset] != 0 {
            if bytes[offset] == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < end, bytes[offset + 1] >= 2, offset + Int(bytes[offset + 1]) <= end else { break }
            let length = Int(bytes[offset + 1])
            found.append(
                Option(
                    kind: bytes[offset], place: offset..<offset + length,
                    subtype: length > 2 ? bytes[offset + 2] >> 4 : 0xff))
            offset += length
        }
        return found
    }

    func has(_ choice: OptionChoice) -> Bool { options.contains { choice.contains(kind: $0.kind, subtype: $0.subtype) } }

    /// The option's bytes of the first option of this kind, kind and length included.
    func option(_ kind: UInt8) -> ArraySlice<UInt8>? { options.first { $0.kind == kind }.map { bytes[$0.place] } }

    /// Overwrites bytes of an option in place.
    mutating func overwrite(_ place: Range<Int>, with value: UInt8) {
        for index in place { bytes[index] = value }
    }

    mutating func overwrite(_ place: Range<Int>, with values: [UInt8]) { bytes.replaceSubrange(place, with: values) }

    mutating func overwrite32(at offset: Int, with value: UInt32) { store(value, offset) }
    func word(at offset: Int) -> UInt32 { word32(offset) }
    mutating func overwrite16(at offset: Int, with value: UInt16) { store(value, offset) }

    /// Where the option area ends.
    var optionsEnd: Int { payloadOffset }

    /// Replaces all options; what is short of a word is filled with NOPs.
    mutating func setOptions(_ options: [UInt8]) {
        let padded = options + Array(repeating: 1, count: (4 - options.count % 4) % 4)
        precondition(padded.count <= 40)
        bytes.replaceSubrange(tcp + 20..<payloadOffset, with: padded)
        bytes[tcp + 12] = UInt8((20 + padded.count) / 4) << 4 | bytes[tcp + 12] & 15
    }

    mutating func setPayload(_ payload: some Collection<UInt8>) {
        bytes.replaceSubrange(payloadOffset..., with: payload)
    }

    // MARK: Out again

    /// Sets lengths and checksums right.
    mutating func finish() {
        if isIPv6 {
            store(UInt16(bytes.count - 40), 4)
        } else {
            store(UInt16(bytes.count), 2)
            store(UInt16(0), 10)
            let header = Int(bytes[0] & 15) * 4
            store(~InternetChecksum.fold(unsafe InternetChecksum.sum(bytes.span.bytes.extracting(0..<header))), 10)
        }
        store(UInt16(0), tcp + 16)
        let sum = unsafe InternetChecksum.sum(
            bytes.span.bytes.extracting(tcp..<bytes.count),
            initial: InternetChecksum.pseudoHeaderSum(
                source: source.address, destination: destination.address, protocolNumber: IPHeader.tcp,
                length: bytes.count - tcp))
        store(~InternetChecksum.fold(sum), tcp + 16)
    }
}

/// One TCP connection as a box sees it.
struct BoxFlow: Hashable {
    var inside: Endpoint
    var outside: Endpoint

    init(_ packet: BoxPacket, isOutward: Bool) {
        (inside, outside) = isOutward ? (packet.source, packet.destination) : (packet.destination, packet.source)
    }
}

/// State per connection, bounded: when there are too many, the one that came first is forgotten.
struct FlowStates<State> {
    static var limit: Int { 4096 }
    private var states: [BoxFlow: State] = [:]
    private var order: [BoxFlow] = []

    var flows: Dictionary<BoxFlow, State>.Keys { states.keys }
    /// Connections seen so far that were not forgotten.
    var count: Int { states.count }

    subscript(flow: BoxFlow, default make: @autoclosure () -> State) -> State {
        get { states[flow] ?? make() }
        set {
            if states.updateValue(newValue, forKey: flow) != nil { return }
            order.append(flow)
            if order.count > Self.limit { states[order.removeFirst()] = nil }
        }
    }

    subscript(flow: BoxFlow) -> State? { states[flow] }
}

/// `left` comes after `right` in sequence space.
func isAfter(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) > 0 }
