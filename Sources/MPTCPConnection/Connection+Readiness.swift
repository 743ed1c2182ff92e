/// What a connection would do with a call of the application now.
public struct StreamReadiness: Sendable, Equatable {
    /// The first handshake was completed, whatever came after.
    public var wasEstablished: Bool
    /// Bytes that can be read.
    public var readable: Int
    /// The peer ended its direction, and nothing is left to read.
    public var isEndOfStream: Bool
    /// Bytes that can be written; 0 also when the sending direction has ended.
    public var writable: Int
    /// Payload bytes of the largest segment without Multipath TCP options.
    public var segmentSize: Int
    /// Why nothing more will come; nil while something may.
    public var closeReason: ConnectionCloseReason?
}

extension Connection {
    public var readiness: StreamReadiness {
        let writable = phase.isClosed || !wasEstablished ? 0 : send.room
        return StreamReadiness(
            wasEstablished: wasEstablished, readable: receive.available,
            isEndOfStream: receive.available == 0 && (receive.isFinished || closeReason?.isClean == true),
            writable: writable, segmentSize: largestSegment, closeReason: closeReason)
    }

    /// Copies bytes that are in order into `target` and leaves them to be read; returns how many.
    public func peek(into target: inout MutableRawSpan) -> Int { receive.peek(into: &target) }

    /// Nagle's algorithm, from the next segment on.
    public mutating func setNagle(_ isOn: Bool) { configuration.nagle = isOn }
}
