public import TransportValues

/// What a device with segmentation and checksum offload does to a packet, in software.
public enum SoftwareSegmentation {
    /// Calls `body` with each ordinary packet that `packet` stands for, in order; returns how many there were.
    ///
    /// A packet that asks for no segmentation and no checksum goes to `body` as it is. Otherwise each piece is written
    /// into `scratch`: the IP length, identification and checksum, the TCP sequence number, flags and checksum are made
    /// anew. FIN and PSH stand on the last piece only, and CWR on the first only (RFC 3168 §6.1.2: once).
    /// - Parameters:
    ///   - packet: one IP packet with a TCP segment.
    ///   - metadata: `length` need not be set; the rest as the stack gave it.
    ///   - scratch: at least `headerLength + segmentSize` bytes, or the packet's length when it is not segmented.
    /// - Throws: what ``IPHeader`` finds, `badLength` when the metadata disagrees with the packet or `scratch` is too
    ///   small, `unsupported` when it is not TCP.
    @discardableResult
    @_lifetime(scratch: copy scratch)
    public static func forEachPacket(
        of packet: RawSpan, metadata: TransmitMetadata, scratch: inout MutableRawSpan, _ body: (RawSpan) -> Void
    ) throws(WireError) -> Int {
        if metadata.segmentSize <= 0 && !metadata.checksumPartial {
            body(packet)
            return 1
        }
        let ip = try IPHeader(packet)
        guard ip.protocolNumber == IPHeader.tcp else { throw .unsupported }
        let layout = try Layout(packet, ip: ip, metadata: metadata)
        guard layout.headerLength + min(layout.pieceLength, layout.payloadLength) <= scratch.byteCount else {
            throw .badLength
        }
        var index = 0
        var offset = 0
        repeat {
            let length = min(layout.pieceLength, layout.payloadLength - offset)
            let total = layout.headerLength + length
            copy(packet, 0..<layout.headerLength, to: &scratch, at: 0)
            let from = layout.headerLength + offset
            copy(packet, from..<from + length, to: &scratch, at: layout.headerLength)
            let isLast = offset + length == layout.payloadLength
            rewriteIP(&scratch, original: packet, ip: ip, index: index, length: total)
            rewriteTCP(
                &scratch, original: packet, at: ip.payloadOffset, advance: offset, isFirst: index == 0, isLast: isLast)
            finishTCPChecksum(
                packet: &scratch, at: ip.payloadOffset, length: total - ip.payloadOffset, source: ip.source,
                destination: ip.destination, partial: false)
            body(scratch.bytes.extracting(0..<total))
            index += 1
            offset += length
        } while offset < layout.payloadLength
        return index
    }

    private struct Layout {
        var headerLength: Int
        var payloadLength: Int
        var pieceLength: Int

        init(_ packet: RawSpan, ip: IPHeader, metadata: TransmitMetadata) throws(WireError) {
            guard ip.payloadLength >= 20 else { throw .truncated }
            let tcpLength = Int(packet.byte(ip.payloadOffset + 12) >> 4) * 4
            guard tcpLength >= 20, tcpLength <= ip.payloadLength else { throw .badLength }
            headerLength = ip.payloadOffset + tcpLength
            payloadLength = ip.payloadLength - tcpLength
            guard headerLength == metadata.headerLength, ip.payloadOffset == metadata.networkHeaderLength else {
                throw .badLength
            }
            pieceLength = metadata.segmentSize > 0 ? metadata.segmentSize : payloadLength
        }
    }

    @_lifetime(target: copy target)
    private static func copy(_ source: RawSpan, _ range: Range<Int>, to target: inout MutableRawSpan, at offset: Int) {
        let slice = source.extracting(range)
        precondition(offset >= 0 && slice.byteCount <= target.byteCount - offset)
        unsafe target.withUnsafeMutableBytes { buffer in
            unsafe slice.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress, let out = buffer.baseAddress else { return }
                unsafe (out + offset).copyMemory(from: base, byteCount: bytes.count)
            }
        }
    }

    @_lifetime(piece: copy piece)
    private static func rewriteIP(
        _ piece: inout MutableRawSpan, original: RawSpan, ip: IPHeader, index: Int, length: Int
    ) {
        if ip.source.isIPv6 {
            piece.store(word16: UInt16(truncatingIfNeeded: length - 40), at: 4)
            return
        }
        piece.store(word16: UInt16(truncatingIfNeeded: length), at: 2)
        piece.store(word16: original.word16(4) &+ UInt16(truncatingIfNeeded: index), at: 4)
        piece.store(word16: 0, at: 10)
        let sum = InternetChecksum.sum(piece.bytes.extracting(0..<ip.payloadOffset))
        piece.store(word16: ~InternetChecksum.fold(sum), at: 10)
    }

    @_lifetime(piece: copy piece)
    private static func rewriteTCP(
        _ piece: inout MutableRawSpan, original: RawSpan, at offset: Int, advance: Int, isFirst: Bool, isLast: Bool
    ) {
        let sequence = SequenceNumber(original.word32(offset + 4)) + UInt32(truncatingIfNeeded: advance)
        piece.store(word32: sequence.rawValue, at: offset + 4)
        var flags = TCPFlags(rawValue: original.byte(offset + 13))
        if !isLast { flags.subtract([.fin, .psh]) }
        if !isFirst { flags.remove(.cwr) }
        piece.store(byte: flags.rawValue, at: offset + 13)
    }
}
