/// Which segments, by their control bits, may carry which option.
enum OptionPlacement {
    /// Whether an option of this subtype may stand in a segment with these flags.
    static func allows(_ subtype: MPTCPSubtype, in flags: TCPFlags) -> Bool {
        let isSynchronizing = flags.contains(.syn)
        let isReset = flags.contains(.rst)
        switch subtype {
        //= RFC 8684 §3.1, §3.2 MP_CAPABLE and MP_JOIN stand on SYN, SYN/ACK and ACK.
        case .capable, .join: return !isReset
        case .signal, .addAddress, .removeAddress, .priority: return !isSynchronizing && !isReset
        //= RFC 8684 §3.7 on a RST, or on an ACK while a single subflow goes on.
        case .fail: return !isSynchronizing
        //= RFC 8684 §3.5 on an ACK or on RSTs.
        case .fastClose: return !isSynchronizing
        //= RFC 8684 §3.6 on a TCP RST.
        case .reset: return isReset
        case .experimental: return true
        }
    }
}
