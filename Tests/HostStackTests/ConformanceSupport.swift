import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// One subflow as the script drives it: its ends, the script's next sequence number and what it acknowledges.
struct Lane {
    /// The script's end.
    var here: Endpoint
    /// The host's end.
    var there: Endpoint
    var sequence: UInt32
    var acknowledgment: UInt32
}

extension Optional where Wrapped == MPTCPOption {
    var capable: MPCapable? {
        if case .capable(let value)? = self { return value }
        return nil
    }
    var join: MPJoin? {
        if case .join(let value)? = self { return value }
        return nil
    }
    var reset: MPTCPReset? {
        if case .reset(let value)? = self { return value }
        return nil
    }
    var fail: MPFail? {
        if case .fail(let value)? = self { return value }
        return nil
    }
    var fastClose: MPFastClose? {
        if case .fastClose(let value)? = self { return value }
        return nil
    }
    var addAddress: AddAddress? {
        if case .addAddress(let value)? = self { return value }
        return nil
    }
    var removeAddress: RemoveAddress? {
        if case .removeAddress(let value)? = self { return value }
        return nil
    }
}

extension ScriptedPeer.Reply {
    var flags: TCPFlags { segment.flags }
    var multipath: MPTCPOptions { segment.options.multipath }
    var signal: DataSequenceSignal? { multipath.signal }
    var isReset: Bool { flags.contains(.rst) }
    /// The MP_TCPRST, MP_FAIL or other option beside a first one.
    var reset: MPTCPReset? { multipath.other.reset ?? multipath.second.reset }
    var fail: MPFail? { multipath.other.fail ?? multipath.second.fail }

    func goes(to lane: Lane) -> Bool {
        ip.destination == lane.here.address && segment.destinationPort == lane.here.port
            && ip.source == lane.there.address && segment.sourcePort == lane.there.port
    }
}

extension OptionBlock {
    init(_ option: MPTCPOption) {
        self.init()
        append(option)
    }

    init(_ signal: DataSequenceSignal) {
        self.init()
        append(signal)
    }
}

extension ScriptedPeer {
    static let first = InterfaceID(0)
    static let second = InterfaceID(1)

    /// Says something on a lane.
    func say(
        _ lane: Lane, _ flags: TCPFlags = [.ack], at shift: UInt32 = 0, window: UInt16 = 65_535,
        options: OptionBlock = OptionBlock(), payload: [UInt8] = []
    ) {
        send(
            flags, from: lane.here, to: lane.there, sequence: lane.sequence &+ shift,
            acknowledgment: lane.acknowledgment,
            window: window, options: options, payload: payload)
    }

    /// Options of the replies to a SYN, which is sent to a listener of its own; the lane goes on from there.
    func open(
        _ syn: OptionBlock, settings: ConnectionConfiguration = ConnectionConfiguration(), port: UInt16 = 80
    ) throws -> (answer: Reply, lane: Lane, listener: ListenerID) {
        let listener = try host.listen(on: Endpoint(.anyIPv4, port), configuration: settings, now: now)
        let here = Self.peer
        let there = Endpoint(Self.server.address, port)
        send([.syn], from: here, to: there, sequence: 1000, options: syn)
        let answer = try #require(replies().first)
        try #require(answer.flags == [.syn, .ack])
        let lane = Lane(
            here: here, there: there, sequence: 1001, acknowledgment: answer.segment.sequence.rawValue &+ 1)
        return (answer, lane, listener)
    }

    /// A connection in either version that the script has opened, with its keys exchanged.
    func opened(
        version: MultipathVersion = .one, checksum: Bool = false,
        settings: ConnectionConfiguration = ConnectionConfiguration(), port: UInt16 = 80
    ) throws -> (id: ConnectionID, lane: Lane) {
        var settings = settings
        settings.checksumInVersion0 = false
        let syn = MPCapable(
            version: version.rawValue, checksumRequired: checksum, senderKey: version == .zero ? key : nil)
        var options = OptionBlock()
        options.append(maximumSegmentSize: 1400)
        options.append(.capable(syn))
        let (answer, lane, listener) = try open(options, settings: settings, port: port)
        hostKey = try #require(answer.multipath.other.capable?.senderKey)
        let third = MPCapable(
            version: version.rawValue, checksumRequired: checksum, senderKey: key, receiverKey: hostKey)
        say(lane, options: OptionBlock(.capable(third)))
        _ = replies()
        let found = accept(listener)
        return (try #require(found), lane)
    }

    /// Joins the connection that ``opened(version:checksum:settings:port:)`` has opened, over the host's second address.
    func joined(
        version: MultipathVersion = .one, addressID: UInt8 = 2, backup: Bool = false, port: UInt16 = 6000,
        toPort: UInt16 = 80
    ) throws -> Lane {
        let here = Endpoint(IPAddress(10, 0, 2, 1), port)
        let there = Endpoint(IPAddress(10, 0, 2, 2), toPort)
        let token = KeyMaterial.token(of: hostKey, version: version)
        send(
            [.syn], from: here, to: there, sequence: 70_000,
            options: OptionBlock(
                .join(.syn(backup: backup, addressID: AddressID(addressID), token: token, nonce: 7))))
        let answer = try #require(replies().first { $0.flags == [.syn, .ack] })
        guard case .synAck(_, _, let truncated, let nonce)? = answer.multipath.other.join else {
            throw Unexpected("no MP_JOIN on the SYN/ACK")
        }
        let theirs = KeyMaterial.joinHMAC(
            localKey: hostKey, remoteKey: key, localNonce: nonce, remoteNonce: 7, version: version)
        #expect(theirs.truncated64 == truncated)
        let lane = Lane(
            here: here, there: there, sequence: 70_001, acknowledgment: answer.segment.sequence.rawValue &+ 1)
        let mine = KeyMaterial.joinHMAC(
            localKey: key, remoteKey: hostKey, localNonce: 7, remoteNonce: nonce, version: version)
        say(lane, options: OptionBlock(.join(.ack(hmac: mine))))
        #expect(replies().contains { $0.goes(to: lane) && $0.flags == [.ack] })
        return lane
    }

    // MARK: The host connects

    /// The host's SYN to the script at 10.0.1.1 port 80, and the lane that answers it.
    func called(
        _ settings: ConnectionConfiguration = ConnectionConfiguration()
    ) throws -> (id: ConnectionID, syn: Reply, lane: Lane) {
        host.addRoute(.anyIPv4, prefixLength: 0, through: Self.second)
        let here = Endpoint(IPAddress(10, 0, 1, 1), 80)
        let id = try host.connect(to: here, from: IPAddress(10, 0, 1, 2), configuration: settings, now: now)
        let syn = try #require(replies().first)
        let lane = Lane(
            here: here, there: Endpoint(syn.ip.source, syn.segment.sourcePort), sequence: 40_000,
            acknowledgment: syn.segment.sequence.rawValue &+ 1)
        return (id, syn, lane)
    }

    /// Answers the host's SYN with MP_CAPABLE; what the host sends then. The keys are known afterwards.
    func answer(_ lane: inout Lane, _ capable: MPCapable? = nil) throws -> [Reply] {
        let capable = capable ?? MPCapable(senderKey: key)
        say(lane, [.syn, .ack], options: OptionBlock(.capable(capable)))
        lane.sequence &+= 1
        let next = replies()
        if let own = next.first?.multipath.other.capable?.senderKey { hostKey = own }
        return next
    }

    /// A connection that the host has opened, whose path is proven by a DATA_ACK: joins may begin.
    func answered(
        _ settings: ConnectionConfiguration = ConnectionConfiguration(), noMoreHere: Bool = false
    ) throws -> (id: ConnectionID, lane: Lane) {
        var (id, _, lane) = try called(settings)
        _ = try answer(&lane, MPCapable(noAdditionalSubflows: noMoreHere, senderKey: key))
        say(lane, options: signal(dataAck: 1))
        return (id, lane)
    }

    /// The SYNs with MP_JOIN among these.
    static func joins(_ replies: [Reply]) -> [Reply] {
        replies.filter { $0.flags == [.syn] && $0.multipath.other.join != nil }
    }

    /// Answers a SYN of the host's with MP_JOIN and the right HMAC, or with `wrong` bits in it.
    func accept(join syn: Reply, addressID: UInt8 = 0, wrong: UInt64 = 0, bare: Bool = false) throws -> Lane {
        guard case .syn(_, _, let token, let nonce)? = syn.multipath.other.join else { throw Unexpected("no MP_JOIN") }
        #expect(token == KeyMaterial.token(of: key))
        var lane = Lane(
            here: Endpoint(syn.ip.destination, syn.segment.destinationPort),
            there: Endpoint(syn.ip.source, syn.segment.sourcePort), sequence: 90_000,
            acknowledgment: syn.segment.sequence.rawValue &+ 1)
        let hmac = KeyMaterial.joinHMAC(
            localKey: key, remoteKey: hostKey, localNonce: 11, remoteNonce: nonce, version: .one)
        let option = MPJoin.synAck(
            backup: false, addressID: AddressID(addressID), truncatedHMAC: hmac.truncated64 ^ wrong, nonce: 11)
        say(lane, [.syn, .ack], options: bare ? OptionBlock() : OptionBlock(.join(option)))
        lane.sequence &+= 1
        return lane
    }

    // MARK: Data

    func write(_ id: ConnectionID, _ bytes: [UInt8]) -> Int { host.write(id, bytes.rawBytes, now: now) }

    /// A mapping of the script's, in the forms that tests need.
    func mapping(
        _ offset: Int64, subflow: UInt32, length: Int, isEightBytes: Bool = true, checksum: UInt16? = nil,
        version: MultipathVersion = .one
    ) -> DSSMapping {
        let number = DataSequenceNumber(KeyMaterial.initialDataSequence(of: key, version: version)).advanced(by: offset)
        return DSSMapping(
            dataSequence: isEightBytes ? .eight(number.rawValue) : .four(number.low32), subflowSequence: subflow,
            length: UInt16(length), checksum: checksum)
    }

    /// The checksum that a mapping of the script's is to have.
    func checksum(
        _ offset: Int64, subflow: UInt32, payload: [UInt8], version: MultipathVersion = .one
    ) -> UInt16 {
        let number = DataSequenceNumber(KeyMaterial.initialDataSequence(of: key, version: version)).advanced(by: offset)
        return InternetChecksum.dataSequenceChecksum(
            dataSequence: number.rawValue, subflowSequence: subflow, length: UInt16(payload.count),
            payloadSum: InternetChecksum.sum(payload.rawBytes))
    }

    /// The DATA_ACK, counted like the script's data offsets.
    func offset(_ acknowledgment: DataAck?, version: MultipathVersion = .one) -> Int64? {
        let initial = DataSequenceNumber(KeyMaterial.initialDataSequence(of: key, version: version))
        switch acknowledgment {
        case .eight(let value)?: return DataSequenceNumber(value).offset(from: initial)
        case .four(let low)?: return Int64(Int32(bitPattern: low &- initial.low32))
        case nil: return nil
        }
    }

    /// The data offset of the host's that a mapping of its begins with.
    func offset(_ mapping: DSSMapping?, version: MultipathVersion = .one) -> Int64? {
        let initial = DataSequenceNumber(KeyMaterial.initialDataSequence(of: hostKey, version: version))
        return mapping.map { DataSequenceNumber($0.dataSequence.rawValue).offset(from: initial) }
    }

    /// ADD_ADDR of version 1 with the right HMAC.
    func advertisement(_ id: UInt8, _ address: IPAddress, port: UInt16? = nil) -> OptionBlock {
        let hmac = KeyMaterial.addAddressHMAC(
            senderKey: key, receiverKey: hostKey, addressID: AddressID(id), address: address, port: port)
        return OptionBlock(
            .addAddress(AddAddress(addressID: AddressID(id), address: address, port: port, hmac: hmac)))
    }

    func endpoint(_ id: ConnectionID) -> Endpoint? { host.localEndpoint(id) }
}
