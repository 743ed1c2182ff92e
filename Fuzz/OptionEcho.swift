import TransportValues
import WireFormats

/// Writes options that were read, and reads them again.
enum OptionEcho {
    /// The option as it goes out: reserved bits that were received are not sent.
    static func asSent(_ option: MPTCPOption) -> MPTCPOption {
        if case .reset(let reset) = option {
            return .reset(MPTCPReset(transient: reset.transient, reason: reset.reason))
        }
        return option
    }

    /// All options in one block; nil when they do not fit, which can be where the peer did without padding.
    static func block(of options: TCPOptions) -> OptionBlock? {
        var block = OptionBlock()
        if let size = options.maximumSegmentSize, !block.append(maximumSegmentSize: size) { return nil }
        if options.sackPermitted, let timestamps = options.timestamps {
            if !block.appendSACKPermitted(with: timestamps) { return nil }
        } else {
            if options.sackPermitted, !block.appendSACKPermitted() { return nil }
            if let timestamps = options.timestamps, !block.append(timestamps) { return nil }
        }
        if let scale = options.windowScale, !block.append(windowScale: scale) { return nil }
        if let cookie = options.fastOpen, !block.append(fastOpen: cookie) { return nil }
        if let signal = options.multipath.signal, !block.append(signal) { return nil }
        if let other = options.multipath.other, !block.append(other) { return nil }
        if let second = options.multipath.second, !block.append(second) { return nil }
        if !options.sackBlocks.isEmpty {
            guard block.remaining >= 4 + 8 * options.sackBlocks.count else { return nil }
            block.append(options.sackBlocks)
        }
        return block
    }

    /// What a segment with this block is read as; nil when it is not read at all.
    static func read(_ block: OptionBlock, flags: TCPFlags) -> TCPOptions? {
        let bytes = SeedPackets.packet(block, flags: flags)
        let span = unsafe bytes.span.bytes
        guard let ip = try? IPHeader(span) else { return nil }
        return try? TCPSegment(span, ip: ip, checksum: .unverified).options
    }
}
