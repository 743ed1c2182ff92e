import ArgumentParser
import CLinux
import Glibc
import NetworkSimulation
import PacketBackends
import TransportValues

/// `mptcp link`: an emulated link between two TUN devices, in real time.
struct LinkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link",
        abstract: "Join two network namespaces by an emulated link with rate, delay and loss",
        discussion: """
            Creates a TUN device in each of two namespaces (as `ip netns` names them), gives each its addresses, and \
            carries packets between them as the link does: for kernels without netem. Prints `ready` when both are \
            up, runs until SIGINT or SIGTERM, and prints what each direction did. SIGUSR1 takes the link away, \
            SIGUSR2 brings it back.

              mptcp link --from nsA:tunA,address=10.1.1.1/24 --to nsB:tunB,address=10.1.1.2/24 \\
                --rate 100mbit --delay 10ms --loss 1% --queue 256kB --seed 7

            Middleboxes stand at the --to end, in the order given. All take inside=from|to; the forms of --box are

              \(Middlebox.forms.joined(separator: "\n  "))
            """)

    @Option(help: ArgumentHelp("One end; address= may be repeated, IPv6 too", valueName: Self.endForm))
    var from: LinkEndSpecification

    @Option(help: ArgumentHelp("The other end", valueName: Self.endForm))
    var to: LinkEndSpecification

    static let endForm = "[netns:]tun,address=ip/len[,mtu=1500]"

    @Option(help: "How fast the link sends, e.g. 100mbit, 1.5gbit or unlimited")
    var rate = BitRate.unlimited

    @Option(help: "One-way delay, e.g. 10ms or 250us", transform: Self.time)
    var delay = TimeSpan.zero

    @Option(help: "Packets lost, e.g. 1% or 0.01")
    var loss = Probability.never

    @Option(help: "What may wait to be sent, e.g. 256kB, 100p (packets) or unlimited")
    var queue = QueueLimit.bytes(256_000)

    @Option(help: "Packets that arrive late, so that others overtake them")
    var reorder = Probability.never

    @Option(help: "How late those are", transform: Self.time)
    var reorderDelay = TimeSpan.milliseconds(5)

    @Option(help: "Packets that arrive twice")
    var duplicate = Probability.never

    @Option(help: "Packets with one bit inverted")
    var corrupt = Probability.never

    @Option(help: "The way back, when it differs") var reverseRate: BitRate?
    @Option(help: "The way back, when it differs", transform: Self.time) var reverseDelay: TimeSpan?
    @Option(help: "The way back, when it differs") var reverseLoss: Probability?
    @Option(help: "The way back, when it differs") var reverseQueue: QueueLimit?
    @Option(help: "The way back, when it differs") var reverseReorder: Probability?
    @Option(help: "The way back, when it differs") var reverseDuplicate: Probability?
    @Option(help: "The way back, when it differs") var reverseCorrupt: Probability?

    @Option(
        help: ArgumentHelp(
            "Take the link away, e.g. 3s+2s: after 3 s, for 2 s; may be repeated", valueName: "start+length"))
    var outage: [LinkOutage] = []

    @Option(
        help: ArgumentHelp("What stands in the path, seen from --from; may be repeated, see above", valueName: "box"),
        transform: BoxArgument.parse)
    var box: [BoxArgument] = []

    @Option(help: "Makes losses and the rest repeatable (default: drawn anew)")
    var seed: UInt64?

    @Option(help: "End after this many seconds")
    var seconds: Double?

    func validate() throws {
        if from.namespace == to.namespace, from.device == to.device {
            throw ValidationError("both ends are \(from.device) in one namespace: name two devices")
        }
        if let seconds, !(seconds > 0 && seconds < 1e9) { throw ValidationError("--seconds must be above 0") }
    }

    func run() throws {
        do throws(BackendError) {
            try carry()
        } catch {
            standardError("mptcp link: \(error)")
            throw ExitCode(error.exitStatus)
        }
    }

    private func carry() throws(BackendError) {
        let seed = seed ?? UInt64.random(in: 0...UInt64.max)
        var randomness = RandomSource(seed: seed)
        let mtu = min(from.mtu, to.mtu)
        let (forward, backward) = configurations(mtu: mtu)
        // Signals first: one that comes early must not leave the process half made.
        let signals = unsafe clinux_signal_descriptor([SIGINT, SIGTERM, SIGUSR1, SIGUSR2], 4)
        let timer = clinux_timer_create()
        guard signals >= 0, timer >= 0 else {
            throw .system(operation: "create a timer and a signal descriptor", code: errno)
        }
        let devices = try LinkDevices(from: from, to: to)
        var runner = LinkRunner(
            devices: devices,
            link: EmulatedLink(
                forward: LinkModel(forward, randomness: randomness.fork()),
                backward: LinkModel(backward, randomness: randomness.fork()), boxes: box.map(\.value),
                randomness: randomness.fork()),
            boxes: box.map(\.text), signals: signals, timer: timer)
        LinkRunner.raisePriority(for: [forward, backward])
        runner.schedule(outage)
        standardOutput("ready\n")
        let failure = runner.run(for: seconds.map { TimeSpan(seconds: $0) })
        standardOutput(runner.summary(from: from, to: to, seed: seed))
        if let failure { throw failure }
    }

    private func configurations(mtu: Int) -> (forward: LinkConfiguration, backward: LinkConfiguration) {
        var forward = LinkConfiguration(
            rate: rate, delay: delay, loss: loss.value, reordering: reorder.value, reorderingDelay: reorderDelay,
            duplication: duplicate.value, corruption: corrupt.value, mtu: mtu)
        forward.limitQueue(queue)
        var backward = forward
        backward.rate = reverseRate ?? rate
        backward.delay = reverseDelay ?? delay
        backward.loss = (reverseLoss ?? loss).value
        backward.reordering = (reverseReorder ?? reorder).value
        backward.duplication = (reverseDuplicate ?? duplicate).value
        backward.corruption = (reverseCorrupt ?? corrupt).value
        backward.limitQueue(reverseQueue ?? queue)
        return (forward, backward)
    }

    private static func time(_ text: String) throws -> TimeSpan {
        guard let span = TimeSpan(text: text) else {
            throw ValidationError("'\(text)' is no length of time: write 10ms, 2.5s or 200us")
        }
        return span
    }
}

/// A middlebox, and as it was written.
struct BoxArgument {
    var text: String
    var value: Middlebox

    static func parse(_ text: String) throws -> BoxArgument {
        do throws(MiddleboxTextError) {
            return BoxArgument(text: text, value: try Middlebox(parsing: text))
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
