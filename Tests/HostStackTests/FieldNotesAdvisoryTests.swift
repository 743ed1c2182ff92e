import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// The field notes' second table: what kernels had to mend, each as a test. Option combinations and wrong sizes
/// (CVE-2026-80587, -80586) are OptionTableTests; CVE-2025-23145 is HostilePeerTests.joinWithTheRightHMACIsAcknowledged.
@Suite struct FieldNotesAdvisoryTests {
    /// CVE-2025-21707: nothing of one segment's options is left for the next.
    @Test func optionsAreNotCarriedToTheNextSegment() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        peer.data([1, 2, 3], options: peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 3))
        // Out of order and without any option: the mapping before it must not be taken for it.
        peer.data([9, 9, 9], at: 6, options: OptionBlock())
        #expect(peer.host.counters[.unmappedData] == 1)
        peer.data([4, 5, 6], at: 3, options: peer.signal(dataAck: 1, dataOffset: 4, subflow: 4, length: 3))
        peer.data([7, 8, 9], at: 6, options: peer.signal(dataAck: 1, dataOffset: 7, subflow: 7, length: 3))
        #expect(peer.read(id) == [1, 2, 3, 4, 5, 6, 7, 8, 9])
        // A DATA_FIN in one, its bit gone in the next.
        peer.sequence &+= 9
        peer.ack(options: peer.signal(dataAck: 1))
        #expect(peer.snapshot(id)?.state == "open" && peer.snapshot(id)?.isMultipath == true)
    }

    /// CVE-2024-50185: a corrupt DSS ends as fallback where there is one subflow and as reset where there are several.
    @Test(arguments: [1, 2], UInt64(1)...3)
    func corruptSignals(paths: Int, seed: UInt64) throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        let pair = PairedHosts(seed: seed, paths: paths, client: settings, server: settings)
        var seen = 0
        pair.tamper = { packet in
            guard packet.fromClient, packet.interface.rawValue == Int32(paths - 1), let segment = packet.segment,
                segment.payloadLength > 0, segment.options.multipath.signal != nil
            else { return packet.bytes }
            seen += 1
            guard seen > 3 else { return packet.bytes }
            // The flags say that fields are there which the length has no room for.
            return RawEdit.changingOption(packet.bytes) {
                $0[3] |= 0x0a
                $0[3] ^= 0x08
            }
        }
        let whole = PairedHosts.pattern(0, 400_000)
        let exchange = try Exchange.run(pair, bytes: whole.count)
        #expect(seen > 3)
        #expect(exchange.up == whole && exchange.down == whole)
        #expect(pair.server.counters[.optionMalformed] > 0)
        if paths == 1 {
            #expect(exchange.serverSnapshot?.fallback != nil)
        } else {
            #expect(exchange.serverSnapshot?.isMultipath == true)
            #expect(pair.server.counters[.MPRstTx] >= 1)
        }
    }

    private static let other = Endpoint(IPAddress(10, 0, 2, 1), 6000)
    private static let second = Endpoint(IPAddress(10, 0, 2, 2), 80)

    private static func beginJoin(_ peer: ScriptedPeer) throws -> (acknowledgment: UInt32, third: OptionBlock) {
        var options = OptionBlock()
        options.append(
            .join(.syn(backup: false, addressID: AddressID(2), token: KeyMaterial.token(of: peer.hostKey), nonce: 7)))
        peer.send(.syn, from: other, to: second, sequence: 1, options: options)
        let answer = try #require(peer.replies().first { $0.segment.flags == [.syn, .ack] })
        guard case .join(.synAck(_, _, _, let nonce))? = answer.segment.options.multipath.other else {
            throw Unexpected("no MP_JOIN")
        }
        options = OptionBlock()
        options.append(
            .join(
                .ack(
                    hmac: KeyMaterial.joinHMAC(
                        localKey: peer.key, remoteKey: peer.hostKey, localNonce: 7, remoteNonce: nonce, version: .one)))
        )
        return (answer.segment.sequence.rawValue &+ 1, options)
    }

    /// CVE-2025-38552, -38491: MP_FAIL, or an infinite mapping, while a join is half open.
    @Test(arguments: [true, false])
    func fallbackWhileJoining(byFailure: Bool) throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        let (acknowledgment, third) = try Self.beginJoin(peer)
        var options = OptionBlock()
        if byFailure {
            options = peer.signal(dataAck: 1)
            options.append(
                .fail(MPFail(dataSequence: KeyMaterial.initialDataSequence(of: peer.hostKey) &+ 1)))
        } else {
            options = peer.signal(dataAck: 1, dataOffset: 1, subflow: 1, length: 0)
        }
        peer.ack(options: options)
        #expect(peer.host.counters[byFailure ? .MPFailRx : .InfiniteMapRx] == 1)
        _ = peer.replies()
        peer.send(.ack, from: Self.other, to: Self.second, sequence: 2, acknowledgment: acknowledgment, options: third)
        #expect(peer.host.counters[.MPJoinAckRx] == 0, "the join ended with the fallback")
        #expect(peer.host.counters[.joinsHalfOpen] == 0)
        // A new join is refused for good; a mapping of our own is never sent again.
        options = OptionBlock()
        options.append(
            .join(.syn(backup: false, addressID: AddressID(3), token: KeyMaterial.token(of: peer.hostKey), nonce: 8)))
        peer.send(
            .syn, from: Endpoint(IPAddress(10, 0, 2, 1), 6001), to: Self.second, sequence: 1, options: options)
        #expect(peer.replies().contains { $0.segment.destinationPort == 6001 && $0.segment.flags.contains(.rst) })
        _ = peer.host.write(id, [1, 2, 3].rawBytes, now: peer.now)
        let sent = peer.replies().filter { $0.payload == [1, 2, 3] }
        #expect(sent.count == 1)
        #expect(sent.allSatisfy { $0.segment.options.multipath.signal?.mapping?.length ?? 0 == 0 })
        if !byFailure {
            peer.data([5, 6], options: OptionBlock())
            #expect(peer.read(id) == [5, 6])
        }
    }

    /// CVE-2025-71126: options vanish while data of a dead path is being sent again on another.
    @Test(arguments: UInt64(1)...10)
    func fallbackWhileReinjecting(seed: UInt64) throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        let pair = PairedHosts(seed: seed, paths: 2, client: settings, server: settings)
        let death = pair.now + .milliseconds(60 + Int64(seed) * 7)
        pair.tamper = { packet in
            guard pair.now > death else { return packet.bytes }
            if packet.interface.rawValue == 0 { return nil }
            // The first repairs get through, then nothing that has an option.
            guard pair.now > death + .milliseconds(Int64(seed) * 60), packet.segment?.flags.contains(.syn) == false
            else {
                return packet.bytes
            }
            return RawEdit.strippingOptions(packet.bytes)
        }
        let whole = PairedHosts.pattern(0, 1_500_000)
        let exchange = try Exchange.run(pair, bytes: whole.count, seconds: 400)
        #expect(exchange.up == Array(whole.prefix(exchange.up.count)), "never a wrong byte")
        #expect(exchange.down == Array(whole.prefix(exchange.down.count)))
        let ended = [exchange.clientSnapshot, exchange.serverSnapshot].allSatisfy { $0?.closeReason != nil }
        #expect(
            (exchange.up.count == whole.count && exchange.down.count == whole.count) || ended, "neither whole nor over")
    }

    /// CVE-2026-80585, CVE-2023-54085: a Fast Open cookie, with data and without, in a SYN with MP_CAPABLE.
    @Test(arguments: [0, 10], [0, 8])
    func fastOpenIsNotOurs(payload: Int, cookie: Int) throws {
        let peer = ScriptedPeer()
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        let bytes = [UInt8](repeating: 5, count: cookie)
        var options = OptionBlock()
        let offered = FastOpenCookie(bytes.rawBytes)
        options.append(fastOpen: try #require(offered))
        options.append(.capable(MPCapable()))
        peer.send(
            .syn, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, options: options,
            payload: [UInt8](repeating: 1, count: payload))
        let answer = try #require(peer.replies().first)
        #expect(answer.segment.flags == [.syn, .ack] && answer.segment.acknowledgment.rawValue == 1001)
        #expect(answer.segment.options.fastOpen == nil)
        guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: 3, receiverKey: capable.senderKey, dataLength: 1)))
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        peer.data([1], options: options)
        let id = try #require(peer.accept(listener))
        #expect(peer.read(id) == [1] && peer.snapshot(id)?.isMultipath == true)
    }

    /// CVE-2026-63867: the right edge that DATA_ACK and window tell together never moves back, whatever subflow tells it,
    /// and no byte is sent beyond it.
    @Test(arguments: UInt64(1)...6)
    func dataAckAndWindowAreOfOneMoment(seed: UInt64) throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        settings.initialReceiveWindow = 32 << 10
        settings.receiveBuffer = 128 << 10
        let pair = PairedHosts(seed: seed, paths: 2, client: settings, server: settings)
        pair.keepsPackets = true
        pair.loss = 0.02
        let exchange = try Exchange.run(pair, bytes: 1_000_000)
        #expect(exchange.up.count == 1_000_000)
        var scale: UInt8 = 0
        var edge: UInt64?
        var told = 0
        for packet in pair.sent {
            guard let segment = packet.segment else { continue }
            if !packet.fromClient, segment.flags.contains(.syn) { scale = segment.options.windowScale ?? 0 }
            guard let signal = segment.options.multipath.signal, !segment.flags.contains(.syn) else { continue }
            if !packet.fromClient, case .eight(let ack)? = signal.dataAck {
                let now = ack &+ UInt64(segment.window) << UInt64(scale)
                // A window counts in units of 2^scale.
                if let before = edge {
                    #expect(Int64(bitPattern: now &- before) > -(Int64(1) << Int64(scale)), "the edge moved back")
                    if Int64(bitPattern: now &- before) > 0 { edge = now }
                } else {
                    edge = now
                }
                told += 1
            }
            if packet.fromClient, let mapping = signal.mapping, let edge, mapping.length > 0 {
                let end = mapping.dataSequence.rawValue &+ UInt64(mapping.length)
                #expect(Int64(bitPattern: end &- edge) <= 1, "sent beyond the edge (a DATA_FIN may stand at it)")
            }
        }
        #expect(told > 100)
    }

    /// CVE-2024-53122, CVE-2026-45889: buffers are tuned while a subflow is half open and data is out of order.
    @Test func tuningWithAHalfOpenSubflow() throws {
        var settings = ConnectionConfiguration()
        settings.initialReceiveWindow = 4096
        let peer = ScriptedPeer(settings: settings)
        let id = try peer.establish()
        _ = try Self.beginJoin(peer)
        var read = 0
        for number in 0..<400 {
            let offset = UInt32(number * 10)
            let late = [UInt8](repeating: 2, count: 5)
            peer.data(
                late, at: offset + 5,
                options: peer.signal(dataAck: 1, dataOffset: Int64(offset) + 6, subflow: offset + 6, length: 5))
            peer.data(
                late, at: offset,
                options: peer.signal(dataAck: 1, dataOffset: Int64(offset) + 1, subflow: offset + 1, length: 5))
            read += peer.read(id).count
            if number % 3 == 0 { peer.now = peer.now + .milliseconds(Int64(number % 7)) }
            _ = peer.replies()
        }
        #expect(read == 4000)
    }

    /// CVE-2024-45009, -45010: REMOVE_ADDR of what was never there, again and again, and the limits stay what they are.
    @Test func removalsNeverCountBelowZero() throws {
        let peer = ScriptedPeer()
        let id = try peer.establish()
        for number in 0..<300 {
            var removal = RemoveAddress(AddressID(UInt8(truncatingIfNeeded: number)))
            for extra in 1...20 { removal.append(AddressID(UInt8(truncatingIfNeeded: number + extra))) }
            var options = OptionBlock()
            options.append(.removeAddress(removal))
            peer.ack(options: options)
            _ = peer.replies()
        }
        #expect(peer.host.counters[.RmAddr] == 300)
        #expect(peer.host.counters[.RmSubflow] == 0, "the only subflow stays, address 0 or not")
        #expect(peer.snapshot(id)?.closeReason == nil)
        // Exactly the eight that are allowed, not eight and what was removed.
        for number in UInt8(1)...20 {
            let address = IPAddress(10, 0, 1, 100 + number)
            let hmac = KeyMaterial.addAddressHMAC(
                senderKey: peer.key, receiverKey: peer.hostKey, addressID: AddressID(number), address: address,
                port: nil)
            var options = OptionBlock()
            options.append(.addAddress(AddAddress(addressID: AddressID(number), address: address, hmac: hmac)))
            peer.ack(options: options)
            _ = peer.replies()
        }
        #expect(peer.host.counters[.AddAddr] == 20 && peer.host.counters[.AddAddrDrop] == 12)
        // Subflows: joined, removed, joined, and still as many as are allowed.
        let (acknowledgment, third) = try Self.beginJoin(peer)
        peer.send(.ack, from: Self.other, to: Self.second, sequence: 2, acknowledgment: acknowledgment, options: third)
        for _ in 0..<3 {
            var options = OptionBlock()
            options.append(.removeAddress(RemoveAddress(AddressID(2))))
            peer.ack(options: options)
        }
        #expect(peer.host.counters[.RmSubflow] == 1)
        #expect(peer.snapshot(id)?.closeReason == nil)
    }

    /// CVE-2026-46137 and others: ADD_ADDR's timer, echo or not, and the end of the connection at any time.
    @Test(arguments: 0..<12, [true, false])
    func announcementsEndWithTheConnection(step: Int, echoes: Bool) throws {
        let pair = PairedHosts(paths: 2)
        pair.tamper = { packet in
            if !echoes, packet.fromClient, case .addAddress? = packet.segment?.options.multipath.other { return nil }
            // Nothing on the second path: announcements are all that goes on.
            return packet.interface.rawValue == 1 ? nil : packet.bytes
        }
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        let id = try pair.client.connect(to: Endpoint(IPAddress(10, 0, 1, 2), 80), now: pair.now)
        _ = pair.write(client: true, id, [1])
        pair.run(for: .milliseconds(100 + Int64(step) * 1300))
        let found = pair.server.accept(listener)
        let accepted = try #require(found)
        pair.server.abort(accepted, now: pair.now)
        pair.server.release(accepted, now: pair.now)
        pair.run(for: .seconds(1 as Int64))
        pair.client.release(id, now: pair.now)
        pair.run(for: .seconds(300 as Int64))
        let (one, two) = (pair.client.occupancy, pair.server.occupancy)
        #expect(one.connections == 0 && one.flows == 0 && one.tokens == 0)
        #expect(two.connections == 0 && two.flows == 0 && two.tokens == 0)
        let deadlines = (pair.client.nextDeadline, pair.server.nextDeadline)
        #expect(deadlines.0 == .distantFuture && deadlines.1 == .distantFuture)
    }

    /// CVE-2025-71144: the same four-tuple again after a connection that fell back.
    @Test func reuseAfterFallback() throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version1
        settings.timeWait = .seconds(1 as Int64)
        let pair = PairedHosts(paths: 1, client: settings, server: settings)
        let listener = try pair.server.listen(on: Endpoint(.anyIPv4, 80), now: pair.now)
        for (strips, round) in [(true, 0), (false, 1), (true, 2), (false, 3)] {
            pair.tamper = { packet in
                strips && packet.segment?.flags.contains(.syn) == false
                    ? RawEdit.strippingOptions(packet.bytes) : packet.bytes
            }
            let id = try pair.client.connect(
                to: Endpoint(IPAddress(10, 0, 1, 2), 80), localPort: 4000, now: pair.now)
            let bytes = PairedHosts.pattern(round * 1000, 5000)
            _ = pair.write(client: true, id, bytes)
            pair.client.finishWriting(id, now: pair.now)
            pair.run(for: .seconds(2 as Int64))
            let found = pair.server.accept(listener)
            let accepted = try #require(found)
            #expect(pair.read(client: false, accepted).bytes == bytes)
            #expect(pair.snapshot(client: false, accepted)?.isMultipath == !strips, "round \(round)")
            pair.server.finishWriting(accepted, now: pair.now)
            pair.run(for: .seconds(2 as Int64))
            pair.client.release(id, now: pair.now)
            pair.server.release(accepted, now: pair.now)
            pair.run(for: .seconds(5 as Int64))
        }
        #expect(pair.server.occupancy.flows == 0)
    }

    /// n#121, n#219, n#374: MSS and window of zero, every scale, and RST at a listener.
    @Test(arguments: [UInt16(0), 1, 87, 536, 65_535], [UInt16(0), 1, 65_535])
    func zeroMSSAndWindow(segment: UInt16, window: UInt16) throws {
        let peer = ScriptedPeer()
        let listener = try peer.host.listen(on: Endpoint(.anyIPv4, 80), now: peer.now)
        peer.send(.rst, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1)
        peer.send([.rst, .ack], from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1, acknowledgment: 5)
        #expect(peer.replies().isEmpty)
        var options = OptionBlock()
        options.append(maximumSegmentSize: segment)
        options.append(windowScale: 14)
        options.append(.capable(MPCapable()))
        peer.send(
            .syn, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1000, window: window, options: options)
        let answer = try #require(peer.replies().first)
        guard case .capable(let capable)? = answer.segment.options.multipath.other else { throw Unexpected("no key") }
        peer.hostKey = try #require(capable.senderKey)
        peer.sequence = 1001
        peer.acknowledgment = answer.segment.sequence.rawValue &+ 1
        options = OptionBlock()
        options.append(.capable(MPCapable(senderKey: peer.key, receiverKey: peer.hostKey)))
        peer.send(
            .ack, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1001,
            acknowledgment: peer.acknowledgment, window: window, options: options)
        let id = try #require(peer.accept(listener))
        _ = peer.host.write(id, PairedHosts.pattern(0, 3000).rawBytes, now: peer.now)
        var probes = 0
        for _ in 0..<60 {
            let replies = peer.replies()
            if window == 0 { #expect(replies.allSatisfy { $0.payload.count <= 1 }) }
            probes += replies.count
            peer.wait(.seconds(1 as Int64))
        }
        #expect(probes > 0)
        // Then the window opens, and everything comes.
        var got = 0
        for _ in 0..<300 where got < 3000 {
            peer.send(
                .ack, from: ScriptedPeer.peer, to: ScriptedPeer.server, sequence: 1001,
                acknowledgment: peer.acknowledgment, window: 65_535, options: peer.signal(dataAck: Int64(got) + 1))
            for reply in peer.replies() where !reply.payload.isEmpty {
                guard reply.segment.sequence.rawValue == peer.acknowledgment else { continue }
                peer.acknowledgment &+= UInt32(reply.payload.count)
                got += reply.payload.count
            }
            peer.wait(.milliseconds(300))
        }
        if peer.snapshot(id)?.closeReason == nil { #expect(got == 3000) }
    }
}
