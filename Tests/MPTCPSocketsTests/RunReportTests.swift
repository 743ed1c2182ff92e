import Foundation
import HostStack
import MPTCPConnection
import MPTCPSockets
import Testing
import TransportValues

@Suite struct RunReportTests {
    @Test func aConnectionsReportHasTheContractsShape() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            try await client.write([1, 2, 3])
            _ = try await server.read()
            let report = RunReport(
                role: .client, seconds: 1.25, connection: await client.snapshot(), paths: await pair.client.paths())
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any])
            #expect(object["seconds"] as? Double == 1.25)
            #expect(object["bytesSent"] as? Int == 3)
            #expect(object["multipath"] as? Bool == true)
            #expect(object["version"] as? Int == 1)
            #expect(object["fallback"] is NSNull)
            let subflow = try #require((object["subflows"] as? [[String: Any]])?.first)
            #expect(subflow["path"] as? String == "path0")
            #expect((subflow["local"] as? String)?.hasPrefix("10.1.0.1:") == true)
            #expect(subflow["remote"] as? String == "10.1.0.2:7")
            #expect(subflow["roundTripMilliseconds"] is Double)
            #expect(subflow["backup"] as? Bool == false)
            #expect(subflow["closeReason"] is NSNull)
        }
    }

    @Test func textIsEscapedAndExtremesAreKept() async throws {
        let pair = try StackPair()
        let (client, _) = try await pair.connected(port: 7)
        var snapshot = try #require(await client.snapshot())
        var subflow = try #require(snapshot.subflows.first)
        subflow.local = Endpoint(.anyIPv6, 1)
        subflow.bytesSent = .max
        subflow.state = "a \"b\" \\ \n\u{1}"
        subflow.closeReason = "ü"
        snapshot.subflows = [subflow]
        let json = RunReport(role: .server, seconds: .nan, connection: snapshot, paths: []).json
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let told = try #require((object["subflows"] as? [[String: Any]])?.first)
        #expect(told["state"] as? String == subflow.state)
        #expect(told["closeReason"] as? String == "ü")
        #expect(told["local"] as? String == "[::]:1")
        #expect(told["bytesSent"] as? UInt64 == .max)
        #expect(object["seconds"] as? Int == 0)
    }

    @Test(arguments: [
        (0.0, 3, "0.000"), (1.9996, 3, "2.000"), (-0.0004, 3, "0.000"), (-1.5, 0, "-2"), (12.05, 1, "12.1"),
        (Double.infinity, 2, "0"), (1e14, 2, "100000000000000.00"),
    ])
    func fixedPointNumbers(value: Double, digits: Int, text: String) {
        #expect(fixedPoint(value, digits: digits) == text)
    }
}
