internal import HostStack
internal import PacketBackends
internal import TransportValues

/// One path of a loop: its device, its number in the host, and what waits for the device.
struct LoopPath: ~Copyable {
    let name: String
    let interface: InterfaceID
    var device: PathDevice
    var pending = PendingPackets()
    /// Why the device is no longer used; nil while it is.
    private(set) var failure: BackendError?
    var isWatchedForWriting = false
    /// Its descriptors are in the poller.
    var isPolled = true

    init(name: String, interface: InterfaceID, device: consuming PathDevice) {
        self.name = name
        self.interface = interface
        self.device = device
    }

    /// Sends the packet that stands in `buffer`, or keeps it behind those that wait already.
    mutating func output(_ buffer: inout MutableRawSpan, metadata written: TransmitMetadata, from host: borrowing Host)
    {
        guard failure == nil else { return }
        var metadata = written
        if metadata.lent.length > 0 {
            if pending.isEmpty, gather(&buffer, metadata, from: host) != .wouldBlock { return }
            host.complete(&metadata, in: &buffer, headroom: packetHeadroom)
        } else if pending.isEmpty, attempt(&buffer, metadata) != .wouldBlock {
            return
        }
        let end = packetHeadroom + metadata.length
        pending.append(buffer.bytes.extracting(packetHeadroom..<end), metadata: metadata)
    }

    /// Sends what waits, as far as the device takes it.
    mutating func flush(_ buffer: inout MutableRawSpan) {
        while failure == nil, let metadata = pending.first {
            pending.copyFirst(into: &buffer, at: packetHeadroom)
            if attempt(&buffer, metadata) == .wouldBlock { return }
            // A failure has emptied the queue.
            if !pending.isEmpty { pending.removeFirst() }
        }
    }

    private mutating func attempt(_ buffer: inout MutableRawSpan, _ metadata: TransmitMetadata) -> SendResult {
        do {
            return try device.send(&buffer, headroom: packetHeadroom, metadata: metadata)
        } catch {
            fail(error)
            return .dropped
        }
    }

    /// Headers from the buffer, payload from the host's ring.
    private mutating func gather(
        _ buffer: inout MutableRawSpan, _ metadata: TransmitMetadata, from host: borrowing Host
    ) -> SendResult {
        do throws(BackendError) {
            return try host.withLentPayload(metadata.lent) { first, second throws(BackendError) in
                guard metadata.headerLength + first.byteCount + second.byteCount == metadata.length else {
                    return .dropped
                }
                return try device.send(
                    &buffer, headroom: packetHeadroom, metadata: metadata, payload: first, second)
            }
        } catch {
            fail(error)
            return .dropped
        }
    }

    /// Whether it can be opened again once the interface is back.
    var isGone: Bool {
        if case .interfaceGone? = failure { return true }
        return false
    }

    /// The interface is back.
    mutating func reopen(_ device: consuming PathDevice) {
        self.device = device
        failure = nil
        isWatchedForWriting = false
        isPolled = true
    }

    mutating func fail(_ error: BackendError) {
        failure = error
        pending.removeAll()
    }
}
