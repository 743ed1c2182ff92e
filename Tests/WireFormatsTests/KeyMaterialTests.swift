import MPTCPConnection
import Testing
import TransportValues
import WireFormats

@Suite struct KeyMaterialTests {
    /// A join's numbers and the first 160 bits of its HMAC. The version 1 rows are Linux's crypto_test.c, whose keys and
    /// nonces are ASCII text; version 0 was computed beside them with Python's hmac.
    struct JoinVector: Sendable {
        var keys: (UInt64, UInt64)
        var nonces: (UInt32, UInt32)
        var version: MultipathVersion
        var hmac: HMAC160
    }

    static let joins: [JoinVector] = [
        JoinVector(
            keys: (0x3062_3062_3062_3062, 0x3062_3062_3062_3062), nonces: (0x3438_3639, 0x3230_3534), version: .one,
            hmac: HMAC160(high: 0x8385_e24f_b423_5ac3, middle: 0x7556_b6b8_86db_1062, low: 0x84a1_da67)),
        JoinVector(
            keys: (0x6161_6161_6161_6161, 0x6161_6161_6161_6161), nonces: (0x6464_6464, 0x6464_6464), version: .one,
            hmac: HMAC160(high: 0x2c5e_2191_64ff_1dca, middle: 0x1c4a_9231_8d84_7bb6, low: 0xb9d4_4492)),
        JoinVector(
            keys: (0x3031_3032_3033_3034, 0x3035_3036_3037_3038), nonces: (0x6364_6364, 0x6364_6364), version: .one,
            hmac: HMAC160(high: 0xe73b_9ba9_9699_69ce, middle: 0xfb04_aa0d_6df1_8ec2, low: 0xfcc0_75b6)),
        JoinVector(
            keys: (0x3031_3032_3033_3034, 0x3035_3036_3037_3038), nonces: (0x6364_6364, 0x6364_6364), version: .zero,
            hmac: HMAC160(high: 0x1234_a314_bfc7_ccbb, middle: 0x1502_9c93_3f02_9326, low: 0x3353_8e19)),
        JoinVector(
            keys: (0x3062_3062_3062_3062, 0x3062_3062_3062_3062), nonces: (0x3438_3639, 0x3230_3534), version: .zero,
            hmac: HMAC160(high: 0x450c_72fd_6a1e_c0b3, middle: 0xd37f_1184_abe6_c673, low: 0xc461_2776)),
    ]

    //= RFC 8684 §3.2 the HMAC's key is KeyA followed by KeyB and its message RA followed by RB.
    @Test(arguments: joins)
    func joinHMAC(_ vector: JoinVector) {
        let hmac = KeyMaterial.joinHMAC(
            localKey: vector.keys.0, remoteKey: vector.keys.1, localNonce: vector.nonces.0,
            remoteNonce: vector.nonces.1, version: vector.version)
        #expect(hmac == vector.hmac)
        #expect(hmac.truncated64 == vector.hmac.high)
    }

    //= RFC 8684 §3.1 the token is the first 32 bits and the initial data sequence number the last 64 of the key's hash.
    @Test(arguments: [
        (
            17_578_475_652_852_252_522 as UInt64, MultipathVersion.zero, 781_076_417 as UInt32,
            2_027_218_329_290_435_821 as UInt64
        ),
        (4_250_710_109_353_306_436, .zero, 109_896_498, 14_296_996_231_892_742_347),
        (17_578_475_652_852_252_522, .one, 2_770_185_612, 14_833_977_774_393_048_890),
        (4_250_710_109_353_306_436, .one, 2_178_862_237, 5_461_729_324_671_480_321),
        (1, .one, 3_441_844_757, 1_867_956_527_068_875_344),
        (.max, .zero, 3_194_437_258, 9_684_711_452_643_483_785),
    ])
    func tokenAndInitialSequence(
        _ key: UInt64, _ version: MultipathVersion, _ token: UInt32, _ initial: UInt64
    ) {
        #expect(KeyMaterial.token(of: key, version: version) == token)
        #expect(KeyMaterial.initialDataSequence(of: key, version: version) == initial)
    }

    //= RFC 8684 §3.4.1 the message has two octets of zero when the option has no port.
    @Test(arguments: [
        (7 as UInt8, "10.0.2.1", nil as UInt16?, 0x854e_67d0_2d54_b4c8 as UInt64),
        (7, "10.0.2.1", 0, 0x854e_67d0_2d54_b4c8),
        (7, "10.0.2.1", 8080, 0xc299_449a_17ec_c20c),
        (200, "fd00::1", 443, 0x5772_fa11_e301_2546),
    ])
    func addAddressHMAC(_ id: UInt8, _ address: String, _ port: UInt16?, _ expected: UInt64) throws {
        let hmac = KeyMaterial.addAddressHMAC(
            senderKey: 0x0102_0304_0506_0708, receiverKey: 0x1112_1314_1516_1718, addressID: AddressID(id),
            address: try #require(IPAddress(address)), port: port)
        #expect(hmac == expected)
    }

    @Test func comparisonSeesEveryBit() {
        let hmac = HMAC160(high: 1, middle: 2, low: 3)
        #expect(hmac.constantTimeEquals(HMAC160(high: 1, middle: 2, low: 3)))
        #expect(!hmac.constantTimeEquals(HMAC160(high: 1 << 63 | 1, middle: 2, low: 3)))
        #expect(!hmac.constantTimeEquals(HMAC160(high: 1, middle: 3, low: 3)))
        #expect(!hmac.constantTimeEquals(HMAC160(high: 1, middle: 2, low: 0x8000_0003)))
    }
}
