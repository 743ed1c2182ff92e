internal import HostStack
public import TransportValues

/// A port that accepts connections: a sequence of sockets that ends when the listener is closed.
public final class MPTCPListener: Sendable, AsyncSequence {
    public typealias Element = MPTCPSocket
    public typealias Failure = SocketError

    let loop: StackLoop
    let id: ListenerID
    /// Where it listens, with the port that was chosen when 0 was asked for.
    public let local: Endpoint

    init(_ loop: StackLoop, _ id: ListenerID, local: Endpoint) {
        self.loop = loop
        self.id = id
        self.local = local
    }

    deinit {
        let (loop, id) = (loop, id)
        Task { await loop.closeListener(id) }
    }

    /// The next connection; nil once the listener is closed. A cancelled wait takes no connection.
    public func accept() async throws(SocketError) -> MPTCPSocket? {
        guard let connection = try await loop.accept(id) else { return nil }
        return MPTCPSocket(loop, connection)
    }

    /// Takes no more connections; those accepted go on.
    public func close() async { await loop.closeListener(id) }

    public struct Iterator: AsyncIteratorProtocol {
        let listener: MPTCPListener

        public mutating func next() async throws(SocketError) -> MPTCPSocket? { try await listener.accept() }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(SocketError) -> MPTCPSocket? { try await listener.accept() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(listener: self) }
}
