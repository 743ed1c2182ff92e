public import TransportValues
import WireFormats

/// A subflow that the connection wants opened.
public struct PathRequest: Sendable, Equatable {
    public var local: LocalAddress
    public var remote: Endpoint
    public var remoteID: AddressID
    /// The peer announced it, and it has answered no join yet.
    public var isUnproven = false
}

/// The addresses of both ends as one connection knows them, what has been announced, and which pairs were tried.
struct AddressBook {
    struct Remote {
        var id: AddressID
        var endpoint: Endpoint
        /// The first one, or a join to it was answered with the right HMAC.
        var isProven = false
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
        /// What announcements call it: the host's identifier, of the first address too.
        var announcedID: AddressID
        var announcement = Announcement.none
    }

    struct Attempt {
        var local: IPAddress
        var remote: Endpoint
        var tries: Int
        var notBefore: MonotonicInstant
        var isOpen: Bool

        /// An attempt from an unspecified address stands for one from whatever address the routes chose.
        func matches(_ local: IPAddress, _ remote: Endpoint) -> Bool {
            self.remote == remote && (self.local == local || self.local.isUnspecified)
        }
    }

    static let announcementTries = 4
    static let joinTries = 6
    static let outgoingLimit = 32
    /// Joins of one connection to announced addresses that have not answered; taking an address back and announcing it
    /// again does not begin anew.
    static let unprovenJoins = 32

    private(set) var locals: [Local] = []
    //= RFC 8684 §3.2, §3.4.1 IDs and addresses of both ends, as far as they were announced
    private(set) var remotes: [Remote] = []
    private var attempts: [Attempt] = []
    private var outgoing: [MPTCPOption] = []
    private var initialRemote = Endpoint(.anyIPv4, 0)
    /// The first subflow's, which the peer knows by identifier 0; nil once it was withdrawn.
    private var initialLocal: IPAddress?
    /// The first subflow's own address is announced like any other: the peer may know another one for it.
    private let announcesInitial: Bool
    /// No subflow is left.
    private var hurries = false
    private var unprovenLeft = AddressBook.unprovenJoins
    let limit: Int
    /// Announced with every address, the first one too; nil: the connection's own port, and the first is known.
    let joinPort: UInt16?

    init(limit: Int, joinPort: UInt16?, announcesInitial: Bool = false) {
        self.limit = limit
        self.joinPort = joinPort
        self.announcesInitial = announcesInitial
    }

    mutating func noteInitial(local setup: SubflowSetup, remote: Endpoint) {
        initialLocal = setup.tuple.local.address
        initialRemote = remote
        remotes = [Remote(id: AddressID(0), endpoint: remote, isProven: true)]
    }

    /// More than one pair of addresses could carry a subflow.
    var hasAlternative: Bool { locals.count > 1 || remotes.count > 1 }

    // MARK: Own addresses

    /// Takes the host's addresses; new ones are announced when `announce` says so.
    mutating func setLocals(_ values: [LocalAddress], announce: Bool, now: MonotonicInstant) {
        for value in values {
            let place = locals.firstIndex { $0.value.address == value.address }
            if let place, locals[place].value.use == value.use, locals[place].value.port == value.port { continue }
            var local = Local(value: value, announcedID: value.id)
            let isInitial = value.address == initialLocal
            if isInitial, value.port == nil, !announcesInitial { local.value.id = AddressID(0) }
            let isHidden = isInitial && !announcesInitial && (value.port ?? joinPort) == nil
            let isAnnounced = value.use.contains(.signal) || value.use.contains(.automatic) && announce
            if isAnnounced, !isHidden, !value.address.isLinkLocal {
                local.announcement = .waiting(until: now, tries: 0)
            }
            if let place { locals[place] = local } else { locals.append(local) }
        }
    }

    /// Its owner uses an own address no more: REMOVE_ADDR where the peer may know it.
    mutating func retire(_ address: IPAddress) {
        guard let index = locals.firstIndex(where: { $0.value.address == address }) else { return }
        let id = locals[index].announcedID
        locals[index].value.use = []
        locals[index].value.port = nil
        locals[index].announcement = .none
        attempts.removeAll { $0.local == address }
        if id.rawValue != 0 { enqueue(.removeAddress(RemoveAddress(id))) }
    }

    //= RFC 8684 §3.4.2 an address that goes is withdrawn, in use or not
    /// Withdraws an own address.
    /// - Parameter isTold: with REMOVE_ADDR, in case the peer knows it.
    mutating func removeLocal(_ address: IPAddress, isTold: Bool) {
        guard let index = locals.firstIndex(where: { $0.value.address == address }) else { return }
        let local = locals.remove(at: index)
        attempts.removeAll { $0.local == address }
        guard isTold else { return }
        // If it comes back, it is an address like any other, to be announced.
        if address == initialLocal { initialLocal = nil }
        // What was neither announced nor joined from, the peer has not heard of.
        if local.value.use.isEmpty, local.value.id.rawValue != 0 { return }
        var removal = RemoveAddress(local.value.id)
        if local.announcedID != local.value.id, local.announcement != .none { removal.append(local.announcedID) }
        enqueue(.removeAddress(removal))
    }

    // MARK: The peer's addresses

    enum Acceptance { case accepted, known, refused }

    mutating func accept(id: AddressID, endpoint: Endpoint) -> Acceptance {
        if remotes.contains(where: { $0.id == id && $0.endpoint == endpoint }) { return .known }
        //= RFC 8684 §3.4.1 an ID that is known may come with another port of its address, not with another address
        if remotes.contains(where: { $0.id == id && $0.endpoint.address != endpoint.address }) { return .refused }
        // The first address, which the peer may have withdrawn, counts for itself: id 0.
        //= RFC 8684 §3.4.1 soft state: what there is no room for is dropped
        guard remotes.count(where: { $0.id.rawValue != 0 }) < limit else { return .refused }
        remotes.append(Remote(id: id, endpoint: endpoint))
        return .accepted
    }

    mutating func removeRemote(_ id: AddressID) -> Bool {
        var known = false
        while let index = remotes.firstIndex(where: { $0.id == id }) {
            let endpoint = remotes.remove(at: index).endpoint
            attempts.removeAll { $0.remote == endpoint }
            known = true
        }
        return known
    }

    mutating func noteEcho(_ address: AddAddress) -> Bool {
        guard
            let index = locals.firstIndex(where: {
                $0.announcedID == address.addressID && $0.value.address == address.address && address.port == ($0.value.port ?? joinPort)
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
            if unprovenLeft == 0, remotes.contains(where: { $0.endpoint == attempt.remote && !$0.isProven }) {
                continue
            }
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
            let id = locals[index].announcedID
            let address = locals[index].value.address
            let port = locals[index].value.port ?? joinPort
            if keys.version == .zero {
                // Nobody echoes: said twice, in case the first is lost.
                enqueue(.addAddress(AddAddress(version0: id, address: address, port: port)))
                locals[index].announcement =
                    tries == 0 ? .waiting(until: now + .seconds(1 as Int64), tries: 1) : .unanswered
                continue
            }
            let hmac = KeyMaterial.addAddressHMAC(
                senderKey: keys.local, receiverKey: keys.remote, addressID: id, address: address, port: port)
            enqueue(.addAddress(AddAddress(addressID: id, address: address, port: port, hmac: hmac)))
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
            //= RFC 8684 §3.1 C set: no further subflow to that address and port, under whatever ID it is announced
            if skipInitialRemote, remote.endpoint == initialRemote { continue }
            for local in candidates(for: remote, isUrgent: isUrgent) {
                if inUse(local.address, remote.endpoint) {
                    noteOpen(local.address, remote.endpoint)
                    continue
                }
                if !remote.isProven, unprovenLeft == 0 { continue }
                let request = PathRequest(
                    local: local, remote: remote.endpoint, remoteID: remote.id, isUnproven: !remote.isProven)
                if begin(request, now: now) {
                    if !remote.isProven { unprovenLeft -= 1 }
                    return request
                }
            }
        }
        // What is due and was not begun can't be: its addresses are gone, or not to be used. It must not stay due.
        attempts.removeAll { !$0.isOpen && $0.notBefore <= now && (hurries || $0.tries < Self.joinTries) }
        return nil
    }

    /// The own addresses that may join this one of the peer's.
    private func candidates(for remote: Remote, isUrgent: Bool) -> [LocalAddress] {
        let family = locals.map(\.value).filter { $0.address.isIPv6 == remote.endpoint.address.isIPv6 }
        if remote.id.rawValue == 0 {
            return family.filter {
                $0.use.contains(.automatic)
                    || ($0.address == initialLocal ? isUrgent : $0.use.contains(.subflow))
            }
        }
        let meshed = family.filter { $0.use.contains(.automatic) || $0.use.contains(.fullMesh) }
        guard meshed.isEmpty, !family.isEmpty else { return meshed }
        let any = remote.endpoint.address.isIPv6 ? IPAddress.anyIPv6 : .anyIPv4
        return [LocalAddress(id: AddressID(0), address: any, interface: family[0].interface)]
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
    //= RFC 8684 §3.6 no further try on a path that the peer's RST called broken for good; but for a connection that has
    // no other left
    mutating func noteFailed(_ local: IPAddress, _ remote: Endpoint, forGood: Bool, now: MonotonicInstant) {
        guard locals.contains(where: { $0.value.address == local }),
            remotes.contains(where: { $0.endpoint == remote })
        else { return }
        if let index = attempts.firstIndex(where: { $0.matches(local, remote) }) {
            if forGood { attempts[index].tries = Self.joinTries }
            guard attempts[index].isOpen else { return }
            attempts[index].isOpen = false
            attempts[index].notBefore = now + backoff(attempts[index].tries)
        } else if attempts.count < 256 {
            attempts.append(
                Attempt(
                    local: local, remote: remote, tries: forGood ? Self.joinTries : 1, notBefore: now + backoff(1),
                    isOpen: false))
        }
    }

    /// The peer's own: it knows the keys.
    mutating func noteAnswered(_ remote: Endpoint) {
        for index in remotes.indices where remotes[index].endpoint == remote { remotes[index].isProven = true }
    }

    /// The host does not want it now; it does not count as tried.
    mutating func postpone(_ request: PathRequest, until: MonotonicInstant) {
        if request.isUnproven { unprovenLeft += 1 }
        guard
            let index = attempts.firstIndex(where: {
                $0.local == request.local.address && $0.remote == request.remote
            })
        else { return }
        attempts[index].isOpen = false
        attempts[index].tries -= 1
        attempts[index].notBefore = until
    }

    /// A join succeeded: the next failure is the first.
    mutating func noteJoined(_ local: IPAddress, _ remote: Endpoint) {
        for index in attempts.indices where attempts[index].matches(local, remote) {
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
