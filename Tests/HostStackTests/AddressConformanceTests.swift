import HostStack
import MPTCPConnection
import Testing
import TransportValues
import WireFormats

/// What RFC 8684 §3, §3.4 and §4 ask of signals about addresses, by script.
@Suite struct AddressConformanceTests {
    //= RFC 8684 §3, §3.4.1 sequence and acknowledgment numbers are checked before any signal is looked at
    @Test func signalsOutsideTheWindowAreNotTaken() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        let close = OptionBlock(.fastClose(MPFastClose(receiverKey: peer.hostKey)))
        let address = peer.advertisement(5, IPAddress(10, 0, 9, 1))
        let removal = OptionBlock(.removeAddress(RemoveAddress(AddressID(2))))
        let join = try peer.joined()
        for options in [close, address, removal] {
            peer.say(lane, at: 1_000_000_000, options: options)
            peer.say(lane, at: 0 &- 2_000_000_000, options: options)
            var wrong = lane
            wrong.acknowledgment &+= 500_000
            peer.say(wrong, options: options)
        }
        #expect(peer.snapshot(id)?.closeReason == nil)
        #expect(peer.host.counters[.AddAddr] == 0 && peer.host.counters[.RmAddr] == 0)
        #expect(peer.host.counters[.MPFastcloseRx] == 0)
        #expect(!peer.replies().contains { $0.goes(to: join) && $0.isReset })
        peer.say(lane, options: address)
        #expect(peer.host.counters[.AddAddr] == 1)
    }

    //= RFC 8684 §3, §3.4.1, §4 a duplicate ACK with a signal is no sign of congestion; one with a DSS alone is
    @Test(arguments: [false, true]) func duplicatesWithSignalsAreNoLoss(withSignal: Bool) throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        #expect(peer.write(id, PairedHosts.pattern(0, 14_000)) == 14_000)
        #expect(peer.replies().filter { !$0.payload.isEmpty }.count >= 4)
        for _ in 0..<5 {
            var options = peer.signal(dataAck: 1)
            if withSignal { options.append(.priority(MPPriority(backup: false))) }
            peer.say(lane, options: options)
        }
        #expect(peer.replies().contains { !$0.payload.isEmpty } == !withSignal)
    }

    //= RFC 8684 §3, §3.4.1, §4 no more than two duplicate ACKs in a row for signals alone; all are said in the end
    @Test func atMostTwoSignalsInARow() throws {
        let peer = ScriptedPeer()
        let (_, lane) = try peer.opened()
        _ = peer.replies()
        for number in UInt8(1)...6 {
            peer.host.addAddress(IPAddress(10, 0, 2, 100 + number), prefixLength: 24, to: ScriptedPeer.second)
        }
        peer.host.announceAddresses(now: peer.now)
        var announced: [UInt8: IPAddress] = [:]
        for _ in 0..<60 {
            let sent = peer.replies().filter { $0.payload.isEmpty && $0.multipath.other != nil }
            #expect(sent.count <= 2)
            for reply in sent {
                guard let address = reply.multipath.other.addAddress else { continue }
                //= RFC 8684 §3.4.1 an ID stands for one address
                let known = announced[address.addressID.rawValue]
                #expect(known == nil || known == address.address)
                announced[address.addressID.rawValue] = address.address
            }
            peer.wait(.milliseconds(500))
        }
        // The other interface's address, and the six.
        #expect(Set(announced.values).count == 7 && announced.count == 7)
        #expect(announced[0] == nil)
        _ = lane
    }

    //= RFC 8684 §3.4.1 without a port the subflow's own is meant; the local one is chosen afresh (a deviation)
    @Test func anAddressWithoutAPortMeansThatOfTheSubflow() throws {
        let peer = ScriptedPeer()
        let (_, lane) = try peer.answered()
        _ = peer.replies()
        peer.say(lane, options: peer.advertisement(6, IPAddress(10, 0, 2, 1)))
        let joins = ScriptedPeer.joins(peer.replies())
        #expect(!joins.isEmpty)
        #expect(joins.allSatisfy { $0.ip.destination == IPAddress(10, 0, 2, 1) && $0.segment.destinationPort == 80 })
    }

    //= RFC 8684 §3.4.1 an ID may come again with another port of its address, which is tried, but not with another
    // address before it was removed
    @Test func anIDStandsForOneAddress() throws {
        let peer = ScriptedPeer()
        let (_, lane) = try peer.answered()
        _ = peer.replies()
        func destinations(_ options: OptionBlock) -> Set<Endpoint> {
            peer.say(lane, options: options)
            return Set(
                ScriptedPeer.joins(peer.replies()).map { Endpoint($0.ip.destination, $0.segment.destinationPort) })
        }
        let one = IPAddress(10, 0, 2, 1)
        let two = IPAddress(10, 0, 2, 9)
        #expect(destinations(peer.advertisement(6, one)) == [Endpoint(one, 80)])
        #expect(destinations(peer.advertisement(6, one)) == [])
        #expect(destinations(peer.advertisement(6, one, port: 8080)) == [Endpoint(one, 8080)])
        #expect(destinations(peer.advertisement(6, two)) == [])
        #expect(peer.host.counters[.AddAddrDrop] == 1)
        #expect(destinations(OptionBlock(.removeAddress(RemoveAddress(AddressID(6))))) == [])
        #expect(destinations(peer.advertisement(6, two)) == [Endpoint(two, 80)])
    }

    //= RFC 8684 §3.4.1 what is announced is kept as far as there is room, and nothing depends on it
    @Test func advertisementsAreSoftState() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.answered()
        for number in UInt8(1)...100 {
            peer.say(lane, options: peer.advertisement(number, IPAddress(10, 0, 7, number)))
            _ = peer.replies()
        }
        #expect(peer.host.counters[.AddAddrDrop] >= 92)
        #expect((peer.snapshot(id)?.subflows.count ?? 99) <= 8)
        #expect(peer.write(id, [1]) == 1)
        #expect(peer.replies().contains { $0.payload == [1] })
    }

    //= RFC 8684 §3.4.2 an address that was announced and goes is withdrawn, in use or not; its subflows end
    @Test(arguments: [false, true]) func anAddressThatGoesIsWithdrawn(isUsed: Bool) throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        if isUsed { _ = try peer.joined() }
        peer.wait(.milliseconds(100))
        let announced = peer.replies().compactMap { $0.multipath.other.addAddress }.map(\.addressID)
        _ = announced
        peer.host.removeAddress(IPAddress(10, 0, 2, 2), now: peer.now)
        let removals = peer.replies().filter { $0.multipath.other.removeAddress != nil }
        #expect(removals.count == 1)
        #expect(removals.allSatisfy { $0.goes(to: lane) })
        let open = peer.snapshot(id)?.subflows.filter { $0.state != "closed" }
        #expect(open?.map(\.local.address) == [ScriptedPeer.server.address])
    }

    //= RFC 8684 §3.4.2 what is at the address that the peer withdraws is reset; an unknown ID means nothing
    @Test func aWithdrawnAddressIsLeft() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        let join = try peer.joined(addressID: 3)
        peer.say(lane, options: OptionBlock(.removeAddress(RemoveAddress(AddressID(77)))))
        #expect(peer.host.counters[.RmAddrDrop] == 1)
        #expect(!peer.replies().contains { $0.isReset })
        peer.say(lane, options: OptionBlock(.removeAddress(RemoveAddress(AddressID(3)))))
        let resets = peer.replies().filter(\.isReset)
        #expect(resets.count == 1)
        #expect(resets.allSatisfy { $0.goes(to: join) })
        #expect(peer.snapshot(id)?.closeReason == nil)
        // The last one is not closed by it.
        peer.say(lane, options: OptionBlock(.removeAddress(RemoveAddress(AddressID(0)))))
        #expect(!peer.replies().contains { $0.isReset })
    }

    //= RFC 8684 §3.4.2 a subflow that works is closed with FIN, and its address stays announced
    @Test func aWorkingSubflowIsClosedWithFIN() throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened()
        let join = try peer.joined()
        _ = peer.replies()
        peer.host.setPathUse(id, .single, now: peer.now)
        let sent = peer.replies()
        let closed = sent.filter { $0.flags.contains(.fin) }
        #expect(closed.count == 1)
        #expect(closed.allSatisfy { $0.goes(to: join) || $0.goes(to: lane) })
        #expect(!sent.contains { $0.isReset || $0.multipath.other.removeAddress != nil })
    }

    //= RFC 6824 §3.3.8 with an address ID MP_PRIO speaks of every subflow at that address; RFC 8684 has no such form
    @Test(arguments: [MultipathVersion.zero, .one]) func priorityByAddress(version: MultipathVersion) throws {
        let peer = ScriptedPeer()
        let (id, lane) = try peer.opened(version: version)
        let join = try peer.joined(version: version, addressID: 3)
        peer.say(lane, options: OptionBlock(.priority(MPPriority(backup: true, addressID: AddressID(3)))))
        let backups = peer.snapshot(id)?.subflows.filter(\.backup).map(\.remote) ?? []
        #expect(backups == (version == .zero ? [join.here] : []))
    }

    //= RFC 6824 §3.4.1 an announced address without proof is joined only where that is asked for; another port of one in
    // use always; an ID that is known with another address is ignored
    @Test func addressesOfVersionZero() throws {
        var settings = ConnectionConfiguration()
        settings.multipath = .version0
        settings.acceptUnprovenAddresses = true
        settings.checksumInVersion0 = false
        let peer = ScriptedPeer()
        var (_, syn, lane) = try peer.called(settings)
        peer.hostKey = try #require(syn.multipath.other.capable?.senderKey)
        peer.say(lane, [.syn, .ack], options: OptionBlock(.capable(MPCapable(version: 0, senderKey: peer.key))))
        lane.sequence &+= 1
        _ = peer.replies()
        var signal = DataSequenceSignal()
        signal.dataAck = .eight(KeyMaterial.initialDataSequence(of: peer.hostKey, version: .zero) &+ 1)
        peer.say(lane, options: OptionBlock(signal))
        _ = peer.replies()
        func destinations(_ address: AddAddress) -> Set<Endpoint> {
            peer.say(lane, options: OptionBlock(.addAddress(address)))
            return Set(
                ScriptedPeer.joins(peer.replies()).map { Endpoint($0.ip.destination, $0.segment.destinationPort) })
        }
        let one = IPAddress(10, 0, 2, 1)
        #expect(destinations(AddAddress(version0: AddressID(6), address: one)) == [Endpoint(one, 80)])
        #expect(destinations(AddAddress(version0: AddressID(6), address: one)) == [])
        #expect(destinations(AddAddress(version0: AddressID(6), address: one, port: 81)) == [Endpoint(one, 81)])
        #expect(destinations(AddAddress(version0: AddressID(6), address: IPAddress(10, 0, 2, 9))) == [])
        #expect(peer.host.counters[.AddAddrDrop] == 1)
    }
}
