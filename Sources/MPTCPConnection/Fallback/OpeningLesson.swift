import BasicContainers
public import TransportValues
public import WireFormats

/// What the opening of one connection taught about its peer and the path to it.
public enum OpeningLesson: Sendable, Equatable {
    /// Multipath TCP of this version works.
    case speaks(MultipathVersion)
    /// The SYN/ACK was plain TCP's, after an offer of this version.
    case plainAfter(MultipathVersion)
    /// SYNs with MP_CAPABLE got no answer, one without did.
    case capableVanishes
}

extension Connection {
    /// Asked when an active open has succeeded; nil: nothing that the next connection could use.
    public var openingLesson: OpeningLesson? {
        guard role == .initiator else { return nil }
        switch state {
        case .multipath: return .speaks(keys.version)
        case .fallenBack(.versionMismatch): return peerAnsweredVersionZero ? .speaks(.zero) : nil
        case .fallenBack(.synAckWithoutCapable): return .plainAfter(keys.version)
        case .fallenBack(.synUnanswered): return .capableVanishes
        case .fallenBack, .plain, .offered: return nil
        }
    }

    /// The first subflow's interface.
    public var initialInterface: InterfaceID? { contexts.isEmpty ? nil : contexts[0].setup.interface }
}
