import Foundation

/// The counters of a namespace's kernel, as `nstat` names them.
public struct KernelCounters: Sendable {
    public var values: [String: UInt64]

    public init(_ namespace: Namespace) throws {
        struct Output: Decodable { var kernel: [String: UInt64] }
        let text = try namespace.run(inside: "nstat -asz --json")
        values = try JSONDecoder().decode(Output.self, from: Data(text.utf8)).kernel
    }

    private init(values: [String: UInt64]) { self.values = values }

    /// 0 for a name that this kernel doesn't know; the short names of MPTcpExt will do.
    public subscript(name: String) -> UInt64 {
        values[name] ?? values["MPTcpExt" + name] ?? 0
    }

    /// What moved since `earlier`.
    public func since(_ earlier: KernelCounters) -> KernelCounters {
        KernelCounters(values: values.mapValues { $0 }.merging(earlier.values) { $0 &- $1 })
    }

    /// Counters of Multipath TCP that say that something is wrong with the peer, and what each is at, without zeros.
    ///
    /// Not among them: reinjection (MPTCPRetrans), duplicate and out-of-order data and window sharing, which a healthy
    /// transfer over two paths has.
    public var troubles: [String] {
        Self.troubleNames.compactMap { name in
            let value = self[name]
            return value == 0 ? nil : "\(name)=\(value)"
        }
    }

    public static let troubleNames = [
        "MPCapableFallbackACK", "MPCapableFallbackSYNACK", "MPCapableSYNTXDrop", "MPCapableEndpAttempt",
        "MPFallbackTokenInit", "MPJoinNoTokenFound", "MPJoinSynAckHMacFailure", "MPJoinAckHMacFailure",
        "MPJoinRejected", "MPJoinSynTxCreatSkErr", "MPJoinSynTxBindErr", "MPJoinSynTxConnectErr",
        "DSSNotMatching", "DSSCorruptionFallback", "DSSCorruptionReset", "InfiniteMapTx", "InfiniteMapRx",
        "DSSNoMatchTCP", "DataCsumErr", "NoDSSInWindow", "AddAddrTxDrop", "EchoAddTxDrop", "AddAddrDrop",
        "MismatchPortSynRx", "MismatchPortAckRx", "RmAddrDrop", "RmAddrTxDrop", "MPFailTx", "MPFailRx",
        "MPFastcloseTx", "MPFastcloseRx", "MPRstTx", "MPRstRx", "Blackhole",
        "MPCapableDataFallback", "MD5SigFallback", "DssFallback", "SimultConnectFallback", "FallbackFailed",
    ].map { "MPTcpExt" + $0 }
}
