import TransportValues

extension MPTCPOptions {
    /// Sorts in the option of kind 30 at `offset`, or counts why not.
    /// - Precondition: `offset ..< offset + length` lies within the packet and `length` is at least 2.
    @inline(__always)
    mutating func parse(_ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags, faults: inout OptionFaults) {
        guard length >= 3 else { return faults.count(.malformed) }
        // DSS first: it stands on every segment.
        if packet.byte(offset &+ 2) >> 4 == MPTCPSubtype.signal.rawValue {
            parseSignal(packet, at: offset, length: length, flags: flags, faults: &faults)
        } else {
            parseOther(packet, at: offset, length: length, flags: flags, faults: &faults)
        }
    }

    @inline(__always)
    private mutating func parseSignal(
        _ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags, faults: inout OptionFaults
    ) {
        guard length >= 4 else { return faults.count(.malformed) }
        let bits = packet.byte(offset &+ 3)
        let hasAck = bits & 0x01 != 0
        let hasMapping = bits & 0x04 != 0
        //= RFC 8684 §3.3 'a' and 'm' only have meaning beside 'A' and 'M'; otherwise they are ignored.
        let ackLength = hasAck ? (bits & 0x02 != 0 ? 8 : 4) : 0
        let sequenceLength = bits & 0x08 != 0 ? 8 : 4
        let plainLength = 4 &+ ackLength &+ (hasMapping ? sequenceLength &+ 6 : 0)
        // The presence of the checksum is inferred from the length.
        let hasChecksum = hasMapping && length == plainLength &+ 2
        guard length == plainLength || hasChecksum else { return faults.count(.malformed) }
        guard OptionPlacement.allows(.signal, in: flags) else { return faults.count(.misplaced) }
        guard signal == nil else { return faults.count(.duplicate) }
        if other != nil, !allowsSignal() { return faults.count(.conflicting) }
        var result = DataSequenceSignal()
        var next = offset &+ 4
        if hasAck {
            result.dataAck = ackLength == 8 ? .eight(packet.word64(next)) : .four(packet.word32(next))
            next &+= ackLength
        }
        if hasMapping {
            let number: MappedDataSequence =
                sequenceLength == 8 ? .eight(packet.word64(next)) : .four(packet.word32(next))
            next &+= sequenceLength
            result.mapping = DSSMapping(
                dataSequence: number, subflowSequence: packet.word32(next), length: packet.word16(next &+ 4),
                checksum: hasChecksum ? packet.word16(next &+ 6) : nil)
            // DATA_FIN is the last octet of a mapping (RFC 8684 §3.3.3): without a mapping the bit says nothing.
            result.dataFin = bits & 0x10 != 0
        }
        signal = result
    }

    @inline(never)
    private func allowsSignal() -> Bool { OptionCombination.allows(OptionCombination.signalBit, besides: present) }

    @inline(never)
    private mutating func parseOther(
        _ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags, faults: inout OptionFaults
    ) {
        guard let subtype = MPTCPSubtype(rawValue: packet.byte(offset &+ 2) >> 4) else {
            return faults.count(.unknown)
        }
        guard OptionPlacement.allows(subtype, in: flags) else { return faults.count(.misplaced) }
        guard let option = MPTCPOption(subtype, packet, at: offset, length: length, flags: flags) else {
            return faults.count(.malformed)
        }
        if other?.subtype == subtype || second?.subtype == subtype { return faults.count(.duplicate) }
        guard OptionCombination.allows(OptionCombination.bit(option), besides: present) else {
            return faults.count(.conflicting)
        }
        if other == nil { other = option } else { second = option }
    }

    /// The options as ``OptionCombination``'s bits.
    var present: UInt16 {
        var bits = signal == nil ? 0 : OptionCombination.signalBit
        if let other { bits |= OptionCombination.bit(other) }
        if let second { bits |= OptionCombination.bit(second) }
        return bits
    }
}

extension MPTCPOption {
    /// Reads an option whose subtype, other than DSS, is known; nil when no form of it has this length in such a
    /// segment. Reserved bits are ignored.
    init?(_ subtype: MPTCPSubtype, _ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags) {
        switch subtype {
        case .signal: return nil
        case .capable:
            guard let value = MPCapable(packet, at: offset, length: length, flags: flags) else { return nil }
            self = .capable(value)
        case .join:
            guard let value = MPJoin(packet, at: offset, length: length, flags: flags) else { return nil }
            self = .join(value)
        case .addAddress:
            guard let value = AddAddress(packet, at: offset, length: length) else { return nil }
            self = .addAddress(value)
        case .removeAddress:
            guard length >= 4, length <= 40 else { return nil }
            self = .removeAddress(RemoveAddress(packet, at: offset &+ 3, count: length &- 3))
        case .priority:
            guard length == 3 || length == 4 else { return nil }
            self = .priority(
                MPPriority(
                    backup: packet.byte(offset &+ 2) & 1 != 0,
                    addressID: length == 4 ? AddressID(packet.byte(offset &+ 3)) : nil))
        case .fail:
            guard length == 12 else { return nil }
            self = .fail(MPFail(dataSequence: packet.word64(offset &+ 4)))
        case .fastClose:
            guard length == 12 else { return nil }
            self = .fastClose(MPFastClose(receiverKey: packet.word64(offset &+ 4)))
        case .reset:
            guard length == 4 else { return nil }
            let bits = packet.byte(offset &+ 2)
            //= RFC 8684 §3.6 U, V and W are ignored: nobody asks for them
            self = .reset(MPTCPReset(transient: bits & 1 != 0, reason: packet.byte(offset &+ 3), flags: bits))
        case .experimental:
            guard length <= 40 else { return nil }
            var value = MPTCPExperimental(flags: packet.byte(offset &+ 2))
            for index in 3..<length { value.append(packet.byte(offset &+ index)) }
            self = .experimental(value)
        }
    }
}

extension MPCapable {
    init?(_ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags) {
        guard length >= 4 else { return nil }
        self.init(version: packet.byte(offset &+ 2) & 15, flags: packet.byte(offset &+ 3))
        guard let known = MultipathVersion(rawValue: version) else {
            // A later version's first four bytes tell enough to answer with our highest (RFC 8684 §3.1).
            if flags.contains(.syn) { return }
            return nil
        }
        if flags.contains(.syn) {
            let hasKey = flags.contains(.ack) || known.hasKeyInSYN
            guard length == (hasKey ? 12 : 4) else { return nil }
            if hasKey { senderKey = packet.word64(offset &+ 4) }
            return
        }
        guard length == 20 || (known.hasCapableWithData && (length == 22 || length == 24)) else { return nil }
        senderKey = packet.word64(offset &+ 4)
        receiverKey = packet.word64(offset &+ 12)
        if length >= 22 { dataLength = packet.word16(offset &+ 20) }
        if length == 24 { checksum = packet.word16(offset &+ 22) }
    }
}

extension MPJoin {
    init?(_ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags) {
        switch (flags.contains(.syn), flags.contains(.ack), length) {
        case (true, false, 12):
            self = .syn(
                backup: packet.byte(offset &+ 2) & 1 != 0, addressID: AddressID(packet.byte(offset &+ 3)),
                token: packet.word32(offset &+ 4), nonce: packet.word32(offset &+ 8))
        case (true, true, 16):
            self = .synAck(
                backup: packet.byte(offset &+ 2) & 1 != 0, addressID: AddressID(packet.byte(offset &+ 3)),
                truncatedHMAC: packet.word64(offset &+ 4), nonce: packet.word32(offset &+ 12))
        case (false, true, 24):
            self = .ack(
                hmac: HMAC160(
                    high: packet.word64(offset &+ 4), middle: packet.word64(offset &+ 12),
                    low: packet.word32(offset &+ 20)))
        default: return nil
        }
    }
}

extension AddAddress {
    init?(_ packet: RawSpan, at offset: Int, length: Int) {
        guard length >= 8 else { return nil }
        let bits = packet.byte(offset &+ 2) & 15
        let isIPv6: Bool
        let hasHMAC: Bool
        switch length {
        case 8, 10: (isIPv6, hasHMAC) = (false, false)
        case 16, 18: (isIPv6, hasHMAC) = (false, true)
        case 20, 22: (isIPv6, hasHMAC) = (true, false)
        case 28, 30: (isIPv6, hasHMAC) = (true, true)
        default: return nil
        }
        let form: MultipathVersion
        let isEcho = bits & 1 != 0
        if hasHMAC {
            //= RFC 8684 §3.4.1 the HMAC is there exactly when E is 0; the other three bits are ignored.
            if isEcho { return nil }
            form = .one
        } else if isEcho {
            form = .one
        } else if bits == (isIPv6 ? 6 : 4) {
            // RFC 6824 §3.4.1: the nibble is the address's IP version.
            form = .zero
        } else {
            return nil
        }
        let addressEnd = offset &+ (isIPv6 ? 20 : 8)
        let hasPort = length & 2 != 0
        self.init(
            form: form, isEcho: isEcho, addressID: AddressID(packet.byte(offset &+ 3)),
            address: isIPv6
                ? IPAddress(high: packet.word64(offset &+ 4), low: packet.word64(offset &+ 12))
                : IPAddress(ipv4: packet.word32(offset &+ 4)),
            port: hasPort ? packet.word16(addressEnd) : nil,
            hmac: hasHMAC ? packet.word64(addressEnd &+ (hasPort ? 2 : 0)) : nil)
    }
}
