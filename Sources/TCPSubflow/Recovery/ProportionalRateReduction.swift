import TransportPolicies
import TransportValues

/// Proportional rate reduction's variables (RFC 9937 §6): sending follows delivery, so that a recovery neither stops for
/// half a round trip nor bursts into the queue that has just overflowed.
struct RateReduction: BitwiseCopyable {
    /// RecoverFS.
    var entryFlight = 1
    /// prr_delivered and prr_out.
    var delivered = 0
    var sent = 0
    /// What may be in flight.
    var window = 0

    init() {}

    /// Recovery begins.
    /// - Parameters:
    ///   - flight: SND.NXT - SND.UNA after the acknowledgement that triggered it.
    ///   - acknowledged: what that one took off cumulatively.
    ///   - sacked: selectively acknowledged in all, and by that one alone.
    init(flight: Int, acknowledged: Int, sacked: Int, newlySacked: Int) {
        //= RFC 9937 §6.1: RecoverFS excludes what was selectively acknowledged before
        entryFlight = max(1, flight &+ acknowledged &- (sacked &- newlySacked))
    }

    /// An acknowledgement arrived in recovery.
    /// - Parameters:
    ///   - isSafe: SND.UNA advanced, and nothing more was found lost (SafeACK).
    ///   - target: ssthresh.
    mutating func acknowledged(delivered newly: Int, isSafe: Bool, inFlight: Int, target: Int, segment: Int) {
        guard newly > 0 else { return }
        delivered &+= newly
        var allowance: Int
        if inFlight > target {
            //= RFC 9937 §6.2: sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out
            let product = min(delivered, 1 << 31) &* min(target, 1 << 31)
            allowance = (product &+ entryFlight &- 1) / entryFlight &- sent
        } else {
            //= RFC 9937 §6.2: PRR-CRB, and one SMSS more with SafeACK (PRR-SSRB)
            allowance = max(delivered &- sent, newly)
            if isSafe { allowance &+= segment }
            allowance = min(target &- inFlight, allowance)
        }
        //= RFC 9937 §6.2: the fast retransmit is forced when nothing was sent yet
        if sent == 0, allowance <= 0 { allowance = segment }
        window = inFlight &+ max(0, allowance)
    }
}
