import HostStack
import MPTCPConnection
import MPTCPSockets
internal import Synchronization
import Testing
import TransportValues

/// Bytes through the public API, two stacks in one process.
@Suite struct TransferTests {
    @Test func echoesOverTwoPaths() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            let sent = pattern(0..<100_000)
            async let echo: Void = {
                while let bytes = try await server.read() { try await server.write(bytes) }
                try await server.finishWriting()
            }()
            try await client.write(sent)
            try await client.finishWriting()
            var received: [UInt8] = []
            while try await client.read(appendingTo: &received) > 0 {}
            try await echo
            #expect(received == sent)
            let snapshot = try #require(await client.snapshot())
            #expect(snapshot.isMultipath)
            #expect(snapshot.bytesSent == 100_000)
            #expect(snapshot.bytesReceived == 100_000)
            try await client.waitUntilClosed()
            #expect(await client.snapshot()?.closeReason == .finished)
        }
    }

    @Test func bulkUsesBothPathsBothWays() async throws {
        try await withTimeLimit(60) {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            let total = 3_000_000
            let sinks = (CheckingSink(), CheckingSink())
            async let up = client.send(from: PatternSource(total: total))
            async let down = server.send(from: PatternSource(total: total))
            async let atServer = server.receive(into: sinks.0)
            async let atClient = client.receive(into: sinks.1)
            #expect(try await up == total)
            try await client.finishWriting()
            #expect(try await down == total)
            try await server.finishWriting()
            #expect(try await atServer == total)
            #expect(try await atClient == total)
            #expect(sinks.0.state.withLock { $0.firstFault } == nil)
            #expect(sinks.1.state.withLock { $0.firstFault } == nil)
            let subflows = try #require(await client.snapshot()).subflows
            #expect(subflows.count == 2)
            for subflow in subflows { #expect(subflow.bytesSent > 0) }
        }
    }

    @Test func writingWaitsForAReaderThatDoesNotRead() async throws {
        try await withTimeLimit {
            var settings = ConnectionConfiguration()
            settings.sendBuffer = 128 << 10
            settings.receiveBuffer = 128 << 10
            settings.initialReceiveWindow = 64 << 10
            let pair = try StackPair(connection: settings)
            let (client, server) = try await pair.connected(port: 7)
            let data = pattern(0..<2_000_000)
            let writer = Task { try await client.write(data) }
            try await Task.sleep(for: .milliseconds(300))
            // Both buffers are full, and no more has been taken than they hold.
            let taken = try #require(await client.snapshot()).bytesSent
            #expect(taken >= 64 << 10)
            #expect(taken <= 300 << 10)
            var received: [UInt8] = []
            while received.count < data.count {
                guard try await server.read(appendingTo: &received) > 0 else { break }
            }
            try await writer.value
            #expect(received == data)
        }
    }

    @Test func halfCloseLeavesTheOtherDirectionOpen() async throws {
        try await withTimeLimit {
            let pair = try StackPair()
            let (client, server) = try await pair.connected(port: 7)
            try await client.finishWriting()
            #expect(try await server.read() == nil)
            await #expect(throws: SocketError.closed) { try await client.write([1]) }
            for part in 0..<10 { try await server.write(pattern(part * 1000..<(part + 1) * 1000)) }
            try await server.close()
            var received: [UInt8] = []
            while try await client.read(appendingTo: &received) > 0 {}
            #expect(received == pattern(0..<10_000))
            try await client.waitUntilFinished()
        }
    }

    @Test func plainTCPWorksToo() async throws {
        try await withTimeLimit {
            var settings = ConnectionConfiguration()
            settings.multipath = .off
            let pair = try StackPair(connection: settings)
            let (client, server) = try await pair.connected(port: 7)
            try await client.write(pattern(0..<50_000))
            try await client.finishWriting()
            var received: [UInt8] = []
            while try await server.read(appendingTo: &received) > 0 {}
            #expect(received == pattern(0..<50_000))
            #expect(await client.snapshot()?.isMultipath == false)
            try await server.close()
            try await client.close()
        }
    }

    @Test func manyConnectionsAtOnce() async throws {
        try await withTimeLimit(60) {
            let pair = try StackPair()
            let listener = try await pair.server.listen(port: 9)
            let serving = Task {
                try await withThrowingDiscardingTaskGroup { group in
                    for try await socket in listener {
                        group.addTask {
                            while let bytes = try await socket.read() { try await socket.write(bytes) }
                            try await socket.close()
                        }
                    }
                }
            }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<64 {
                    group.addTask {
                        let socket = try await pair.client.connect(to: Endpoint(pair.serverAddress, 9))
                        let data = pattern(number * 1000..<number * 1000 + 20_000)
                        try await socket.write(data)
                        try await socket.finishWriting()
                        var received: [UInt8] = []
                        while try await socket.read(appendingTo: &received) > 0 {}
                        try await socket.close()
                        return received == data
                    }
                }
                for try await intact in group { #expect(intact) }
            }
            await listener.close()
            try await serving.value
        }
    }
}
