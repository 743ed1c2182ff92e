public import HostStack
public import MPTCPConnection
internal import TransportValues

/// One connection. Any task may call it; at a time one may be suspended in reading, one in writing and one in each of
/// the waits, another gets ``SocketError/busy``.
///
/// A socket that is let go without ``close()`` is aborted: the peer learns that bytes may be missing.
public final class MPTCPSocket: Sendable {
    let loop: StackLoop
    let id: ConnectionID

    init(_ loop: StackLoop, _ id: ConnectionID) {
        self.loop = loop
        self.id = id
    }

    deinit {
        let (loop, id) = (loop, id)
        Task { await loop.forget(id) }
    }

    /// The number by which the stack knows this connection.
    public var connectionID: ConnectionID { id }

    /// Returns when the handshake is done, at once on an accepted socket. A cancelled wait aborts the attempt.
    public func waitUntilConnected() async throws(SocketError) { try await loop.waitUntilConnected(id) }

    /// The stream's next bytes, as many as have come, at least 1 and at most `maximum`; nil: the peer has ended its
    /// stream. A cancelled read has taken nothing: the next one gets the bytes.
    /// - Parameter maximum: 1...16 MiB.
    /// - Throws: ``SocketError``; what arrived before a failure is read first.
    public func read(upTo maximum: Int = 65_536) async throws(SocketError) -> [UInt8]? {
        guard (1...(16 << 20)).contains(maximum) else {
            throw .invalidArgument("a read of \(maximum) bytes is not between 1 and 16777216")
        }
        return try await loop.read(id, upTo: maximum)
    }

    /// Appends the stream's next bytes, at most `maximum`, to `buffer` and returns how many; 0: the peer has ended its
    /// stream. Like ``read(upTo:)`` otherwise.
    public func read(appendingTo buffer: inout [UInt8], upTo maximum: Int = 65_536) async throws(SocketError) -> Int {
        guard let bytes = try await read(upTo: maximum) else { return 0 }
        if buffer.isEmpty {
            buffer = bytes
        } else {
            buffer.append(contentsOf: bytes)
        }
        return bytes.count
    }

    /// Returns once the connection has taken all bytes; while its send buffer is full, that waits for the peer.
    /// - Throws: ``SocketError/cancelled(bytesTaken:)`` says how many bytes will be delivered all the same; any other
    ///   error means that the connection will deliver no more.
    public func write(_ bytes: [UInt8]) async throws(SocketError) { try await loop.write(id, bytes) }

    /// Sends what `source` gives until its end; the stream stays open. Returns the number of bytes.
    ///
    /// The source is asked on the stack's own thread: no hop per chunk. Errors like ``write(_:)``'s, and
    /// ``SocketError/local(_:)`` when the source fails; then what it gave before is delivered.
    public func send(from source: some StreamSource) async throws(SocketError) -> Int {
        try await loop.send(id, from: source)
    }

    /// Hands everything that the peer sends to `sink` until its end of stream. Returns the number of bytes.
    public func receive(into sink: some StreamSink) async throws(SocketError) -> Int {
        try await loop.receive(id, into: sink)
    }

    /// Ends the stream to the peer behind all that was written. Reading goes on.
    public func finishWriting() async throws(SocketError) { try await loop.finishWriting(id) }

    /// Returns when everything written and the end of the stream are acknowledged by the peer.
    public func waitUntilFinished() async throws(SocketError) { try await loop.waitUntilFinished(id) }

    /// Returns when the connection is over in both directions, well or not; ``snapshot()`` tells the reason.
    public func waitUntilClosed() async throws(SocketError) { try await loop.waitUntilClosed(id) }

    /// Ends the stream to the peer, waits until the peer has acknowledged everything, and gives the connection up.
    /// Bytes not yet read are lost, and the peer is told so. Later calls throw ``SocketError/closed``.
    /// - Throws: ``SocketError`` when not all bytes were acknowledged. A cancelled close aborts.
    public func close() async throws(SocketError) { try await loop.close(id) }

    /// Ends the connection at once in both directions (MP_FASTCLOSE, RFC 8684 §3.5, or RST); what was not sent is
    /// lost. Tasks suspended in other calls get ``SocketError/connection(_:)`` or ``SocketError/closed``.
    public func abort() async { await loop.abort(id) }

    /// The connection and its subflows as they stand, after its end as they stood last; nil when the stack no longer
    /// knows it.
    public func snapshot() async -> ConnectionSnapshot? { await loop.snapshot(id) }
}
