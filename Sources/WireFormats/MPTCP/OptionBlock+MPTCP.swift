import TransportValues

// Each of these returns false, and writes nothing, when the option does not fit into what remains or must not stand
// beside an option that is there (OptionCombination), or when its fields contradict one another.

extension OptionBlock {
    @inlinable @discardableResult
    public mutating func append(_ signal: DataSequenceSignal) -> Bool {
        guard present & ~OptionCombination.signalCompanions == 0 else { return false }
        let start = used
        var bits: UInt32 = 0
        if let dataAck = signal.dataAck {
            switch dataAck {
            case .four: bits |= 0x01
            case .eight: bits |= 0x03
            }
        }
        if let mapping = signal.mapping {
            bits |= mapping.dataSequence.isEightBytes ? 0x0c : 0x04
            if signal.dataFin { bits |= 0x10 }
        }
        put(0x1e00_2000 | bits)
        if let dataAck = signal.dataAck {
            switch dataAck {
            case .four(let value): put(value)
            case .eight(let value): put64(value)
            }
        }
        var padding: UInt8 = 0
        if let mapping = signal.mapping {
            if mapping.dataSequence.isEightBytes {
                put64(mapping.dataSequence.rawValue)
            } else {
                put(UInt32(truncatingIfNeeded: mapping.dataSequence.rawValue))
            }
            put(mapping.subflowSequence)
            if let checksum = mapping.checksum {
                put(UInt32(mapping.length) << 16 | UInt32(checksum))
            } else {
                put(UInt32(mapping.length) << 16 | 0x0101)
                padding = 2
            }
        }
        return finish(from: start, padding: padding, bit: OptionCombination.signalBit)
    }

    @discardableResult
    public mutating func append(_ option: MPTCPOption) -> Bool {
        let bit = OptionCombination.bit(option)
        guard OptionCombination.allows(bit, besides: present) else { return false }
        //= RFC 8684 §3.4.1 the HMAC is there exactly when E is 0; RFC 6824 has neither.
        if case .addAddress(let value) = option,
            (value.hmac != nil) != (value.form.authenticatesAddAddress && !value.isEcho)
                || value.isEcho && !value.form.authenticatesAddAddress
        {
            return false
        }
        //= RFC 8684 §3.2, §3.3, §3.4.1, RFC 6824 §3.2, §3.3 reserved and unassigned bits are sent as 0
        let start = used
        var padding: UInt8 = 0
        switch option {
        case .capable(let value): padding = put(value)
        case .join(let value): put(value)
        case .addAddress(let value): padding = put(value)
        case .removeAddress(let value):
            var bytes = OptionWords([0x1e, 0, 0x40])
            for index in 0..<value.count { bytes.append(value[index].rawValue) }
            padding = put(bytes)
        case .priority(let value):
            put(0x1e00_5000 | (value.backup ? 0x100 : 0) | UInt32(value.addressID?.rawValue ?? 1))
            if value.addressID == nil { padding = 1 }
        case .fail(let value):
            put(0x1e00_6000)
            put64(value.dataSequence)
        case .fastClose(let value):
            put(0x1e00_7000)
            put64(value.receiverKey)
        case .reset(let value):
            //= RFC 8684 §3.6 U, V and W MUST be set to 0.
            put(0x1e00_8000 | (value.transient ? 0x100 : 0) | UInt32(value.reason))
        case .experimental(let value):
            var bytes = OptionWords([0x1e, 0, 0xf0 | value.flags & 15])
            for index in 0..<value.count { bytes.append(value[index]) }
            padding = put(bytes)
        }
        return finish(from: start, padding: padding, bit: bit)
    }

    private mutating func put(_ value: MPCapable) -> UInt8 {
        put(0x1e00_0000 | UInt32(value.version & 15) << 8 | UInt32(value.flagByte))
        guard let senderKey = value.senderKey else { return 0 }
        put64(senderKey)
        guard let receiverKey = value.receiverKey else { return 0 }
        put64(receiverKey)
        guard let dataLength = value.dataLength else { return 0 }
        put(UInt32(dataLength) << 16 | UInt32(value.checksum ?? 0x0101))
        return value.checksum == nil ? 2 : 0
    }

    private mutating func put(_ value: MPJoin) {
        switch value {
        case .syn(let backup, let addressID, let token, let nonce):
            put(0x1e00_1000 | (backup ? 0x100 : 0) | UInt32(addressID.rawValue))
            put(token)
            put(nonce)
        case .synAck(let backup, let addressID, let truncatedHMAC, let nonce):
            put(0x1e00_1000 | (backup ? 0x100 : 0) | UInt32(addressID.rawValue))
            put64(truncatedHMAC)
            put(nonce)
        case .ack(let hmac):
            put(0x1e00_1000)
            put64(hmac.high)
            put64(hmac.middle)
            put(hmac.low)
        }
    }

    private mutating func put(_ value: AddAddress) -> UInt8 {
        let bits: UInt32 =
            switch value.form {
            case .zero: value.address.isIPv6 ? 6 : 4
            case .one: value.isEcho ? 1 : 0
            }
        put(0x1e00_3000 | bits << 8 | UInt32(value.addressID.rawValue))
        if value.address.isIPv6 { put64(value.address.high) }
        if value.address.isIPv6 { put64(value.address.low) } else { put(value.address.ipv4) }
        guard let port = value.port else {
            if let hmac = value.hmac { put64(hmac) }
            return 0
        }
        let portWord = UInt32(port) << 16
        guard let hmac = value.hmac else {
            put(portWord | 0x0101)
            return 2
        }
        // The port moves the HMAC half a word on.
        put(portWord | UInt32(truncatingIfNeeded: hmac >> 48))
        put(UInt32(truncatingIfNeeded: hmac >> 16))
        put(UInt32(truncatingIfNeeded: hmac << 16) | 0x0101)
        return 2
    }

    private mutating func put(_ bytes: OptionWords) -> UInt8 {
        for index in 0..<Int(bytes.wordCount) { put(bytes.words[index]) }
        return bytes.wordCount &* 4 &- UInt8(bytes.byteCount)
    }
}
