/// What a source of bytes says when it is asked for the next ones.
public enum SourceStep: Sendable {
    /// The next bytes. An array that is handed out again and again costs no copy.
    case bytes([UInt8])
    /// None now: the source calls its wake-up when there are.
    case later
    /// The end of the stream.
    case end
    /// The source is broken; the reason in one line.
    case failed(String)
}

/// Bytes for a connection, asked for on the stack's own thread, so that a fast transfer crosses no thread per chunk.
/// No call may block.
public protocol StreamSource: Sendable {
    /// Called once before the first ``next()``; `wake` may be called on any thread, any time.
    func start(wake: StreamWake)
    /// The bytes after those given last, all of which have been taken.
    func next() -> SourceStep
}

/// Where a connection's bytes go, called on the stack's own thread. No call may block.
public protocol StreamSink: Sendable {
    func start(wake: StreamWake)
    /// Bytes may have come. A sink with room calls `fill` once with a buffer that is not empty; it writes the stream's
    /// next bytes to the buffer's start and returns their number, 0 when there are none now. Bytes stay in the
    /// connection (and the peer is held back by the receive window) while the sink has no room.
    func offer(_ fill: (inout MutableRawSpan) -> Int) -> SinkStep
}

public enum SinkStep: Sendable {
    /// `fill` was called.
    case taken
    /// No room now: the sink calls its wake-up when there is.
    case later
    /// The sink is broken, e.g. standard output was closed; the reason in one line.
    case failed(String)
}

extension StreamSource {
    public func start(wake: StreamWake) {}
}

extension StreamSink {
    public func start(wake: StreamWake) {}
}

/// Tells a stack's loop that a source or sink which had said "later" can go on.
public struct StreamWake: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    public func callAsFunction() { body() }
}
