import MPTCPConnection
import NetworkSimulation
import TransportValues

/// The demo as data: two links, and when one of them is away.
struct DemoPlan {
    struct Path {
        var rate: BitRate
        /// One way.
        var delay: TimeSpan

        var title: String { "\(rate.bitsPerSecond / 1_000_000) Mbit/s, \(DemoFormat.milliseconds(delay)) each way" }
    }

    var seed: UInt64
    var bytes: Int64
    var loss: Double
    var checksum: Bool
    var paths = [
        Path(rate: .megabits(40), delay: .milliseconds(10)), Path(rate: .megabits(20), delay: .milliseconds(25)),
    ]
    /// Which path goes away, once this share of the bytes has arrived, and for how long.
    var victim = 0
    var lossOfPathAt = 0.3
    var absence = TimeSpan.milliseconds(2500)

    init(seed: UInt64, bytes: Int64, loss: Double, checksum: Bool) {
        self.seed = seed
        self.bytes = bytes
        self.loss = loss
        self.checksum = checksum
    }

    var scenario: TwoPathScenario {
        let specifications = paths.map { path in
            PathSpec(rate: path.rate, roundTrip: path.delay * 2, loss: loss, queueBytes: 200_000)
        }
        return TwoPathScenario(seed: seed, paths: specifications, bytes: bytes, checksum: checksum)
    }
}
