import Glibc
import PacketBackends
import TransportValues
import WireFormats

/// Just enough of TCP to talk to a kernel over a backend on a link that loses nothing.
struct HandMadeTCP {
    let local: Endpoint
    let remote: Endpoint
    private(set) var sendNext: UInt32 = 1000
    private(set) var receiveNext: UInt32 = 0
    private(set) var bytesReceived = 0
    /// What of the peer's data came: the largest packet, those whose checksum was not to be verified.
    private(set) var largestReceived = 0
    private(set) var trustedReceived = 0
    private(set) var segmentSizes: Set<Int> = []
    /// Packets that were no valid segment; none may be.
    private(set) var invalidReceived = 0
    private(set) var peerFinished = false

    static var handshakeOptions: OptionBlock {
        var options = OptionBlock()
        _ = options.append(maximumSegmentSize: 1400)
        _ = options.append(windowScale: 7)
        return options
    }

    init(local: Endpoint, remote: Endpoint) {
        self.local = local
        self.remote = remote
    }

    private mutating func send(
        _ backend: inout AnyPacketBackend, _ flags: TCPFlags, options: OptionBlock = OptionBlock(),
        payload: [UInt8] = [], segmentSize: Int = 0, partial: Bool = false, splitAt split: Int? = nil
    ) throws -> SendResult {
        var packet = OutgoingPacket(
            from: local, to: remote, sequence: sendNext, acknowledgment: receiveNext, flags: flags, options: options,
            payload: payload, segmentSize: segmentSize, partial: partial)
        sendNext &+= UInt32(payload.count) + (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0)
        if let split { return try packet.sendGathered(by: &backend, splitAt: split) }
        return try packet.send(by: &backend)
    }

    private func isOurs(_ kept: KeptPacket) -> Bool {
        kept.tcp.map { $0.destinationPort == local.port && $0.sourcePort == remote.port } ?? false
    }

    /// Opens a connection to a kernel listener.
    mutating func connect(_ backend: inout AnyPacketBackend) throws -> Bool {
        guard try send(&backend, .syn, options: Self.handshakeOptions) == .sent else { return false }
        let answer = try awaitPacket(&backend) { isOurs($0) && $0.tcp!.flags.contains([.syn, .ack]) }
        guard let segment = answer?.tcp else { return false }
        receiveNext = segment.sequence.rawValue &+ 1
        return try send(&backend, .ack) == .sent
    }

    /// Answers a kernel's SYN.
    static func accept(on local: Endpoint, _ backend: inout AnyPacketBackend) throws -> HandMadeTCP? {
        let syn = try awaitPacket(&backend, within: 5000) {
            $0.tcp.map { $0.destinationPort == local.port && $0.flags == .syn } ?? false
        }
        guard let segment = syn?.tcp, let ip = syn?.ip else { return nil }
        var connection = HandMadeTCP(local: local, remote: Endpoint(ip.source, segment.sourcePort))
        connection.receiveNext = segment.sequence.rawValue &+ 1
        _ = try connection.send(&backend, [.syn, .ack], options: handshakeOptions)
        return connection
    }

    mutating func write(
        _ backend: inout AnyPacketBackend, _ payload: [UInt8], segmentSize: Int = 0, partial: Bool = false,
        splitAt split: Int? = nil
    ) throws -> SendResult {
        try send(
            &backend, [.ack, .psh], payload: payload, segmentSize: segmentSize, partial: partial, splitAt: split)
    }

    mutating func finish(_ backend: inout AnyPacketBackend) throws -> SendResult { try send(&backend, [.ack, .fin]) }

    /// Takes in-order data and acknowledges it until the peer's FIN or the deadline.
    mutating func drain(_ backend: inout AnyPacketBackend, within patience: Int = 5000) throws {
        let deadline = milliseconds() + patience
        var kept: [KeptPacket] = []
        while !peerFinished, try pump(&backend, until: deadline, { kept.append(KeptPacket($0, $1)) }) {
            for packet in kept { take(packet) }
            if !kept.isEmpty { _ = try send(&backend, .ack) }
            kept.removeAll()
        }
    }

    private mutating func take(_ packet: KeptPacket) {
        guard let segment = packet.tcp else {
            if packet.ip?.protocolNumber ?? IPHeader.tcp == IPHeader.tcp { invalidReceived += 1 }
            return
        }
        guard segment.destinationPort == local.port, segment.sequence.rawValue == receiveNext else { return }
        receiveNext &+= UInt32(segment.payloadLength)
        bytesReceived += segment.payloadLength
        largestReceived = max(largestReceived, packet.bytes.count)
        if packet.metadata.checksum == .trusted { trustedReceived += 1 }
        if packet.metadata.segmentSize > 0 { segmentSizes.insert(packet.metadata.segmentSize) }
        if segment.flags.contains(.fin) {
            receiveNext &+= 1
            peerFinished = true
        }
    }
}
