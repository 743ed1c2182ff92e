import Foundation

/// A pcap file (raw IP) with one TCP segment that carries a DSS option, made by hand.
enum CaptureSamples {
    /// - Parameter optionLength: what the option claims to be long; 12 is right for a DSS with an 8-byte DATA_ACK.
    static func write(optionLength: UInt8, to path: String) throws {
        let option: [UInt8] = [30, optionLength, 0x20, 0x03] + [UInt8](repeating: 7, count: 8)
        let tcp: [UInt8] =
            [0x1f, 0x90, 0x0f, 0xa0] + [0, 0, 0, 1, 0, 0, 0, 1] + [UInt8((20 + option.count) / 4) << 4, 0x10, 0x10, 0]
            + [0, 0, 0, 0] + option
        let length = UInt8(20 + tcp.count)
        let ip: [UInt8] = [0x45, 0, 0, length, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
        let header: [UInt32] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101]
        let record: [UInt32] = [0, 0, UInt32(length), UInt32(length)]
        let bytes = (header + record).flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
        try Data(bytes + ip + tcp).write(to: URL(fileURLWithPath: path))
    }
}
