import BasicContainers
import TCPSubflow
import TransportPolicies
public import TransportValues
public import WireFormats

extension Connection {
    /// Opens actively: a SYN with MP_CAPABLE becomes due, or a plain one.
    /// - Parameter version: to begin with, where the configuration leaves it open; nil: as TCP, since Multipath TCP is
    ///   known not to get through.
    public static func initiate(
        _ configuration: ConnectionConfiguration, key: UInt64, setup: SubflowSetup, random: RandomSource,
        version: MultipathVersion? = .one, now: MonotonicInstant, counters: inout StackCounters
    ) -> Connection {
        let begun: MultipathVersion? =
            switch configuration.multipath {
            case .off: nil
            case .version1: .one
            case .version0: .zero
            case .automatic: version
            }
        let state: ProtocolState =
            begun != nil ? .offered : configuration.multipath == .off ? .plain : .fallenBack(.remembered)
        var connection = Connection(
            role: .initiator, configuration: configuration, state: state,
            keys: ConnectionKeys(local: key, version: begun ?? .one), random: random)
        connection.useChecksum =
            configuration.requestChecksum || (begun == .zero && configuration.checksumInVersion0)
        let tcp = Subflow(
            activeOpen: connection.subflowConfiguration(setup), initialSequence: setup.initialSequence,
            timestampOffset: setup.timestampOffset, now: now)
        connection.addInitial(
            SubflowContext(tcp: tcp, setup: setup, handshake: .initial, remoteAddressID: AddressID(0)))
        if state == .offered { counters.count(.MPCapableSYNTX) }
        return connection
    }

    /// Opens passively for a SYN that reached a listener.
    public static func respond(
        _ configuration: ConnectionConfiguration, key: UInt64, setup: SubflowSetup, syn: TCPSegment,
        random: RandomSource, now: MonotonicInstant, counters: inout StackCounters
    ) -> Connection {
        var state = ProtocolState.plain
        var checksum = configuration.requestChecksum
        var version = MultipathVersion.one
        if configuration.multipath != .off {
            let answer = Self.judge(synOptions: syn.options.multipath, configuration.multipath, counters: &counters)
            state = answer.state
            version = answer.version
            checksum = checksum || answer.checksum || (version == .zero && configuration.checksumInVersion0)
        }
        var connection = Connection(
            role: .listener, configuration: configuration, state: state,
            keys: ConnectionKeys(local: key, version: version), random: random)
        connection.useChecksum = checksum && state == .offered
        //= RFC 6824 §3.1 the SYN carries the key already
        if state == .offered, version == .zero, case .capable(let capable)? = syn.options.multipath.other,
            let remote = capable.senderKey
        {
            connection.keys.learn(remote: remote)
        }
        if case .capable(let capable)? = syn.options.multipath.other {
            connection.peerForbidsJoinToInitial = capable.noAdditionalSubflows
        }
        let tcp = Subflow(
            passiveOpen: connection.subflowConfiguration(setup), initialSequence: setup.initialSequence,
            timestampOffset: setup.timestampOffset, syn: syn, now: now)
        connection.addInitial(
            SubflowContext(tcp: tcp, setup: setup, handshake: .initial, remoteAddressID: AddressID(0)))
        return connection
    }

    /// Whether a SYN is not answered at all.
    public static func ignores(syn: TCPSegment, _ mode: MultipathMode) -> Bool {
        guard case .capable(let capable)? = syn.options.multipath.other else { return false }
        //= RFC 6824 §3.1 a host that does not understand what B announces MUST silently ignore the SYN
        return capable.version == 0 && capable.extensibility && mode.serves(.zero)
    }

    /// What a SYN's MP_CAPABLE allows (RFC 8684 §3.1, RFC 6824 §3.1).
    private static func judge(
        synOptions: MPTCPOptions, _ mode: MultipathMode, counters: inout StackCounters
    ) -> (state: ProtocolState, version: MultipathVersion, checksum: Bool) {
        guard case .capable(let capable)? = synOptions.other else {
            return (.fallenBack(.peerSentNoCapable), .one, false)
        }
        counters.count(.MPCapableSYNRX)
        //= RFC 8684 §3.1 a later version is answered with the highest that this host speaks: the peer has sent no key
        // that version 0 could use, so that is version 1 or nothing
        let version: MultipathVersion = capable.version == 0 ? .zero : .one
        guard mode.serves(version), (capable.senderKey != nil) == version.hasKeyInSYN else {
            return (.fallenBack(.versionMismatch), version, false)
        }
        //= RFC 8684 §3.1 B set: the option is ignored
        if capable.extensibility { return (.fallenBack(.extensibilityFlag), version, false) }
        //= RFC 8684 §3.1 no common crypto algorithm: fall back
        if !capable.hmacSHA256 { return (.fallenBack(.unsupportedCrypto), version, false) }
        return (.offered, version, capable.checksumRequired)
    }

    private mutating func addInitial(_ context: consuming SubflowContext) {
        initialTupleStored = context.setup.tuple
        addresses.noteInitial(local: context.setup, remote: context.setup.tuple.remote)
        contexts.append(context)
    }

    func subflowConfiguration(_ setup: SubflowSetup) -> SubflowConfiguration {
        let headers = setup.tuple.isIPv6 ? 60 : 40
        let segment = max(88, setup.mtu - headers)
        var result = SubflowConfiguration(maximumSegmentSize: segment)
        result.windowScale = windowScale
        result.congestion = configuration.congestion
        result.maximumBurst = max(segment, setup.maximumPacket - headers)
        result.synRetries = configuration.synRetries
        result.userTimeout = configuration.userTimeout
        result.sharedTimeoutLimit = max(configuration.longestRetransmissionTimeout, .milliseconds(200))
        if let idle = configuration.keepalive {
            result.keepalive = SubflowConfiguration.Keepalive(
                idle: idle, interval: configuration.keepaliveInterval, probes: configuration.keepaliveProbes)
        }
        result.timeWait = configuration.timeWait
        return result
    }

    /// The smallest shift with which the largest window fits into 16 bits (RFC 7323 §2.3).
    var windowScale: UInt8 {
        var shift: UInt8 = 0
        while shift < 14, configuration.receiveBuffer >> Int(shift) > 65_535 { shift += 1 }
        return shift
    }

    // MARK: Joins

    /// Opens another subflow to the peer; returns its index, nil where the connection can't have one.
    public mutating func openJoin(
        _ setup: SubflowSetup, remoteAddressID: AddressID, now: MonotonicInstant, counters: inout StackCounters
    ) -> Int? {
        guard isFullyMultipath, phase == .open, liveSubflows < configuration.maximumSubflows else { return nil }
        var setup = setup
        if pathUse == .handover { setup.isBackup = true }
        var settings = subflowConfiguration(setup)
        // One at a time: a path that does not answer within seconds makes way for the next.
        if pathUse == .single || isPathless { settings.synRetries = min(settings.synRetries, 1) }
        let tcp = Subflow(
            activeOpen: settings, initialSequence: setup.initialSequence, timestampOffset: setup.timestampOffset,
            now: now)
        counters.count(.MPJoinSynTx)
        return place(
            SubflowContext(
                tcp: tcp, setup: setup, handshake: .joinSynSent(nonce: random.nextWord()),
                remoteAddressID: remoteAddressID))
    }

    /// Answers a SYN with MP_JOIN whose token is ours; returns the subflow's index, nil to refuse it.
    public mutating func acceptJoin(
        _ setup: SubflowSetup, syn: TCPSegment, now: MonotonicInstant, counters: inout StackCounters
    ) -> Int? {
        guard case .join(.syn(let backup, let addressID, _, let nonce))? = syn.options.multipath.other else {
            return nil
        }
        counters.count(.MPJoinSynRx)
        if backup { counters.count(.MPJoinSynBackupRx) }
        guard isFullyMultipath, phase == .open, liveSubflows < configuration.maximumSubflows,
            peerMayJoin(setup.tuple)
        else {
            counters.count(.MPJoinRejected)
            return nil
        }
        let tcp = Subflow(
            passiveOpen: subflowConfiguration(setup), initialSequence: setup.initialSequence,
            timestampOffset: setup.timestampOffset, syn: syn, now: now)
        var context = SubflowContext(
            tcp: tcp, setup: setup,
            handshake: .joinSynReceived(localNonce: random.nextWord(), remoteNonce: nonce),
            remoteAddressID: addressID)
        context.peerWantsBackup = backup
        return place(context)
    }

    /// A join may not repeat a four-tuple in use.
    private func peerMayJoin(_ tuple: FourTuple) -> Bool {
        for index in contexts.indices where !contexts[index].isClosed && contexts[index].setup.tuple == tuple {
            return false
        }
        return true
    }

    private mutating func place(_ fresh: consuming SubflowContext) -> Int {
        var context = fresh
        context.tcp.sharesWindow = true
        for index in contexts.indices where contexts[index].isRetired {
            contexts[index] = context
            return index
        }
        contexts.append(context)
        return contexts.count - 1
    }

    /// Subflows that are neither closed nor in TIME-WAIT.
    public var liveSubflows: Int {
        var count = 0
        for index in contexts.indices where !contexts[index].isClosed { count += 1 }
        return count
    }
}
