import TransportValues

extension TCPOptions {
    /// Reads the options that stand at `start ..< end` of `packet`.
    /// - Parameter flags: the segment's, which decide where an option may stand.
    /// - Precondition: `start ..< end` lies within the packet.
    @inline(__always)
    mutating func parse(_ packet: RawSpan, from start: Int, to end: Int, flags: TCPFlags) {
        var offset = start
        // What nearly every segment of an established connection begins with: NOP NOP TS.
        if end &- offset >= 12, packet.word32(offset) == 0x0101_080a {
            timestamps = TCPTimestamps(value: packet.word32(offset &+ 4), echo: packet.word32(offset &+ 8))
            offset &+= 12
        }
        while offset < end {
            let kind = packet.byte(offset)
            if kind == TCPOptionKind.noOperation {
                offset &+= 1
                continue
            }
            if kind == TCPOptionKind.end { return }
            //= RFC 9293 §3.2 the length covers kind and length; one below 2 or past the header ends the walk.
            guard end &- offset >= 2 else {
                ignored.truncated = 1
                return
            }
            let length = Int(packet.byte(offset &+ 1))
            guard length >= 2, length <= end &- offset else {
                ignored.truncated = 1
                return
            }
            if kind == TCPOptionKind.multipath {
                multipath.parse(packet, at: offset, length: length, flags: flags, faults: &ignored)
            } else {
                parsePlain(kind: kind, packet, at: offset, length: length, flags: flags)
            }
            offset &+= length
        }
    }

    @inline(never)
    private mutating func parsePlain(kind: UInt8, _ packet: RawSpan, at offset: Int, length: Int, flags: TCPFlags) {
        let isSynchronizing = flags.contains(.syn)
        switch kind {
        case TCPOptionKind.timestamps:
            guard length == 10 else { return ignored.count(.malformed) }
            guard timestamps == nil else { return ignored.count(.duplicate) }
            timestamps = TCPTimestamps(value: packet.word32(offset &+ 2), echo: packet.word32(offset &+ 6))
        case TCPOptionKind.sack:
            guard length >= 10, (length &- 2) & 7 == 0 else { return ignored.count(.malformed) }
            guard !isSynchronizing else { return ignored.count(.misplaced) }
            guard sackBlocks.isEmpty else { return ignored.count(.duplicate) }
            parseSACK(packet, at: offset &+ 2, end: offset &+ length)
        case TCPOptionKind.maximumSegmentSize:
            guard length == 4 else { return ignored.count(.malformed) }
            //= RFC 9293 §3.2 sent only with SYN; elsewhere it is ignored.
            guard isSynchronizing else { return ignored.count(.misplaced) }
            guard maximumSegmentSize == nil else { return ignored.count(.duplicate) }
            maximumSegmentSize = packet.word16(offset &+ 2)
        case TCPOptionKind.windowScale:
            guard length == 3 else { return ignored.count(.malformed) }
            //= RFC 7323 §2.2 in a segment without SYN it MUST be ignored.
            guard isSynchronizing else { return ignored.count(.misplaced) }
            guard windowScale == nil else { return ignored.count(.duplicate) }
            //= RFC 7323 §2.3 a shift above 14 is taken as 14.
            windowScale = min(packet.byte(offset &+ 2), 14)
        case TCPOptionKind.sackPermitted:
            guard length == 2 else { return ignored.count(.malformed) }
            //= RFC 2018 §2 MUST NOT be sent on non-SYN segments.
            guard isSynchronizing else { return ignored.count(.misplaced) }
            guard !sackPermitted else { return ignored.count(.duplicate) }
            sackPermitted = true
        case TCPOptionKind.fastOpen:
            guard let cookie = FastOpenCookie(packet.extracting(offset &+ 2..<offset &+ length)) else {
                return ignored.count(.malformed)
            }
            //= RFC 7413 §4.1.1 in a segment without SYN it is ignored.
            guard isSynchronizing else { return ignored.count(.misplaced) }
            guard fastOpen == nil else { return ignored.count(.duplicate) }
            fastOpen = cookie
        default:
            ignored.count(.unknown)
        }
    }

    private mutating func parseSACK(_ packet: RawSpan, at start: Int, end: Int) {
        var offset = start
        while offset < end {
            sackBlocks.append(
                SACKBlock(
                    left: SequenceNumber(packet.word32(offset)), right: SequenceNumber(packet.word32(offset &+ 4))))
            offset &+= 8
        }
    }
}
