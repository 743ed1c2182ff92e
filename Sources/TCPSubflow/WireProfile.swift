/// Wire conventions that the RFCs leave to the sender: order of options, what stands beside what, PSH, sizes.
///
/// Conformance suites written for one stack expect that stack's choices; a profile names them. Every receiver takes
/// them all, so nothing here changes what is accepted. Padding is not among them: every profile aligns options to four
/// bytes with NOPs, as Linux does.
public struct WireProfile: Sendable, Equatable, BitwiseCopyable {
    /// When data carries PSH.
    public enum Push: UInt8, Sendable, CaseIterable, BitwiseCopyable {
        /// On the segment that empties the send buffer (RFC 9293 §3.9.1.2, MUST-61); not when it is repeated.
        case endOfBuffer
        /// The same, and again when that segment is repeated.
        case endOfBufferAndRepeats
        /// On every segment with payload.
        case everySegment
    }

    public var push = Push.endOfBuffer
    /// DATA_ACKs have 8 bytes from the first on; else 4 until an 8-byte number has come, which RFC 8684 §3.3.2 answers
    /// with 8.
    public var longDataAck = false
    /// Mappings carry the low 4 bytes of the data sequence number; else all 8. For suites and slow connections alone:
    /// RFC 8684 §3.3.1 demands 8 where 2^32 bytes could go within a segment's lifetime.
    public var shortDataSequence = false
    /// SACK permitted fills the padding of the timestamps in a SYN; else each option is padded by itself.
    public var packsSynchronize = true
    /// SACK blocks stand before Multipath TCP options; else behind.
    public var blocksFirst = false
    /// DSS stands before REMOVE_ADDR; else behind.
    public var signalFirst = false
    /// MP_FAIL stands before DSS on an ACK; else behind.
    public var failFirst = false
    /// ADD_ADDR stands alone; else a DATA_ACK stands beside it where there is room.
    public var addressAlone = false
    /// A proven ADD_ADDR shows that the peer has both keys, so joins and DSS follow before any DATA_ACK; else only a
    /// DATA_ACK shows it, and that DSS gets through (RFC 8684 §3.1).
    public var addressProvesKeys = false
    /// RSTs of a synchronized subflow carry timestamps (RFC 7323 §3.2 lets them be left out).
    public var stampedResets = false
    /// MP_TCPRST stands beside MP_FASTCLOSE on a RST.
    public var fastCloseWithReason = false
    /// The window in SYN and SYN/ACK is a whole number of segments, timestamps of a SYN/ACK counted off.
    public var synchronizesWholeSegments = false

    public init() {}

    /// What Linux 6.18 sends, as its captures show.
    public static var linux: WireProfile {
        var profile = WireProfile()
        profile.push = .endOfBufferAndRepeats
        profile.blocksFirst = true
        profile.signalFirst = true
        profile.failFirst = true
        profile.addressAlone = true
        profile.addressProvesKeys = true
        profile.stampedResets = true
        profile.fastCloseWithReason = true
        profile.synchronizesWholeSegments = true
        return profile
    }

    /// A profile by its name; nil where there is none of it.
    public init?(named name: String) {
        switch name {
        case "default": self.init()
        case "linux": self = .linux
        default: return nil
        }
    }
}
