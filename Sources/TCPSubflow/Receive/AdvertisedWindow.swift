extension Subflow {
    /// The window field for `window` bytes asked, and the right edge moves to what it says.
    mutating func advertise(_ window: Int, isSyn: Bool) -> UInt16 {
        let asked = Int64(min(max(0, window), 1 << 30))
        if isSyn {
            //= RFC 7323 §2.2: the window in a segment with SYN is never scaled
            let field = UInt16(truncatingIfNeeded: synchronizeWindow(min(asked, 65_535)))
            moveEdge(to: max(receiving.next, 1) &+ Int64(field))
            return field
        }
        let scale = Int64(handshake.windowScaling ? configuration.windowScale : 0)
        let unit = Int64(1) << scale
        receiving.askedEdge = max(receiving.askedEdge, receiving.next &+ asked)
        var field = asked >> scale
        //= RFC 9293 §3.8.6.2.2 SHLD-14: the right edge SHOULD NOT move back
        if !sharesWindow, receiving.next &+ field << scale < receiving.advertised {
            let needed = (receiving.advertised &- receiving.next &+ unit &- 1) >> scale
            // Rounding up again and again while RCV.NXT moves by less than a unit would let the edge creep: it is never
            // moved forward by rounding further than a unit beyond what is asked (RFC 7323 §2.4 knows a window that
            // seems to shrink by less than a unit).
            let edge = receiving.next &+ needed << scale
            let isCreeping = edge > receiving.advertised && edge > receiving.askedEdge &+ unit
            field = isCreeping ? needed &- 1 : needed
        }
        field = min(max(field, 0), 65_535)
        moveEdge(to: receiving.next &+ field << scale)
        return UInt16(truncatingIfNeeded: field)
    }

    /// Linux rounds the first window down to whole segments, in a SYN/ACK to their payload beside timestamps.
    private func synchronizeWindow(_ window: Int64) -> Int64 {
        guard configuration.wire.synchronizesWholeSegments else { return window }
        let segment = Int64(phase == .synReceived ? segmentPayloadLimit(multipathOptionBytes: 0) : send.segmentLimit)
        return window > segment ? window &- window % segment : window
    }

    private mutating func moveEdge(to edge: Int64) {
        receiving.advertised = edge
        receiving.edge = max(receiving.edge, edge)
    }
}
