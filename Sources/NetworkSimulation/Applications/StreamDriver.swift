import HostStack
import MPTCPConnection
import TransportValues

/// One end of one connection at work: writes what its plan allows, reads what there is and checks every byte.
struct StreamDriver {
    let connection: ConnectionID
    var result: StreamResult
    private let outgoing: BytePattern
    private let incoming: BytePattern
    private var canWrite = true
    private var hasFinishedWriting = false
    private var isClosed = false

    /// - Parameter patternSeed: the same at both ends; each direction derives its own from it.
    init(connection: ConnectionID, result: StreamResult, patternSeed: UInt64) {
        self.connection = connection
        self.result = result
        let (up, down) = (BytePattern(seed: patternSeed), BytePattern(seed: ~patternSeed))
        (outgoing, incoming) = result.isClient ? (up, down) : (down, up)
    }

    /// When a slow reader reads next; nil for an eager one or when there is nothing to wait for.
    var readInterval: TimeSpan? {
        guard case .paced(_, let interval) = result.plan.reading, !result.peerFinished, !isClosed else { return nil }
        return interval
    }

    mutating func handle(_ event: HostEvent, stack: inout Host, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        switch event {
        case .connected:
            result.connected = now
        case .writable:
            canWrite = true
        case .finished:
            result.finished = true
        case .closed(_, let reason):
            close(reason, stack: &stack, buffer: &buffer, now: now)
            return
        case .readable, .acceptable:
            break
        }
        work(stack: &stack, buffer: &buffer, now: now, mayRead: result.plan.reading == .eager)
    }

    /// Reads and writes until neither gets further.
    mutating func work(stack: inout Host, buffer: inout MutableRawSpan, now: MonotonicInstant, mayRead: Bool) {
        if isClosed || result.connected == nil { return }
        if mayRead { read(stack: &stack, buffer: &buffer, now: now) }
        if let limit = result.plan.abortsAfterReceiving, result.received >= limit {
            stack.abort(connection, now: now)
            return
        }
        write(stack: &stack, buffer: &buffer, now: now)
    }

    private mutating func close(
        _ reason: ConnectionCloseReason, stack: inout Host, buffer: inout MutableRawSpan, now: MonotonicInstant
    ) {
        // What was received before can still be read.
        result.plan.reading = .eager
        read(stack: &stack, buffer: &buffer, now: now)
        result.closeReason = reason
        result.closed = now
        result.snapshot = stack.snapshot(connection)
        isClosed = true
        stack.release(connection, now: now)
    }

    private mutating func write(stack: inout Host, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        let credit = result.plan.credit(received: result.received, peerFinished: result.peerFinished)
        while canWrite, result.sent < credit {
            let count = Int(min(Int64(buffer.byteCount), credit - result.sent))
            outgoing.fill(&buffer, count: count, from: result.sent)
            let taken = stack.write(connection, buffer.bytes.extracting(0..<count), now: now)
            result.sent += Int64(taken)
            if taken < count { canWrite = false }
        }
        if result.sent == result.plan.sends, !hasFinishedWriting, mayFinish {
            hasFinishedWriting = true
            stack.finishWriting(connection, now: now)
        }
    }

    /// A half-closed peer is answered even when there is nothing to send.
    private var mayFinish: Bool { result.plan.pace != .afterPeerFinished || result.peerFinished }

    private mutating func read(stack: inout Host, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        var budget = Int.max
        if case .paced(let bytes, _) = result.plan.reading { budget = bytes }
        while budget > 0, !result.peerFinished {
            var chunk = buffer._mutatingExtracting(0..<min(buffer.byteCount, budget))
            switch stack.read(connection, into: &chunk, now: now) {
            case .bytes(let count):
                take(buffer.bytes.extracting(0..<count), now: now)
                budget -= count
            case .wouldBlock:
                return
            case .endOfStream:
                result.peerFinished = true
            }
        }
    }

    private mutating func take(_ bytes: RawSpan, now: MonotonicInstant) {
        if result.firstMismatch == nil {
            result.firstMismatch = incoming.firstMismatch(in: bytes, from: result.received)
        }
        result.digest.combineStream(bytes)
        result.received += Int64(bytes.byteCount)
        if now - (result.lastByte ?? now) > result.longestSilence {
            result.longestSilence = now - (result.lastByte ?? now)
            result.silenceEnded = now
        }
        if result.firstByte == nil { result.firstByte = now }
        result.lastByte = now
    }
}
