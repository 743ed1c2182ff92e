import Crypto
public import TransportValues
public import WireFormats

/// What is derived from the keys of a connection. Keys, nonces and what comes of them are numbers whose big-endian
/// bytes are hashed.
public enum KeyMaterial {
    /// The token that names a connection to its owner of `key`.
    ///
    ///= RFC 8684 §3.1 the token MUST be the most significant 32 bits of SHA-256 of the key (of SHA-1 in RFC 6824 §3.1).
    public static func token(of key: UInt64, version: MultipathVersion = .one) -> UInt32 {
        hash(key, version).first32
    }

    /// The data sequence number of the SYN in the stream of the host that owns `key`; the first byte's is one more.
    ///
    ///= RFC 8684 §3.1, RFC 6824 §3.1 the least significant, rightmost 64 bits of the key's hash are the initial data
    /// sequence number.
    public static func initialDataSequence(of key: UInt64, version: MultipathVersion = .one) -> UInt64 {
        hash(key, version).last64
    }

    /// The HMAC with which the host of `localKey` proves itself on a join: all or the leftmost 160 bits, whose
    /// ``HMAC160/truncated64`` stands on the SYN/ACK.
    ///
    ///= RFC 8684 §3.2 the key is the sender's key followed by the receiver's, the message its nonce followed by the
    /// receiver's; HMAC-SHA256, in version 0 HMAC-SHA1.
    public static func joinHMAC(
        localKey: UInt64, remoteKey: UInt64, localNonce: UInt32, remoteNonce: UInt32, version: MultipathVersion = .one
    ) -> HMAC160 {
        var message = HashInput()
        message.append(localNonce)
        message.append(remoteNonce)
        switch version {
        case .zero: return HMAC160(message.authenticated(Insecure.SHA1.self, keys: localKey, remoteKey))
        case .one: return HMAC160(message.authenticated(SHA256.self, keys: localKey, remoteKey))
        }
    }

    /// The rightmost 64 bits of the HMAC that an ADD_ADDR of version 1 carries.
    ///
    ///= RFC 8684 §3.4.1 the key is the sender's key followed by the receiver's, the message address ID, address and
    /// port, and the port is two octets of zero when the option has none.
    public static func addAddressHMAC(
        senderKey: UInt64, receiverKey: UInt64, addressID: AddressID, address: IPAddress, port: UInt16?
    ) -> UInt64 {
        var message = HashInput()
        message.append(addressID.rawValue)
        if address.isIPv6 {
            message.append(address.high)
            message.append(address.low)
        } else {
            message.append(address.ipv4)
        }
        message.append(port ?? 0)
        return message.authenticated(SHA256.self, keys: senderKey, receiverKey).last64
    }

    //= RFC 8684 §3.1, RFC 6824 §3.1 the key is hashed in network byte order
    private static func hash(_ key: UInt64, _ version: MultipathVersion) -> HashOutput {
        var input = HashInput()
        input.append(key)
        switch version {
        case .zero: return input.hashed(Insecure.SHA1.self)
        case .one: return input.hashed(SHA256.self)
        }
    }
}

extension HMAC160 {
    fileprivate init(_ output: HashOutput) {
        self.init(high: output.big(0), middle: output.big(8), low: output.first32(from: 16))
    }
}

/// A few numbers as big-endian bytes; nothing here needs more than the 64 of one hash block.
private struct HashInput {
    private var bytes = InlineArray<64, UInt8>(repeating: 0)
    private var count = 0

    mutating func append(_ value: some FixedWidthInteger) {
        var shift = value.bitWidth
        while shift > 0 {
            shift -= 8
            bytes[count] = UInt8(truncatingIfNeeded: value >> shift)
            count += 1
        }
    }

    func hashed<Hash: HashFunction>(_: Hash.Type) -> HashOutput {
        var hash = Hash()
        feed(&hash, count: count)
        return HashOutput(hash.finalize())
    }

    /// HMAC (RFC 2104) under two keys one behind the other. They fill 16 bytes of the 64-byte block that SHA-1 and
    /// SHA-256 share, so the key itself is never hashed; and nothing is allocated.
    func authenticated<Hash: HashFunction>(_: Hash.Type, keys first: UInt64, _ second: UInt64) -> HashOutput {
        var inner = Hash()
        Self.pad(0x36, first, second).feed(&inner, count: 64)
        feed(&inner, count: count)
        var digest = Self()
        for byte in inner.finalize() { digest.append(byte) }
        var outer = Hash()
        Self.pad(0x5c, first, second).feed(&outer, count: 64)
        digest.feed(&outer, count: digest.count)
        return HashOutput(outer.finalize())
    }

    private static func pad(_ byte: UInt8, _ first: UInt64, _ second: UInt64) -> Self {
        var block = Self()
        block.append(first)
        block.append(second)
        for index in 0..<64 { block.bytes[index] ^= byte }
        return block
    }

    private func feed(_ hash: inout some HashFunction, count: Int) {
        unsafe bytes.span.withUnsafeBytes {
            unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count]))
        }
    }
}

/// A digest of 20 bytes or more.
private struct HashOutput {
    private var bytes = InlineArray<32, UInt8>(repeating: 0)
    private var count = 0

    init(_ digest: some Digest) {
        for byte in digest where count < 32 {
            bytes[count] = byte
            count += 1
        }
    }

    func big(_ offset: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in offset..<offset + 8 { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    func first32(from offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: big(offset) >> 32) }

    var first32: UInt32 { first32(from: 0) }

    var last64: UInt64 { big(count - 8) }
}
