import Synchronization

/// Every driven host of the process by its handle.
///
/// A `cmptcp_host *` is a number that is never used again, not an address: a call with a stale or invented one finds
/// nothing, where it would otherwise read freed memory. The lock covers the table alone, so hosts may live on different
/// threads, each on one at a time.
enum HostTable {
    private struct Entries {
        var hosts: [UInt: DrivenHost] = [:]
        var last: UInt = 0
    }

    private static let entries = Mutex(Entries())

    static func insert(_ host: DrivenHost) -> OpaquePointer? {
        let handle = entries.withLock { entries in
            entries.last &+= 16
            entries.hosts[entries.last] = host
            return entries.last
        }
        return unsafe OpaquePointer(bitPattern: handle)
    }

    static func find(_ handle: OpaquePointer?) -> DrivenHost? {
        let number = UInt(bitPattern: handle)
        return entries.withLock { $0.hosts[number] }
    }

    static func remove(_ handle: OpaquePointer?) {
        let number = UInt(bitPattern: handle)
        _ = entries.withLock { $0.hosts.removeValue(forKey: number) }
    }
}
