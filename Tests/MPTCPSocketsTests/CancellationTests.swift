import HostStack
import MPTCPConnection
import MPTCPSockets
import Testing
import TransportValues

/// What is left behind when a task is cancelled or one side gives up.
@Suite struct CancellationTests {
    @Test func aCancelledReadLosesNoBytes() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            for round in 0..<20 {
                let reader = Task { () -> [UInt8]? in
                    do { return try await server.read() } catch SocketError.cancelled { return [] }
                }
                if round % 2 == 0 { try await Task.sleep(for: .milliseconds(2)) }
                async let writing: Void = client.write(pattern(round * 100..<round * 100 + 100))
                reader.cancel()
                var got = try #require(try await reader.value)
                try await writing
                while got.count < 100 { _ = try await server.read(appendingTo: &got, upTo: 100 - got.count) }
                #expect(got == pattern(round * 100..<round * 100 + 100))
            }
        }
    }

    @Test func aCancelledWriteTellsHowMuchWillArrive() async throws {
        try await withTimeLimit {
            var settings = ConnectionConfiguration()
            settings.sendBuffer = 64 << 10
            settings.receiveBuffer = 64 << 10
            settings.initialReceiveWindow = 64 << 10
            let pair = try StackPair(connection: settings)
            let (client, server) = try await pair.connected(port: 7)
            let writer = Task { () -> Int in
                do {
                    try await client.write(pattern(0..<1_000_000))
                    return 1_000_000
                } catch SocketError.cancelled(let taken) {
                    return taken
                }
            }
            try await Task.sleep(for: .milliseconds(100))
            writer.cancel()
            let taken = try await writer.value
            #expect(taken > 0 && taken < 1_000_000)
            // The stream goes on behind exactly these bytes.
            try await client.finishWriting()
            var received: [UInt8] = []
            while try await server.read(appendingTo: &received) > 0 {}
            #expect(received == pattern(0..<taken))
        }
    }

    @Test func aCancelledConnectAbortsTheAttempt() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            // Nobody is at this address of the subnet, so no answer comes.
            let attempt = Task { try await pair.client.connect(to: Endpoint(IPAddress(10, 1, 0, 77), 9)) }
            try await Task.sleep(for: .milliseconds(50))
            attempt.cancel()
            await #expect(throws: SocketError.cancelled(bytesTaken: 0)) { try await attempt.value }
        }
    }

    @Test func aConnectionToNobodyIsRefused() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            await #expect(throws: SocketError.connection(.refused)) {
                try await pair.client.connect(to: Endpoint(pair.serverAddress, 1))
            }
        }
    }

    @Test func abortIsToldToThePeer() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            let reader = Task { try await server.read() }
            try await Task.sleep(for: .milliseconds(20))
            await client.abort()
            do {
                _ = try await reader.value
                Issue.record("the read ended as if all were well")
            } catch SocketError.connection(let reason) {
                #expect(reason == .fastClosed || reason == .reset)
            }
            await #expect(throws: SocketError.closed) { try await client.read() }
        }
    }

    @Test func aSocketThatIsLetGoAborts() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let listener = try await pair.server.listen(port: 7)
            async let accepted = listener.accept()
            do {
                let socket = try await pair.client.connect(to: Endpoint(pair.serverAddress, 7))
                try await socket.write([1, 2, 3])
            }
            let peer = try #require(try await accepted)
            await #expect(throws: SocketError.self) {
                while try await peer.read() != nil {}
            }
        }
    }

    @Test func aSecondReaderIsRefused() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            let reader = Task { try await server.read() }
            try await Task.sleep(for: .milliseconds(50))
            await #expect(throws: SocketError.busy) { try await server.read() }
            try await client.write([9])
            #expect(try await reader.value == [9])
        }
    }

    @Test func closingAListenerEndsItsSequence() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let listener = try await pair.server.listen(port: 7)
            let waiting = Task { try await listener.accept() == nil }
            try await Task.sleep(for: .milliseconds(20))
            await listener.close()
            #expect(try await waiting.value)
            // The port is free again.
            let again = try await pair.server.listen(port: 7)
            #expect(again.local.port == 7)
        }
    }

    @Test func shuttingDownEndsEverything() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            let reader = Task { try await client.read() }
            try await Task.sleep(for: .milliseconds(20))
            await pair.client.shutDown()
            await #expect(throws: SocketError.self) { try await reader.value }
            await #expect(throws: SocketError.shutDown) {
                try await pair.client.connect(to: Endpoint(pair.serverAddress, 7))
            }
            await #expect(throws: SocketError.self) { try await server.read() }
        }
    }

    @Test func aListenerAtPortZeroGetsOne() async throws {
        let pair = try StackPair()
        let listener = try await pair.server.listen(port: 0)
        #expect(listener.local.port >= 49_152)
    }
}
