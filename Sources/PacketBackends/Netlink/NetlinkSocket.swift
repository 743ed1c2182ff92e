import CLinux
import Glibc

/// A NETLINK_ROUTE socket: requests that are answered, dumps, and groups of events.
struct NetlinkSocket: ~Copyable {
    let descriptor: OwnedDescriptor
    private var buffer: PacketMemory
    private var sequence: UInt32 = 0

    enum ReadResult {
        /// Messages in the first so many bytes of the buffer.
        case bytes(Int)
        case wouldBlock
        /// The kernel had to throw messages away (ENOBUFS): read everything anew.
        case overrun
    }

    /// - Parameter groups: RTNLGRP_* to follow; with none, the socket is for requests and blocks for two seconds at
    ///   most.
    init(groups: [UInt32] = []) throws(BackendError) {
        let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try OwnedDescriptor(
            socket(AF_NETLINK, groups.isEmpty ? kind : kind | Int32(SOCK_NONBLOCK.rawValue), NETLINK_ROUTE),
            "open a netlink socket")
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        let bound = unsafe withSocketAddress(&address) { unsafe bind(descriptor.rawValue, $0, $1) }
        guard bound == 0 else { throw .fromErrno("bind a netlink socket") }
        // Filters in dumps need it (Linux 4.20); without it the kernel sends more and we filter.
        _ = descriptor.setOption(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        if groups.isEmpty {
            var patience = timeval(tv_sec: 2, tv_usec: 0)
            _ = unsafe setsockopt(
                descriptor.rawValue, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            // An error message need not repeat our request.
            _ = descriptor.setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        } else {
            descriptor.enlargeBuffers(receive: 1 << 20, send: 1 << 16)
            for group in groups {
                try descriptor.setOption(
                    SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(group), "follow the kernel's network events")
            }
        }
        self.descriptor = descriptor
        buffer = PacketMemory(count: 65_536)
    }

    /// Sends a request and returns its sequence number.
    mutating func send(_ request: NetlinkRequest, _ operation: @autoclosure () -> String) throws(BackendError) -> UInt32
    {
        sequence &+= 1
        let bytes = request.sealed(sequence: sequence)
        let sent = unsafe bytes.withUnsafeBytes { unsafe Glibc.send(descriptor.rawValue, $0.baseAddress, $0.count, 0) }
        guard sent == bytes.count else { throw .fromErrno(operation()) }
        return sequence
    }

    /// Reads one datagram, which ``withMessages(_:_:)`` then lends.
    mutating func read() throws(BackendError) -> ReadResult {
        while true {
            var sender = sockaddr_nl()
            var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let count = unsafe withSocketAddress(&sender) { address, _ in
                unsafe recvfrom(
                    descriptor.rawValue, buffer.pointer, buffer.count, Int32(MSG_TRUNC), address, &length)
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return .wouldBlock }
                if errno == ENOBUFS { return .overrun }
                throw .fromErrno("read from netlink")
            }
            // Only the kernel is believed: any process may send to our port.
            if sender.nl_pid != 0 { continue }
            return count <= buffer.count ? .bytes(count) : .overrun
        }
    }

    /// Lends the messages of the datagram just read.
    /// - Returns: false when it ended in something that is no message.
    borrowing func withMessages<Failure>(
        _ count: Int, _ body: (Netlink.Header, RawSpan) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        try Netlink.forEachMessage(in: buffer.bytes(0..<count), body)
    }

    /// Sends a request and waits for the kernel's answer to it; 0 is success, else an errno.
    mutating func perform(_ request: NetlinkRequest, _ operation: String) throws(BackendError) -> Int32 {
        let mine = try send(request, operation)
        while true {
            guard case .bytes(let count) = try read() else {
                throw .system(operation: operation, code: ETIMEDOUT)
            }
            var answer: Int32? = nil
            _ = withMessages(count) { header, payload in
                if header.type == UInt16(NLMSG_ERROR), header.sequence == mine {
                    answer = -(payload.native(Int32.self, at: 0) ?? -EBADMSG)
                }
            }
            if let answer { return answer }
        }
    }

    /// Sends a request that is answered by one message, or an error, and calls `body` with it.
    mutating func query(
        _ request: NetlinkRequest, _ operation: String, _ body: (Netlink.Header, RawSpan) -> Void
    ) throws(BackendError) {
        let mine = try send(request, operation)
        var isAnswered = false
        while !isAnswered {
            guard case .bytes(let count) = try read() else {
                throw .system(operation: operation, code: ETIMEDOUT)
            }
            _ = withMessages(count) { header, payload in
                guard header.sequence == mine else { return }
                isAnswered = true
                body(header, payload)
            }
        }
    }

    /// Sends a dump request and calls `body` with each message of the answer. An inconsistent dump (the kernel changed
    /// under it) is still delivered: the event that tells of the change follows.
    mutating func dump(
        _ request: NetlinkRequest, _ operation: String, _ body: (Netlink.Header, RawSpan) -> Void
    ) throws(BackendError) {
        let mine = try send(request, operation)
        var done = false
        while !done {
            guard case .bytes(let count) = try read() else {
                throw .system(operation: operation, code: ETIMEDOUT)
            }
            var failure: Int32 = 0
            let whole = withMessages(count) { header, payload in
                guard header.sequence == mine, !done else { return }
                switch Int32(header.type) {
                case NLMSG_DONE: done = true
                case NLMSG_ERROR:
                    failure = -(payload.native(Int32.self, at: 0) ?? -EBADMSG)
                    done = true
                default: body(header, payload)
                }
            }
            if failure != 0 { throw .from(failure, operation) }
            if !whole { throw .system(operation: operation, code: EBADMSG) }
        }
    }
}
