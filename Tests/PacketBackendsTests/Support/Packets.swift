import Glibc
import PacketBackends
import TransportValues
import WireFormats

/// A packet in a buffer with headroom, as the loop has it.
struct OutgoingPacket {
    var buffer: [UInt8]
    var metadata: TransmitMetadata

    /// A TCP segment.
    /// - Parameter segmentSize: for a packet that the device is to segment; its checksum is then left undone.
    init(
        from local: Endpoint, to remote: Endpoint, sequence: UInt32, acknowledgment: UInt32, flags: TCPFlags,
        options: OptionBlock = OptionBlock(), payload: [UInt8] = [], segmentSize: Int = 0, partial: Bool = false
    ) {
        let isIPv6 = local.address.isIPv6
        let partial = partial || segmentSize > 0
        let network = isIPv6 ? 40 : 20
        let segment = 20 + options.count + payload.count
        buffer = [UInt8](repeating: 0xee, count: packetHeadroom + network + segment)
        metadata = TransmitMetadata(
            interface: InterfaceID(0), length: network + segment, headerLength: network + 20 + options.count,
            networkHeaderLength: network, segmentSize: segmentSize, checksumPartial: partial, isIPv6: isIPv6)
        let start = packetHeadroom
        buffer.replaceSubrange((start + network + 20 + options.count)..., with: payload)
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        _ = IPHeader.emit(
            source: local.address, destination: remote.address, protocolNumber: IPHeader.tcp, payloadLength: segment,
            into: &raw, at: start)
        let fields = TCPHeaderFields(
            sourcePort: local.port, destinationPort: remote.port, sequence: SequenceNumber(sequence),
            acknowledgment: SequenceNumber(acknowledgment), flags: flags, window: 0xffff)
        _ = emitTCPHeader(fields, options: options, into: &raw, at: start + network)
        finishTCPChecksum(
            packet: &raw, at: start + network, length: segment, source: local.address, destination: remote.address,
            partial: partial)
    }

    /// An ICMP or ICMPv6 echo request.
    init(echoFrom source: IPAddress, to destination: IPAddress, identifier: UInt16) {
        let isIPv6 = source.isIPv6
        let network = isIPv6 ? 40 : 20
        let message: [UInt8] =
            [isIPv6 ? 128 : 8, 0, 0, 0, UInt8(identifier >> 8), UInt8(identifier & 0xff), 0, 1] + Array("ping".utf8)
        buffer = [UInt8](repeating: 0, count: packetHeadroom + network + message.count)
        metadata = TransmitMetadata(
            interface: InterfaceID(0), length: network + message.count, headerLength: network + 8,
            networkHeaderLength: network, isIPv6: isIPv6)
        buffer.replaceSubrange((packetHeadroom + network)..., with: message)
        let pseudo =
            isIPv6
            ? InternetChecksum.pseudoHeaderSum(
                source: source, destination: destination, protocolNumber: IPHeader.icmpV6, length: message.count) : 0
        let sum = ~InternetChecksum.fold(InternetChecksum.sum(unsafe message.span.bytes, initial: pseudo))
        buffer[packetHeadroom + network + 2] = UInt8(sum >> 8)
        buffer[packetHeadroom + network + 3] = UInt8(sum & 0xff)
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        _ = IPHeader.emit(
            source: source, destination: destination, protocolNumber: isIPv6 ? IPHeader.icmpV6 : IPHeader.icmp,
            payloadLength: message.count, into: &raw, at: packetHeadroom)
    }

    mutating func send(by backend: inout AnyPacketBackend) throws -> SendResult {
        let metadata = metadata
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        return try backend.send(&raw, headroom: packetHeadroom, metadata: metadata)
    }

    /// The payload handed over apart, in two slices.
    mutating func sendGathered(by backend: inout AnyPacketBackend, splitAt split: Int) throws -> SendResult {
        let metadata = metadata
        let payload = Array(buffer[(packetHeadroom + metadata.headerLength)...])
        let bytes = unsafe payload.span.bytes
        let first = bytes.extracting(first: split)
        let second = bytes.extracting(droppingFirst: split)
        var headers = Array(buffer[..<(packetHeadroom + metadata.headerLength)])
        var span = headers.mutableSpan
        var raw = unsafe span.mutableBytes
        return try backend.send(&raw, headroom: packetHeadroom, metadata: metadata, payload: first, second)
    }
}

/// A received packet, kept.
struct KeptPacket {
    var bytes: [UInt8]
    var metadata: ReceivedPacketMetadata

    init(_ packet: RawSpan, _ metadata: ReceivedPacketMetadata) {
        bytes = unsafe packet.withUnsafeBytes { unsafe Array($0) }
        self.metadata = metadata
    }

    var ip: IPHeader? { try? IPHeader(unsafe bytes.span.bytes) }

    var tcp: TCPSegment? {
        guard let ip, ip.protocolNumber == IPHeader.tcp else { return nil }
        return try? TCPSegment(unsafe bytes.span.bytes, ip: ip, checksum: metadata.checksum)
    }
}

/// Milliseconds of CLOCK_MONOTONIC.
func milliseconds() -> Int {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// Waits until a descriptor of the backend is readable, and serves it.
/// - Returns: false at the deadline.
func pump(
    _ backend: inout AnyPacketBackend, until deadline: Int, _ body: (RawSpan, ReceivedPacketMetadata) -> Void
) throws -> Bool {
    let remaining = deadline - milliseconds()
    if remaining <= 0 { return false }
    var polled = [pollfd(fd: backend.descriptor, events: Int16(POLLIN), revents: 0)]
    if let auxiliary = backend.auxiliaryDescriptor {
        polled.append(pollfd(fd: auxiliary, events: Int16(POLLIN), revents: 0))
    }
    _ = unsafe poll(&polled, nfds_t(polled.count), Int32(remaining))
    try backend.serviceAuxiliary()
    _ = try backend.receive(body)
    return true
}

/// The first packet that `accept` takes, within two seconds.
func awaitPacket(
    _ backend: inout AnyPacketBackend, within patience: Int = 2000, _ accept: (KeptPacket) -> Bool
) throws -> KeptPacket? {
    var found: KeptPacket? = nil
    let deadline = milliseconds() + patience
    while found == nil,
        try pump(
            &backend, until: deadline,
            { packet, metadata in
                let kept = KeptPacket(packet, metadata)
                if found == nil, accept(kept) { found = kept }
            })
    {}
    return found
}
