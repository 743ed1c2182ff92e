import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// Recomputes everything that keys determine in one capture.
struct CaptureAudit {
    /// The keys of one direction of a subflow.
    struct Keys {
        var sender: UInt64
        var receiver: UInt64
        var isInitial: Bool
        var reversed: Keys { Keys(sender: receiver, receiver: sender, isInitial: isInitial) }
    }
    struct Join {
        var keys: Keys
        var nonce: UInt32
    }

    /// The payload of one direction of a subflow, put together from its segments; subflow offset 1 is index 0.
    struct Stream {
        var initial: SequenceNumber
        var bytes: [UInt8?] = []

        mutating func store(_ payload: ArraySlice<UInt8>, at sequence: SequenceNumber) {
            let start = Int(sequence.distance(from: initial)) - 1
            guard start >= 0, start < 100_000 else { return }
            while bytes.count < start + payload.count { bytes.append(nil) }
            for (index, byte) in payload.enumerated() { bytes[start + index] = byte }
        }

        /// The bytes from a relative subflow sequence number on; nil when some were not captured.
        func bytes(from relative: UInt32, count: Int) -> [UInt8]? {
            if count == 0 { return [] }
            let start = Int(relative) - 1
            guard start >= 0, start + count <= bytes.count else { return nil }
            let found = bytes[start..<start + count].compactMap { $0 }
            return found.count == count ? found : nil
        }
    }
    struct ChecksummedMapping: Hashable {
        var tuple: FourTuple
        var mapping: DSSMapping
        var dataSequence: UInt64
        var payloadLength: Int
    }

    var counts: [String: Int] = [:]
    var failures: [String] = []
    private var synAckKeys: [FourTuple: UInt64] = [:]
    private var streams: [FourTuple: Stream] = [:]
    private var checksummed: Set<ChecksummedMapping> = []
    /// By the four-tuple as the segment's sender sees it.
    private var keys: [FourTuple: Keys] = [:]
    /// By token: the keys of the connection with the token's owner as receiver.
    private var tokens: [UInt32: Keys] = [:]
    /// The nonce of each join's SYN or SYN/ACK, by its sender's four-tuple.
    private var joins: [FourTuple: Join] = [:]

    mutating func check(_ name: String, _ holds: Bool, _ detail: @autoclosure () -> String = "") {
        counts[name, default: 0] += 1
        if !holds { failures.append("\(name) \(detail())") }
    }

    mutating func read(_ packet: [UInt8]) throws {
        let ip = try packet.lend { try IPHeader($0) }
        if !ip.source.isIPv6 { counts["IPv4 checksum", default: 0] += 1 }
        guard ip.protocolNumber == IPHeader.tcp else { return }
        let segment = try packet.lend { try TCPSegment($0, ip: ip, checksum: .trusted) }
        checkTCPChecksum(packet, ip)
        check("options", segment.options.ignored.isEmpty, "\(segment.options.ignored)")
        let tuple = FourTuple(
            local: Endpoint(ip.source, segment.sourcePort), remote: Endpoint(ip.destination, segment.destinationPort))
        if segment.flags.contains(.syn) {
            streams[tuple] = Stream(initial: segment.sequence)
        } else {
            streams[tuple]?.store(
                packet[segment.payloadOffset..<segment.payloadOffset + segment.payloadLength], at: segment.sequence)
        }
        for option in [segment.options.multipath.other, segment.options.multipath.second] {
            guard let option else { continue }
            counts["\(option.subtype)", default: 0] += 1
            read(option, tuple, segment, packet)
        }
        if let signal = segment.options.multipath.signal {
            counts["signal", default: 0] += 1
            read(signal, tuple, segment, packet)
        }
    }

    private mutating func checkTCPChecksum(_ packet: [UInt8], _ ip: IPHeader) {
        let isComplete = (try? packet.lend { try TCPSegment($0, ip: ip, checksum: .unverified) }) != nil
        if isComplete {
            counts["TCP checksum", default: 0] += 1
        } else {
            // What the capturing host sent was not finished yet: only the pseudo-header's sum stands there.
            let field = UInt16(packet[ip.payloadOffset + 16]) << 8 | UInt16(packet[ip.payloadOffset + 17])
            let pseudo = InternetChecksum.pseudoHeaderSum(
                source: ip.source, destination: ip.destination, protocolNumber: 6, length: ip.payloadLength)
            check("TCP checksum partial", field == InternetChecksum.fold(pseudo), "\(field)")
        }
    }

    private mutating func read(_ option: MPTCPOption, _ tuple: FourTuple, _ segment: TCPSegment, _ packet: [UInt8]) {
        switch option {
        case .capable(let capable): read(capable, tuple, segment, packet)
        case .join(let join): read(join, tuple)
        case .addAddress(let add):
            guard !add.isEcho, let hmac = add.hmac, let keys = keys[tuple] else { return }
            let expected = KeyMaterial.addAddressHMAC(
                senderKey: keys.sender, receiverKey: keys.receiver, addressID: add.addressID, address: add.address,
                port: add.port)
            check("ADD_ADDR HMAC", hmac == expected, "\(add)")
            if add.port != nil { counts["ADD_ADDR with port", default: 0] += 1 }
        case .fastClose(let close):
            if let keys = keys[tuple] { check("fast close key", close.receiverKey == keys.receiver) }
        default: break
        }
    }

    private mutating func read(
        _ capable: MPCapable, _ tuple: FourTuple, _ segment: TCPSegment, _ packet: [UInt8]
    ) {
        check("version 1", capable.version == 1)
        if segment.flags.contains(.syn) {
            if let key = capable.senderKey { synAckKeys[tuple] = key }
            return
        }
        guard let sender = capable.senderKey, let receiver = capable.receiverKey else { return }
        check("both keys", synAckKeys[tuple.reversed] == receiver)
        let both = Keys(sender: sender, receiver: receiver, isInitial: true)
        keys[tuple] = both
        keys[tuple.reversed] = both.reversed
        tokens[KeyMaterial.token(of: receiver)] = both
        tokens[KeyMaterial.token(of: sender)] = both.reversed
        guard let length = capable.dataLength else { return }
        check("MP_CAPABLE with data", Int(length) == segment.payloadLength)
        guard let checksum = capable.checksum else { return }
        check(
            "DSS checksum of MP_CAPABLE",
            checksum
                == InternetChecksum.dataSequenceChecksum(
                    dataSequence: KeyMaterial.initialDataSequence(of: sender) &+ 1, subflowSequence: 1,
                    length: length, payloadSum: payloadSum(segment, packet)))
    }

    private mutating func read(_ join: MPJoin, _ tuple: FourTuple) {
        switch join {
        case .syn(_, _, let token, let nonce):
            check("token", tokens[token] != nil, "\(token)")
            guard let keys = tokens[token] else { return }
            let joined = Keys(sender: keys.sender, receiver: keys.receiver, isInitial: false)
            joins[tuple] = Join(keys: joined, nonce: nonce)
            self.keys[tuple] = joined
            self.keys[tuple.reversed] = joined.reversed
        case .synAck(_, _, let truncated, let nonce):
            guard let first = joins[tuple.reversed] else { return }
            joins[tuple] = Join(keys: first.keys.reversed, nonce: nonce)
            let hmac = KeyMaterial.joinHMAC(
                localKey: first.keys.receiver, remoteKey: first.keys.sender, localNonce: nonce,
                remoteNonce: first.nonce)
            check("join HMAC 64", hmac.truncated64 == truncated)
        case .ack(let received):
            guard let own = joins[tuple], let other = joins[tuple.reversed] else { return }
            let hmac = KeyMaterial.joinHMAC(
                localKey: own.keys.sender, remoteKey: own.keys.receiver, localNonce: own.nonce,
                remoteNonce: other.nonce)
            check("join HMAC 160", hmac == received)
        }
    }

    private mutating func read(
        _ signal: DataSequenceSignal, _ tuple: FourTuple, _ segment: TCPSegment, _ packet: [UInt8]
    ) {
        guard let keys = keys[tuple] else { return }
        let own = DataSequenceNumber(KeyMaterial.initialDataSequence(of: keys.sender))
        let peer = DataSequenceNumber(KeyMaterial.initialDataSequence(of: keys.receiver))
        // Each side sends 20,480 bytes: data offsets 1…20,480, and then the DATA_FIN.
        let offsets = 1...Int64(20_482)
        if let dataAck = signal.dataAck {
            let number =
                switch dataAck {
                case .four(let low): DataSequenceNumber.expanding(low, near: peer)
                case .eight(let value): DataSequenceNumber(value)
                }
            check("DATA_ACK", offsets.contains(number.offset(from: peer)), "\(number.offset(from: peer))")
        }
        guard let mapping = signal.mapping else { return }
        let number =
            mapping.dataSequence.isEightBytes
            ? DataSequenceNumber(mapping.dataSequence.rawValue)
            : .expanding(UInt32(truncatingIfNeeded: mapping.dataSequence.rawValue), near: own)
        let offset = number.offset(from: own)
        check("mapping", offsets.contains(offset), "\(offset)")
        if keys.isInitial, mapping.subflowSequence == 1 { check("initial data sequence", offset == 1, "\(offset)") }
        if signal.dataFin { counts["DATA_FIN", default: 0] += 1 }
        if mapping.checksum != nil {
            checksummed.insert(
                ChecksummedMapping(
                    tuple: tuple, mapping: mapping, dataSequence: number.rawValue,
                    payloadLength: Int(mapping.length) - (signal.dataFin ? 1 : 0)))
        }
    }

    /// Verifies the checksums of mappings, each over all the segments that it covers.
    mutating func finish() {
        for entry in checksummed {
            let mapping = entry.mapping
            guard
                let bytes = streams[entry.tuple]?.bytes(from: mapping.subflowSequence, count: entry.payloadLength)
            else { continue }
            let checksum = InternetChecksum.dataSequenceChecksum(
                dataSequence: entry.dataSequence, subflowSequence: mapping.subflowSequence, length: mapping.length,
                payloadSum: bytes.lend { InternetChecksum.sum($0) })
            check(bytes.isEmpty ? "DATA_FIN checksum" : "DSS checksum", checksum == mapping.checksum, "\(mapping)")
        }
    }

    private func payloadSum(_ segment: TCPSegment, _ packet: [UInt8]) -> UInt64 {
        Array(packet[segment.payloadOffset..<segment.payloadOffset + segment.payloadLength])
            .lend { InternetChecksum.sum($0) }
    }
}

@Suite(.disabled(if: SharedCaptures.areMissing, "no captures beside the repository"))
struct SharedCaptureTests {
    static func audit(_ name: String) throws -> CaptureAudit {
        var audit = CaptureAudit()
        for packet in try SharedCaptures.packets(name) { try audit.read(packet) }
        audit.finish()
        return audit
    }

    @Test(arguments: SharedCaptures.files)
    func everyNumberIsRecomputed(_ name: String) throws {
        let audit = try Self.audit(name)
        #expect(audit.failures.isEmpty)
        #expect(audit.counts["TCP checksum", default: 0] > 0)
        #expect(audit.counts["options", default: 0] > 30)
        if !name.contains("fallback") {
            for kind in ["both keys", "initial data sequence", "DATA_ACK", "mapping"] {
                #expect(audit.counts[kind, default: 0] > 0, "\(kind)")
            }
        }
        if !name.contains("ipv6") { #expect(audit.counts["IPv4 checksum", default: 0] > 0) }
    }

    /// What each file is there for does stand in it; names as CaptureAudit counts them.
    @Test(arguments: [
        ("v1-two-subflows-add-addr.pcapng", ["token", "join HMAC 64", "join HMAC 160", "ADD_ADDR HMAC", "DATA_FIN"]),
        ("v1-checksum.pcapng", ["DSS checksum", "DATA_FIN checksum", "token"]),
        ("v1-ipv6.pcapng", ["token", "join HMAC 64", "join HMAC 160", "ADD_ADDR HMAC"]),
        ("v1-add-addr-port.pcapng", ["ADD_ADDR with port", "token", "join HMAC 160"]),
        ("v1-backup-prio-remove.pcapng", ["removeAddress", "join HMAC 64", "ADD_ADDR HMAC"]),
        ("v1-fastclose.pcapng", ["fastClose", "fast close key", "reset"]),
        ("v1-fallback-no-option.pcapng", ["options"]),
    ])
    func whatTheFileIsFor(_ name: String, _ kinds: [String]) throws {
        guard SharedCaptures.files.contains(name) else {
            Issue.record("\(name) is missing")
            return
        }
        let audit = try Self.audit(name)
        for kind in kinds { #expect(audit.counts[kind, default: 0] > 0, "\(kind) in \(audit.counts)") }
    }

    /// Options that a kernel wrote, written again by us, are read as the same.
    @Test(arguments: SharedCaptures.files)
    func optionsAreWrittenAgain(_ name: String) throws {
        var written = 0
        for bytes in try SharedCaptures.packets(name) {
            guard let ip = try? bytes.lend({ try IPHeader($0) }), ip.protocolNumber == 6 else { continue }
            let segment = try bytes.lend { try TCPSegment($0, ip: ip, checksum: .trusted) }
            let block = try #require(reemitted(segment.options))
            #expect(try options(block.bytes, flags: segment.flags) == segment.options)
            written += 1
        }
        #expect(written > 30)
    }
}

/// The options of a segment in a block of our own; nil when they do not fit or must not stand together.
func reemitted(_ options: TCPOptions) -> OptionBlock? {
    var block = OptionBlock()
    var fits = true
    if let size = options.maximumSegmentSize { fits = block.append(maximumSegmentSize: size) && fits }
    if options.sackPermitted, let timestamps = options.timestamps {
        fits = block.appendSACKPermitted(with: timestamps) && fits
    } else {
        if options.sackPermitted { fits = block.appendSACKPermitted() && fits }
        if let timestamps = options.timestamps { fits = block.append(timestamps) && fits }
    }
    if let scale = options.windowScale { fits = block.append(windowScale: scale) && fits }
    if let cookie = options.fastOpen { fits = block.append(fastOpen: cookie) && fits }
    if let signal = options.multipath.signal { fits = block.append(signal) && fits }
    if let other = options.multipath.other { fits = block.append(other) && fits }
    if let second = options.multipath.second { fits = block.append(second) && fits }
    let before = block.count
    if !options.sackBlocks.isEmpty {
        fits = block.append(options.sackBlocks) && block.count - before == 4 + 8 * options.sackBlocks.count && fits
    }
    return fits ? block : nil
}
