/// The one place that decides which Multipath TCP options stand together in one segment: an ``OptionBlock`` refuses
/// what it does not allow, and of received options the later one of two that it does not allow is ignored.
///
/// RFC 8684 says it option by option: MP_CAPABLE with data stands in the place of a DSS (§3.1), MP_FAIL may stand beside
/// a DSS (§3.7), MP_FAIL and MP_FASTCLOSE beside MP_TCPRST on a RST (§3.6), and the address signals on any segment of
/// an established subflow (§3.4). All the rest exclude one another, as in Linux. Beside a DSS at most two others stand.
public enum OptionCombination {
    /// Whether options of these two subtypes may stand in one segment. Two of one subtype never do.
    public static func allows(_ first: MPTCPSubtype, with second: MPTCPSubtype) -> Bool {
        companions(bit(first)) & bit(second) != 0
    }

    /// Whether the two may stand in one segment; unlike the question by subtypes, this one knows that a MP_CAPABLE of
    /// version 0 does not take the DSS's place.
    public static func allowsSignal(beside option: MPTCPOption) -> Bool {
        signalCompanions & bit(option) != 0
    }

    // Inside, options are sets of bits: the subtype's, or bit 14 for a MP_CAPABLE of version 0 with both keys.

    @usableFromInline
    static func bit(_ subtype: MPTCPSubtype) -> UInt16 { 1 &<< UInt16(subtype.rawValue) }

    static var versionZeroCapable: UInt16 { 1 &<< 14 }

    static func bit(_ option: MPTCPOption) -> UInt16 {
        if case .capable(let capable) = option, capable.receiverKey != nil,
            MultipathVersion(rawValue: capable.version)?.allowsSignalBesideCapable == true
        {
            return versionZeroCapable
        }
        return bit(option.subtype)
    }

    @usableFromInline static var signalBit: UInt16 { 1 &<< 2 }

    /// REMOVE_ADDR, MP_PRIO, ADD_ADDR, MP_FAIL, experimental, and version 0's MP_CAPABLE.
    @usableFromInline static var signalCompanions: UInt16 { 0xc078 }

    /// The options that may stand beside the one of this bit; symmetrical.
    private static func companions(_ single: UInt16) -> UInt16 {
        let addressing = bit(.removeAddress) | bit(.priority)
        switch single {
        case bit(.capable): return bit(.removeAddress)
        case versionZeroCapable: return bit(.removeAddress) | signalBit
        case bit(.join): return addressing
        case signalBit: return signalCompanions
        case bit(.addAddress): return addressing | signalBit
        case bit(.removeAddress):
            return bit(.capable) | versionZeroCapable | bit(.join) | signalBit | bit(.addAddress) | bit(.priority)
        case bit(.priority): return bit(.join) | signalBit | bit(.addAddress) | bit(.removeAddress)
        case bit(.fail): return signalBit | bit(.reset)
        case bit(.fastClose): return bit(.reset)
        case bit(.reset): return bit(.fail) | bit(.fastClose)
        case bit(.experimental): return signalBit
        default: return 0
        }
    }

    /// Whether every option of `added` may stand beside every one of `present`.
    static func allows(_ added: UInt16, besides present: UInt16) -> Bool {
        if ((added | present) & ~signalBit).nonzeroBitCount > 2 { return false }
        var rest = added
        while rest != 0 {
            let single = rest & (0 &- rest)
            if present & ~companions(single) != 0 { return false }
            rest &= rest &- 1
        }
        return true
    }
}
