import CLinux
import Glibc

/// A change of an interface, as the kernel reports it.
public enum InterfaceEvent: Sendable, Equatable {
    /// An interface appeared or changed (up or down, MTU, name); its addresses are not repeated.
    case link(NetworkInterface)
    case linkRemoved(index: Int32, name: String)
    /// An address appeared or its flags changed.
    case address(InterfaceAddress, index: Int32)
    case addressRemoved(InterfaceAddress, index: Int32)
    /// More happened than the kernel could queue: list the interfaces again.
    case overrun
}

/// Follows links and addresses of this network namespace. Begin to follow first, then list with
/// ``NetworkInterface/all()``: so nothing is missed, though something may be told twice.
public struct InterfaceWatcher: ~Copyable {
    private var socket: NetlinkSocket
    /// Messages that were skipped: of a kind or family that says nothing of interfaces, or senseless.
    public private(set) var skippedMessages: UInt64 = 0

    public init() throws(BackendError) {
        socket = try NetlinkSocket(groups: [
            RTNLGRP_LINK.rawValue, RTNLGRP_IPV4_IFADDR.rawValue, RTNLGRP_IPV6_IFADDR.rawValue,
        ])
    }

    /// To poll for input.
    public var descriptor: Int32 { socket.descriptor.rawValue }

    /// The events that wait, oldest first; empty when none does. Never blocks.
    public mutating func read() throws(BackendError) -> [InterfaceEvent] {
        var events: [InterfaceEvent] = []
        while true {
            switch try socket.read() {
            case .wouldBlock: return events
            case .overrun: events.append(.overrun)
            case .bytes(let count):
                var skipped: UInt64 = 0
                let whole = socket.withMessages(count) { header, payload in
                    if let event = Self.event(header, payload) { events.append(event) } else { skipped += 1 }
                }
                skippedMessages += skipped + (whole ? 0 : 1)
            }
        }
    }

    static func event(_ header: Netlink.Header, _ payload: RawSpan) -> InterfaceEvent? {
        switch Int(header.type) {
        case RTM_NEWLINK: LinkMessage(payload).map { .link($0.interface) }
        case RTM_DELLINK: LinkMessage(payload).map { .linkRemoved(index: $0.index, name: $0.name) }
        case RTM_NEWADDR: AddressMessage(payload).map { .address($0.address, index: $0.index) }
        case RTM_DELADDR: AddressMessage(payload).map { .addressRemoved($0.address, index: $0.index) }
        default: nil
        }
    }
}
