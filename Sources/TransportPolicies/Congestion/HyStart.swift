import TransportValues

/// HyStart++ (RFC 9406): slow start that ends before the queue overflows, by the growth of the round trip.
struct HyStart: Sendable, BitwiseCopyable {
    //= RFC 9406 §4.3: MIN_RTT_THRESH = 4 ms, MAX_RTT_THRESH = 16 ms, MIN_RTT_DIVISOR = 8, N_RTT_SAMPLE = 8,
    // CSS_GROWTH_DIVISOR = 4, CSS_ROUNDS = 5; L = infinity for paced senders
    static let leastThreshold = TimeSpan.milliseconds(4)
    static let greatestThreshold = TimeSpan.milliseconds(16)
    static let samplesWanted = 8
    static let conservativeDivisor = 4
    static let conservativeRounds = 5

    enum Phase: UInt8, Sendable, BitwiseCopyable {
        case slowStart
        /// Conservative slow start: a quarter of the growth, while it shows whether the queue really grows.
        case conservative
        case done
    }

    private(set) var phase = Phase.slowStart
    private var last = TimeSpan.nanoseconds(.max)
    private var current = TimeSpan.nanoseconds(.max)
    private var samples = 0
    private var baseline = TimeSpan.zero
    private var rounds = 0

    /// An acknowledgement in slow start; true: slow start is over, ssthresh becomes the window.
    mutating func acknowledged(roundTrip: TimeSpan?, startsRound: Bool) -> Bool {
        if startsRound {
            if phase == .conservative {
                rounds += 1
                if rounds >= Self.conservativeRounds {
                    //= RFC 9406 §4.2: after CSS_ROUNDS of conservative slow start congestion avoidance begins
                    phase = .done
                    return true
                }
            }
            //= RFC 9406 §4.2: at the start of each round lastRoundMinRTT = currentRoundMinRTT
            last = current
            current = .nanoseconds(.max)
            samples = 0
        }
        guard let roundTrip, phase != .done else { return false }
        current = min(current, roundTrip)
        samples += 1
        guard samples >= Self.samplesWanted, current != .nanoseconds(.max), last != .nanoseconds(.max) else {
            return false
        }
        if phase == .slowStart {
            let threshold = max(Self.leastThreshold, min(last / 8, Self.greatestThreshold))
            if current >= last + threshold {
                //= RFC 9406 §4.2: the round trip has grown: conservative slow start
                baseline = current
                rounds = 0
                phase = .conservative
            }
        } else if current < baseline {
            //= RFC 9406 §4.2: it fell again: the growth was no queue, slow start resumes
            baseline = .nanoseconds(.max)
            phase = .slowStart
        }
        return false
    }

    /// Bytes by which the window grows for `bytes` acknowledged.
    func growth(_ bytes: Double) -> Double {
        phase == .conservative ? bytes / Double(Self.conservativeDivisor) : bytes
    }

    //= RFC 9406 §4.3: HyStart++ is for the initial slow start; later ones have a threshold
    mutating func congestionSeen() { phase = .done }
}
