public import ArgumentParser
public import NetworkSimulation
import PacketBackends
import TransportValues

extension BitRate: ExpressibleByArgument {}
extension Probability: ExpressibleByArgument {
    static var never: Probability { Probability(0.0)! }
}
extension QueueLimit: ExpressibleByArgument {}

extension LinkConfiguration {
    mutating func limitQueue(_ limit: QueueLimit) {
        (queueBytes, queuePackets) = (nil, nil)
        switch limit {
        case .bytes(let count): queueBytes = count
        case .packets(let count): queuePackets = count
        case .unlimited: break
        }
    }
}

/// `nsA:tunA,address=10.1.1.1/24[,address=fd00::1/64][,mtu=1500]`; without a namespace the current one.
struct LinkEndSpecification: ExpressibleByArgument {
    struct Address {
        var address: IPAddress
        var prefixLength: Int
    }

    var namespace: String?
    var device: String
    var addresses: [Address] = []
    var mtu = 1500

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let names = parts[0].split(separator: ":", omittingEmptySubsequences: false)
        guard let device = names.last, (1...15).contains(device.utf8.count), names.count <= 2 else { return nil }
        self.device = String(device)
        if names.count == 2 {
            guard !names[0].isEmpty else { return nil }
            namespace = String(names[0])
        }
        for part in parts.dropFirst() {
            if part.hasPrefix("address=") {
                let halves = part.dropFirst(8).split(separator: "/", omittingEmptySubsequences: false)
                guard halves.count == 2, let address = IPAddress(String(halves[0])), address.isUnicast,
                    let length = Int(halves[1]), (1...(address.isIPv6 ? 128 : 32)).contains(length)
                else { return nil }
                addresses.append(Address(address: address, prefixLength: length))
            } else if part.hasPrefix("mtu="), let number = Int(part.dropFirst(4)), (576...65_535).contains(number) {
                mtu = number
            } else {
                return nil
            }
        }
        if mtu < 1280, addresses.contains(where: { $0.address.isIPv6 }) { return nil }
    }

    /// The device as PacketBackends makes it: the kernel's end gets our addresses.
    var specification: TunSpecification {
        TunSpecification(
            name: device,
            assignments: addresses.map {
                TunSpecification.Assignment(address: $0.address, prefixLength: $0.prefixLength, gateway: $0.address)
            },
            mtu: mtu)
    }

    var description: String { (namespace.map { "\($0):" } ?? "") + device }
}

/// `3s+2s`: away from 3 s after the start, for 2 s.
struct LinkOutage: ExpressibleByArgument {
    var start: TimeSpan
    var length: TimeSpan

    init?(argument: String) {
        let halves = argument.split(separator: "+")
        guard halves.count == 2, let start = TimeSpan(text: String(halves[0])),
            let length = TimeSpan(text: String(halves[1]))
        else { return nil }
        self.start = start
        self.length = length
    }
}
