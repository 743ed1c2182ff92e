import HostStack
import MPTCPConnection
import TransportValues

/// What the client's first bytes tell the server: which connection this is, and how much goes either way.
struct SoakHeader: Equatable {
    static let length = 32
    private static let magic: UInt32 = 0x534f_414b

    var id: UInt64
    /// Bytes behind the header.
    var upload: Int64
    var download: Int64
    /// The server answers only after the client has ended its direction.
    var answersLate: Bool

    init(id: UInt64, upload: Int64, download: Int64, answersLate: Bool) {
        self.id = id
        self.upload = upload
        self.download = download
        self.answersLate = answersLate
    }

    /// Nil where something on the way has changed it.
    init?(_ bytes: [UInt8]) {
        func word(_ offset: Int) -> UInt64 { bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        guard bytes.count == Self.length, word(0) >> 32 == Self.magic else { return nil }
        answersLate = word(0) & 1 == 1
        id = word(8)
        upload = Int64(truncatingIfNeeded: word(16))
        download = Int64(truncatingIfNeeded: word(24))
        guard (0...1 << 30).contains(upload), (0...1 << 30).contains(download) else { return nil }
    }

    var bytes: [UInt8] {
        let words = [
            UInt64(Self.magic) << 32 | (answersLate ? 1 : 0), id, UInt64(upload), UInt64(download),
        ]
        return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }
}

/// One end of one connection of an episode: writes, reads and checks every byte.
final class SoakFlow {
    let host: SimulatedHost
    let connection: ConnectionID
    let isClient: Bool
    let begun: MonotonicInstant
    /// Nil at a server before the header has come, and where a connection without any bytes ended.
    var header: SoakHeader?
    private var headerBytes: [UInt8] = []
    private(set) var sent: Int64 = 0
    private(set) var received: Int64 = 0
    private(set) var mismatch: Int64?
    private(set) var peerFinished = false
    private(set) var hasFinishedWriting = false
    private(set) var toldFinished = false
    private(set) var reason: ConnectionCloseReason?
    private(set) var snapshot: ConnectionSnapshot?
    private var canWrite = true
    private var isConnected: Bool
    /// Bytes sent and received after which this end aborts; nil: never.
    var abortsAfter: Int64?
    /// Releases the connection as soon as it has written everything, as `close` does.
    var releasesEarly = false
    /// Reads so much at most each time it is woken; nil: everything at once.
    var readQuota: Int?
    private(set) var hasAborted = false
    private(set) var isReleased = false
    /// A header that can't be understood, or more bytes than were announced.
    private(set) var isGarbled = false

    init(host: SimulatedHost, connection: ConnectionID, header: SoakHeader?, isClient: Bool, now: MonotonicInstant) {
        self.host = host
        self.connection = connection
        self.header = header
        self.isClient = isClient
        begun = now
        isConnected = !isClient
    }

    var isOver: Bool { isReleased }

    /// Bytes that this end sends in all; a connection of no bytes has not even a header.
    var sends: Int64 {
        guard let header else { return 0 }
        if isClient { return header.upload < 0 ? 0 : header.upload + Int64(SoakHeader.length) }
        return header.download
    }

    var expects: Int64 {
        guard let header else { return 0 }
        if isClient { return header.download }
        return header.upload + Int64(SoakHeader.length)
    }

    @_lifetime(buffer: copy buffer)
    func act(on event: HostEvent?, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        if let event {
            handle(event, buffer: &buffer, now: now)
        } else {
            work(buffer: &buffer, now: now, mayRead: true)
        }
    }

    @_lifetime(buffer: copy buffer)
    private func handle(_ event: HostEvent, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        if isReleased { return }
        switch event {
        case .connected: isConnected = true
        case .writable: canWrite = true
        case .finished: toldFinished = true
        case .closed(_, let why):
            read(quota: .max, buffer: &buffer, now: now)
            reason = why
            snapshot = host.stack.snapshot(connection)
            isReleased = true
            host.stack.release(connection, now: now)
            return
        case .readable, .acceptable: break
        }
        work(buffer: &buffer, now: now, mayRead: readQuota == nil)
    }

    @_lifetime(buffer: copy buffer)
    private func work(buffer: inout MutableRawSpan, now: MonotonicInstant, mayRead: Bool) {
        guard !isReleased, isConnected, !hasAborted else { return }
        if mayRead { read(quota: readQuota ?? .max, buffer: &buffer, now: now) }
        write(buffer: &buffer, now: now)
        if let limit = abortsAfter, sent + received >= limit { abort(now: now) }
    }

    func abort(now: MonotonicInstant) {
        guard !isReleased, !hasAborted else { return }
        hasAborted = true
        host.stack.abort(connection, now: now)
    }

    // MARK: Writing

    @_lifetime(buffer: copy buffer)
    private func write(buffer: inout MutableRawSpan, now: MonotonicInstant) {
        guard !hasFinishedWriting else { return }
        // A server knows what to send when it has the header, or that there is none.
        if !isClient, header == nil, !peerFinished { return }
        if !isClient, header?.answersLate == true, !peerFinished { return }
        while canWrite, sent < sends {
            let count: Int
            if isClient, sent == 0, let header {
                let bytes = header.bytes
                count = unsafe host.stack.write(connection, bytes.span.bytes, now: now)
                if count == 0 { canWrite = false }
            } else {
                let wanted = Int(min(Int64(buffer.byteCount), sends - sent))
                pattern(ofUpload: isClient).fill(&buffer, count: wanted, from: sent)
                count = host.stack.write(connection, buffer.bytes.extracting(0..<wanted), now: now)
                if count < wanted { canWrite = false }
            }
            sent += Int64(count)
        }
        guard sent == sends else { return }
        hasFinishedWriting = true
        if releasesEarly {
            snapshot = host.stack.snapshot(connection)
            isReleased = true
            host.stack.release(connection, now: now)
        } else {
            host.stack.finishWriting(connection, now: now)
        }
    }

    private func pattern(ofUpload isUpload: Bool) -> BytePattern {
        let seed = (header?.id ?? 0) &* 0xd134_2543_de82_ef95
        return BytePattern(seed: isUpload ? seed : ~seed)
    }

    // MARK: Reading

    @_lifetime(buffer: copy buffer)
    private func read(quota: Int, buffer: inout MutableRawSpan, now: MonotonicInstant) {
        var budget = quota
        while budget > 0, !peerFinished {
            var room = min(buffer.byteCount, budget)
            let missing = SoakHeader.length - headerBytes.count
            if !isClient, missing > 0 { room = min(room, missing) }
            var chunk = buffer._mutatingExtracting(0..<room)
            switch host.stack.read(connection, into: &chunk, now: now) {
            case .bytes(let count):
                take(buffer.bytes.extracting(0..<count))
                budget -= count
            case .wouldBlock: return
            case .endOfStream: peerFinished = true
            }
        }
    }

    private func take(_ bytes: RawSpan) {
        if !isClient, headerBytes.count < SoakHeader.length {
            for offset in 0..<bytes.byteCount { headerBytes.append(bytes.octet(offset)) }
            received += Int64(bytes.byteCount)
            guard headerBytes.count == SoakHeader.length else { return }
            header = SoakHeader(headerBytes)
            if header == nil { isGarbled = true }
            return
        }
        if isGarbled { return }
        if mismatch == nil { mismatch = pattern(ofUpload: !isClient).firstMismatch(in: bytes, from: received) }
        received += Int64(bytes.byteCount)
    }
}
