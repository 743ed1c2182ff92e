import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// One host under test and a peer that is nothing but a script: packets in, packets expected, time by hand.
///
/// The host is 10.0.1.2 and 10.0.2.2; the peer may use any address.
final class ScriptedPeer {
    var host: Host
    var now = MonotonicInstant(nanoseconds: 5_000_000_000)
    private var buffer = [UInt8](repeating: 0, count: 70_000)

    struct Reply {
        var ip: IPHeader
        var segment: TCPSegment
        var payload: [UInt8]
    }

    init(
        settings: ConnectionConfiguration = ConnectionConfiguration(), change: (inout HostConfiguration) -> Void = { _ in }
    ) {
        var configuration = HostConfiguration()
        configuration.connection = settings
        change(&configuration)
        host = Host(configuration, randomness: RandomSource(seed: 99), now: now)
        for path in 1...UInt8(2) {
            let interface = host.addInterface(name: "e\(path)", mtu: 1500, maximumPacket: 1500, checksumOffload: false)
            host.addAddress(IPAddress(10, 0, path, 2), prefixLength: 24, to: interface)
        }
    }

    /// Gives the host a segment from `from` to `to`.
    func send(
        _ flags: TCPFlags, from: Endpoint, to: Endpoint, sequence: UInt32, acknowledgment: UInt32 = 0,
        window: UInt16 = 65_535, options: OptionBlock = OptionBlock(), payload: [UInt8] = []
    ) {
        var packet = [UInt8](repeating: 0, count: 20 + 60 + payload.count)
        var span = packet.mutableSpan
        var raw = unsafe span.mutableBytes
        let fields = TCPHeaderFields(
            sourcePort: from.port, destinationPort: to.port, sequence: SequenceNumber(sequence),
            acknowledgment: SequenceNumber(acknowledgment), flags: flags, window: window)
        let header = emitTCPHeader(fields, options: options, into: &raw, at: 20)
        for (index, byte) in payload.enumerated() {
            raw.storeBytes(of: byte, toByteOffset: 20 + header + index, as: UInt8.self)
        }
        finishTCPChecksum(
            packet: &raw, at: 20, length: header + payload.count, source: from.address, destination: to.address,
            partial: false)
        _ = IPHeader.emit(
            source: from.address, destination: to.address, protocolNumber: IPHeader.tcp,
            payloadLength: header + payload.count, identification: 0, trafficClass: 0, hopLimit: 64, into: &raw, at: 0)
        let bytes = Array(packet[..<(20 + header + payload.count)])
        host.receive(bytes.rawBytes, on: InterfaceID(to.address == IPAddress(10, 0, 2, 2) ? 1 : 0), now: now)
    }

    /// Everything that the host sends now.
    func replies() -> [Reply] {
        var result: [Reply] = []
        while true {
            var span = buffer.mutableSpan
            var raw = unsafe span.mutableBytes
            guard let metadata = host.transmit(into: &raw, headroom: 0, now: now) else { return result }
            let bytes = Array(buffer[..<metadata.length])
            guard let ip = try? IPHeader(bytes.rawBytes),
                let segment = try? TCPSegment(bytes.rawBytes, ip: ip, checksum: .unverified)
            else {
                Issue.record("the host sent a packet that does not parse")
                continue
            }
            let payload = Array(bytes[segment.payloadOffset..<segment.payloadOffset + segment.payloadLength])
            result.append(Reply(ip: ip, segment: segment, payload: payload))
        }
    }

    // The test macros can't call into a type that can't be copied.

    func accept(_ listener: ListenerID) -> ConnectionID? { host.accept(listener) }
    func snapshot(_ id: ConnectionID) -> ConnectionSnapshot? { host.snapshot(id) }

    func wait(_ span: TimeSpan) {
        let end = now + span
        while host.nextDeadline <= end {
            now = max(now, host.nextDeadline)
            host.advance(to: now)
            return
        }
        now = end
    }

    // MARK: A connection that is set up

    static let peer = Endpoint(IPAddress(10, 0, 1, 1), 5000)
    static let server = Endpoint(IPAddress(10, 0, 1, 2), 80)
    var key: UInt64 = 0x0102_0304_0506_0708
    var hostKey: UInt64 = 0
    /// Next sequence number of the peer, and what it acknowledges.
    var sequence: UInt32 = 1_000
    var acknowledgment: UInt32 = 0

    /// Listens, and goes through a version 1 handshake as the connecting side; returns the accepted connection.
    func establish(version: UInt8 = 1) throws -> ConnectionID {
        let listener = try host.listen(on: Endpoint(.anyIPv4, 80), now: now)
        var options = OptionBlock()
        options.append(maximumSegmentSize: 1400)
        options.append(.capable(MPCapable(version: version)))
        send([.syn], from: Self.peer, to: Self.server, sequence: sequence, options: options)
        let answer = try #require(replies().first)
        #expect(answer.segment.flags == [.syn, .ack])
        guard case .capable(let capable)? = answer.segment.options.multipath.other else {
            throw Unexpected("no MP_CAPABLE in the SYN/ACK")
        }
        hostKey = try #require(capable.senderKey)
        sequence += 1
        acknowledgment = answer.segment.sequence.rawValue &+ 1
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: key, receiverKey: hostKey)))
        send(
            [.ack], from: Self.peer, to: Self.server, sequence: sequence, acknowledgment: acknowledgment,
            options: options)
        _ = replies()
        return try #require(accept(listener))
    }

    /// A DSS from the peer: data offsets count from 1 for the first byte.
    func signal(
        dataAck: Int64? = nil, dataOffset: Int64? = nil, subflow: UInt32 = 0, length: Int = 0, fin: Bool = false
    )
        -> OptionBlock
    {
        var signal = DataSequenceSignal()
        let local = DataSequenceNumber(KeyMaterial.initialDataSequence(of: key))
        let remote = DataSequenceNumber(KeyMaterial.initialDataSequence(of: hostKey))
        if let dataAck { signal.dataAck = .eight(remote.advanced(by: dataAck).rawValue) }
        if let dataOffset {
            signal.mapping = DSSMapping(
                dataSequence: .eight(local.advanced(by: dataOffset).rawValue), subflowSequence: subflow,
                length: UInt16(length))
        }
        signal.dataFin = fin
        var options = OptionBlock()
        options.append(signal)
        return options
    }

    func ack(options: OptionBlock) {
        send(
            [.ack], from: Self.peer, to: Self.server, sequence: sequence, acknowledgment: acknowledgment,
            options: options)
    }

    func data(_ payload: [UInt8], at shift: UInt32 = 0, options: OptionBlock) {
        send(
            [.ack, .psh], from: Self.peer, to: Self.server, sequence: sequence &+ shift, acknowledgment: acknowledgment,
            options: options, payload: payload)
    }

    func read(_ id: ConnectionID) -> [UInt8] {
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        if case .bytes(let count) = host.read(id, into: &raw, now: now) { return Array(buffer[..<count]) }
        return []
    }
}

/// A reply that is not what the script needs to go on.
struct Unexpected: Error {
    let what: String
    init(_ what: String) { self.what = what }
}
