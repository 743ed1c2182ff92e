/// Why bytes are no well-formed header. Every case stands for one reason to drop a packet, and so for one counter.
public enum WireError: Error, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Fewer bytes than the header, or the length it states, needs.
    case truncated
    /// A length field that contradicts another one or the format.
    case badLength
    /// An IP version other than 4 and 6.
    case badVersion
    /// A checksum that does not match.
    case badChecksum
    /// A fragment of an IP packet; fragments are not reassembled.
    case fragment
    /// More IPv6 extension headers than are walked.
    case tooManyExtensionHeaders
    /// Another transport protocol than the one asked for.
    case wrongProtocol
    /// A well-formed message of a kind that is not understood.
    case unsupported
}
