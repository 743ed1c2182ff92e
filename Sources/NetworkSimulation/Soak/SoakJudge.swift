import HostStack
import MPTCPConnection
import TransportValues

/// Says what the two ends of a connection may have come to.
struct SoakJudge {
    let weather: SoakEpisode.Weather

    static func describe(_ flow: SoakFlow) -> String {
        let snapshot = flow.snapshot ?? flow.host.stack.snapshot(flow.connection)
        let subflows = snapshot?.subflows.map {
            "\($0.local)>\($0.remote) \($0.state) \($0.closeReason ?? "-") sent \($0.bytesSent) got \($0.bytesReceived)"
        }
        return "\(flow.host.name)'s \(flow.isClient ? "client" : "server") end of #\(flow.header?.id ?? 0) "
            + "begun \(flow.begun.nanoseconds) ns, sent \(flow.sent) of \(flow.sends), received \(flow.received) of "
            + "\(flow.expects), \(flow.reason.map { "\($0)" } ?? snapshot?.state ?? "gone"), "
            + "\(snapshot?.isMultipath == true ? "version \(snapshot?.version ?? -1)" : "plain"), "
            + "fallback \(snapshot?.fallback ?? "-"), subflows \(subflows ?? [])"
            + (flow.isOver ? "" : flow.host.stack.progressDescription(of: flow.connection).map { " {\($0)}" } ?? "")
    }

    func judge(_ pair: SoakTraffic.Pair, _ outcome: inout SoakOutcome) {
        let client = pair.client
        outcome.connections += 1
        outcome.bytes += client.received + (pair.server?.received ?? 0)
        for flow in [client, pair.server].compactMap({ $0 }) { checkBytes(flow, &outcome) }
        if let server = pair.server {
            checkTruth(client, server, &outcome)
            checkTruth(server, client, &outcome)
        } else if isClean(client), client.sends > 0 {
            fail("no server end knows it", client, nil, &outcome)
        }
        let isCut = client.hasAborted || client.releasesEarly || pair.server?.hasAborted == true
        if isCut {
            outcome.aborted += 1
        } else if isClean(client), pair.server.map(isClean) ?? true {
            if client.snapshot?.isMultipath == true { outcome.multipath += 1 } else { outcome.plain += 1 }
        } else {
            let reason = client.reason.map { "\($0)" } ?? "no end"
            outcome.failed[reason, default: 0] += 1
            if weather == .fair { fail("did not arrive", client, pair.server, &outcome) }
        }
    }

    /// A connection whose header never came, or had none.
    func judgeNameless(_ flow: SoakFlow, _ outcome: inout SoakOutcome) {
        if flow.isGarbled, isProven(flow) { fail("a header that nobody sent", flow, nil, &outcome) }
    }

    private func fail(_ what: String, _ one: SoakFlow, _ other: SoakFlow?, _ outcome: inout SoakOutcome) {
        guard outcome.violations.count < 12 else { return }
        outcome.violations.append("\(what): \(Self.describe(one))\(other.map { " | " + Self.describe($0) } ?? "")")
    }

    private func isClean(_ flow: SoakFlow) -> Bool { flow.reason == .finished }

    /// What arrives was as it was sent, as far as the protocol can know: without DSS checksums nothing shows that a box
    /// rewrote it.
    private func isProven(_ flow: SoakFlow) -> Bool {
        weather != .damaging || flow.snapshot?.checksum == true
    }

    private func checkBytes(_ flow: SoakFlow, _ outcome: inout SoakOutcome) {
        guard isProven(flow) else { return }
        if let place = flow.mismatch { fail("wrong byte at \(place)", flow, nil, &outcome) }
        if flow.received > flow.expects { fail("more bytes than were sent", flow, nil, &outcome) }
    }

    /// An end that was told that all is well has all, and so has the other.
    private func checkTruth(_ flow: SoakFlow, _ other: SoakFlow, _ outcome: inout SoakOutcome) {
        guard isClean(flow), !flow.hasAborted else { return }
        if isProven(flow), flow.received != flow.expects || flow.sent != flow.sends || !flow.peerFinished {
            fail("a clean end without all bytes", flow, other, &outcome)
        }
        if !flow.toldFinished { fail("a clean end without all being acknowledged", flow, other, &outcome) }
        if !other.hasAborted, !other.releasesEarly, isProven(other), other.received != flow.sent {
            fail("told that all arrived, which is not so", flow, other, &outcome)
        }
    }
}
