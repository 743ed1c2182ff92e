public import TransportValues
import WireFormats

/// One address of this host, as it may be used for further subflows or announced.
public struct LocalAddress: Sendable, Equatable {
    /// The host's identifier of the address, 1...255; the address of a connection's first subflow is 0 there.
    public var id: AddressID
    public var address: IPAddress
    public var interface: InterfaceID

    public init(id: AddressID, address: IPAddress, interface: InterfaceID) {
        self.id = id
        self.address = address
        self.interface = interface
    }
}

/// A subflow that the connection wants opened.
public struct PathRequest: Sendable, Equatable {
    public var local: LocalAddress
    public var remote: Endpoint
    public var remoteID: AddressID
}

/// The addresses of both ends as one connection knows them, what has been announced, and which pairs were tried.
struct AddressBook {
    struct Remote {
        var id: AddressID
        var endpoint: Endpoint
    }

    /// How far the announcement of an own address is (RFC 8684 §3.4.1).
    enum Announcement: Equatable {
        case none
        case waiting(until: MonotonicInstant, tries: Int)
        case echoed
        case unanswered
    }

    struct Local {
        var value: LocalAddress
        var announcement = Announcement.none
    }

    struct Attempt {
        var local: IPAddress
        var remote: Endpoint
        var tries: Int
        var notBefore: MonotonicInstant
        var isOpen: Bool
    }

    static let announcementTries = 4
    static let joinTries = 6
    static let outgoingLimit = 32

    private(set) var locals: [Local] = []
    private(set) var remotes: [Remote] = []
    private var attempts: [Attempt] = []
    private var outgoing: [MPTCPOption] = []
    /// The first subflow's, which the peer knows by identifier 0; nil once it was withdrawn.
    private var initialLocal: IPAddress?
    /// The first subflow's own address is announced like any other: the peer may know another one for it.
    private let announcesInitial: Bool
    /// No subflow is left.
    private var hurries = false
    let limit: Int

    init(limit: Int, announcesInitial: Bool = false) {
        self.limit = limit
        self.announcesInitial = announcesInitial
    }

    mutating func noteInitial(local setup: SubflowSetup, remote: Endpoint) {
        initialLocal = setup.tuple.local.address
        remotes = [Remote(id: AddressID(0), endpoint: remote)]
    }

    /// More than one pair of addresses could carry a subflow.
    var hasAlternative: Bool { locals.count > 1 || remotes.count > 1 }

    // MARK: Own addresses

    /// Takes the host's addresses; new ones are announced when `announce` says so.
    mutating func setLocals(_ values: [LocalAddress], announce: Bool, now: MonotonicInstant) {
        for value in values where !locals.contains(where: { $0.value.address == value.address }) {
            var local = Local(value: value)
            let isHidden = value.address == initialLocal && !announcesInitial
            if isHidden { local.value.id = AddressID(0) }
            if announce, !isHidden, !value.address.isLinkLocal {
                local.announcement = .waiting(until: now, tries: 0)
            }
            locals.append(local)
        }
    }

    /// Withdraws an own address.
    /// - Parameter isTold: with REMOVE_ADDR, in case the peer knows it.
    mutating func removeLocal(_ address: IPAddress, isTold: Bool) {
        guard let index = locals.firstIndex(where: { $0.value.address == address }) else { return }
        let id = locals.remove(at: index).value.id
        attempts.removeAll { $0.local == address }
        guard isTold else { return }
        // If it comes back, it is an address like any other, to be announced.
        if address == initialLocal { initialLocal = nil }
        enqueue(.removeAddress(RemoveAddress(id)))
    }

    // MARK: The peer's addresses

    enum Acceptance { case accepted, known, refused }

    mutating func accept(id: AddressID, endpoint: Endpoint) -> Acceptance {
        if let known = remotes.first(where: { $0.id == id }) {
            return known.endpoint == endpoint ? .known : .refused
        }
        // The first address counts for itself: id 0.
        guard remotes.count - 1 < limit else { return .refused }
        remotes.append(Remote(id: id, endpoint: endpoint))
        return .accepted
    }

    mutating func removeRemote(_ id: AddressID) -> Bool {
        guard let index = remotes.firstIndex(where: { $0.id == id }) else { return false }
        let endpoint = remotes.remove(at: index).endpoint
        attempts.removeAll { $0.remote == endpoint }
        return true
    }

    mutating func noteEcho(_ address: AddAddress) -> Bool {
        guard
            let index = locals.firstIndex(where: {
                $0.value.id == address.addressID && $0.value.address == address.address
            })
        else { return false }
        locals[index].announcement = .echoed
        return true
    }

    // MARK: Options to send

    var nextOutgoing: MPTCPOption? { outgoing.first }
    mutating func removeOutgoing() { outgoing.removeFirst() }

    /// False when too many wait already; the peer asks again, or the timer does.
    @discardableResult
    mutating func enqueue(_ option: MPTCPOption) -> Bool {
        guard outgoing.count < Self.outgoingLimit else { return false }
        outgoing.append(option)
        return true
    }

    // MARK: Time

    /// When the next announcement is due.
    var nextAnnouncement: MonotonicInstant {
        var deadline = MonotonicInstant.distantFuture
        for local in locals {
            if case .waiting(let until, _) = local.announcement { deadline = min(deadline, until) }
        }
        return deadline
    }

    /// When a pair of addresses may be tried again.
    var nextAttempt: MonotonicInstant {
        var deadline = MonotonicInstant.distantFuture
        for attempt in attempts where !attempt.isOpen && (hurries || attempt.tries < Self.joinTries) {
            deadline = min(deadline, attempt.notBefore)
        }
        return deadline
    }

    /// Announces what is due; an announcement is repeated until it is echoed.
    mutating func advance(to now: MonotonicInstant, keys: ConnectionKeys) {
        for index in locals.indices {
            guard case .waiting(let until, let tries) = locals[index].announcement, until <= now else { continue }
            guard tries < Self.announcementTries else {
                locals[index].announcement = .unanswered
                continue
            }
            let local = locals[index].value
            if keys.version == .zero {
                // Nobody echoes: said twice, in case the first is lost.
                enqueue(.addAddress(AddAddress(version0: local.id, address: local.address)))
                locals[index].announcement =
                    tries == 0 ? .waiting(until: now + .seconds(1 as Int64), tries: 1) : .unanswered
                continue
            }
            let hmac = KeyMaterial.addAddressHMAC(
                senderKey: keys.local, receiverKey: keys.remote, addressID: local.id, address: local.address, port: nil)
            enqueue(
                .addAddress(
                    AddAddress(addressID: local.id, address: local.address, hmac: hmac)))
            locals[index].announcement = .waiting(until: now + .seconds(Int64(1 << tries)), tries: tries + 1)
        }
    }

    // MARK: Full mesh

    /// The next pair of addresses without a subflow, and notes it as tried.
    /// - Parameter isUrgent: there is no subflow: pairs are tried again without end, and soon.
    mutating func nextPair(
        now: MonotonicInstant, skipInitialRemote: Bool, isUrgent: Bool, inUse: (IPAddress, Endpoint) -> Bool
    ) -> PathRequest? {
        hurries = isUrgent
        for remote in remotes {
            if skipInitialRemote, remote.id.rawValue == 0 { continue }
            for local in locals where local.value.address.isIPv6 == remote.endpoint.address.isIPv6 {
                if inUse(local.value.address, remote.endpoint) {
                    noteOpen(local.value.address, remote.endpoint)
                    continue
                }
                let request = PathRequest(local: local.value, remote: remote.endpoint, remoteID: remote.id)
                if begin(request, now: now) { return request }
            }
        }
        return nil
    }

    /// A pair that is in use, whoever opened it, is not tried.
    private mutating func noteOpen(_ local: IPAddress, _ remote: Endpoint) {
        for index in attempts.indices where attempts[index].local == local && attempts[index].remote == remote {
            attempts[index].isOpen = true
        }
    }

    private mutating func begin(_ request: PathRequest, now: MonotonicInstant) -> Bool {
        let address = request.local.address
        guard let index = attempts.firstIndex(where: { $0.local == address && $0.remote == request.remote }) else {
            guard attempts.count < 256 else { return false }
            attempts.append(
                Attempt(local: address, remote: request.remote, tries: 1, notBefore: .distantFuture, isOpen: true))
            return true
        }
        if attempts[index].isOpen {
            // It was open and is not in use any more: wait before the next try.
            attempts[index].isOpen = false
            attempts[index].notBefore = now + backoff(attempts[index].tries)
            return false
        }
        guard hurries || attempts[index].tries < Self.joinTries, attempts[index].notBefore <= now else { return false }
        attempts[index].tries += 1
        attempts[index].isOpen = true
        attempts[index].notBefore = .distantFuture
        return true
    }

    private func backoff(_ tries: Int) -> TimeSpan {
        hurries ? .milliseconds(500 << Int64(min(tries, 4))) : .seconds(Int64(1 << min(tries, 6)))
    }

    /// A subflow between these two has ended.
    mutating func noteFailed(_ local: IPAddress, _ remote: Endpoint, now: MonotonicInstant) {
        guard locals.contains(where: { $0.value.address == local }) else { return }
        if let index = attempts.firstIndex(where: { $0.local == local && $0.remote == remote }) {
            guard attempts[index].isOpen else { return }
            attempts[index].isOpen = false
            attempts[index].notBefore = now + backoff(attempts[index].tries)
        } else if attempts.count < 256 {
            attempts.append(
                Attempt(local: local, remote: remote, tries: 1, notBefore: now + backoff(1), isOpen: false))
        }
    }

    /// A join succeeded: the next failure is the first.
    mutating func noteJoined(_ local: IPAddress, _ remote: Endpoint) {
        for index in attempts.indices where attempts[index].local == local && attempts[index].remote == remote {
            attempts[index].tries = 1
        }
    }

    /// No subflow is left: what waits long for its next try waits no longer than a second.
    mutating func hasten(now: MonotonicInstant) {
        hurries = true
        for index in attempts.indices where !attempts[index].isOpen {
            attempts[index].notBefore = min(attempts[index].notBefore, now + .seconds(1 as Int64))
            attempts[index].tries = min(attempts[index].tries, 1)
        }
    }

    /// Pairs from these addresses wait no longer for their next try, those without a way included.
    mutating func retry(from locals: [IPAddress], now: MonotonicInstant) {
        for index in attempts.indices where !attempts[index].isOpen && locals.contains(attempts[index].local) {
            attempts[index].tries = 1
            attempts[index].notBefore = min(attempts[index].notBefore, now)
        }
    }

    /// The host has no way from this address to that one.
    mutating func noteUnreachable(_ request: PathRequest) {
        guard
            let index = attempts.firstIndex(where: {
                $0.local == request.local.address && $0.remote == request.remote
            })
        else { return }
        attempts[index].isOpen = false
        attempts[index].tries = Self.joinTries
        attempts[index].notBefore = .distantFuture
    }
}
