internal import Glibc
internal import TransportValues

/// The one clock of a real stack: `CLOCK_MONOTONIC`.
enum LoopClock {
    static func now() -> MonotonicInstant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}

/// 32 bytes from the system's generator (getrandom on Linux): the seed of every key, nonce and sequence number.
func systemRandomSource() -> RandomSource {
    var system = SystemRandomNumberGenerator()
    return RandomSource(seed: [system.next(), system.next(), system.next(), system.next()])
}
