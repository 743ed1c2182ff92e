import BasicContainers
import TCPSubflow
import TransportPolicies

extension Connection {
    /// The subflows as coupled congestion control sees them (RFC 6356 §3); nil where none of it is coupled.
    func siblings(of index: Int) -> CoupledGroup? {
        guard configuration.congestion.isCoupled else { return nil }
        var group = CoupledGroup()
        for other in contexts.indices where carriesData(other) { group.measure(contexts[other].tcp.coupledShare) }
        for other in contexts.indices where carriesData(other) { group.rank(contexts[other].tcp.coupledShare) }
        if carriesData(index) { group.own = contexts[index].tcp.coupledShare }
        return group
    }

    private func carriesData(_ index: Int) -> Bool {
        contexts[index].isReady && contexts[index].tcp.canSendData && contexts[index].tcp.roundTrip.hasSample
    }
}
