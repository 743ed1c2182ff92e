import HostStack
import MPTCPConnection
import Testing
import TransportValues

/// Streams that end before any data was sent.
@Suite struct EarlyCloseTests {
    /// Closed at once, or after the handshake; the peer hears it within a second, as Multipath TCP.
    ///
    ///= RFC 8684 §3.3.3 DATA_FIN ends the stream; no DATA_ACK has come that would tell that the peer knows the keys
    @Test(arguments: [MultipathMode.version1, .version0], [true, false])
    func endOfStreamWithoutData(_ mode: MultipathMode, atOnce: Bool) throws {
        var settings = ConnectionConfiguration()
        settings.multipath = mode
        // Nothing of the server's may confirm the keys beforehand.
        settings.announceAddresses = false
        let pair = PairedHosts(paths: 1, client: settings, server: settings)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        if !atOnce { pair.run(for: .milliseconds(100)) }
        pair.client.finishWriting(id, now: pair.now)
        pair.run(for: .milliseconds(500))
        let first = pair.server.accept(listener)
        let accepted = try #require(first)
        #expect(pair.read(client: false, accepted).ended)
        #expect(pair.snapshot(client: false, accepted)?.isMultipath == true)
        #expect(pair.server.counters[.MPCapableFallbackACK] == 0)
        pair.server.finishWriting(accepted, now: pair.now)
        pair.run(for: .seconds(2))
        #expect(pair.snapshot(client: true, id)?.closeReason == .finished)
        #expect(pair.snapshot(client: false, accepted)?.closeReason == .finished)
    }
}
