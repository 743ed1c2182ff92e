public import ArgumentParser
public import Logging
import MPTCPConnection
import MPTCPSockets
import PacketBackends
public import TransportPolicies

/// The options of every command that has a stack.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("path"),
        help: ArgumentHelp(
            "A way out to the network; may be repeated, the first is the first subflow's",
            discussion: """
                eth0: that interface with its own addresses and gateway. \
                tun:NAME,address=10.9.1.2/24[,gateway=10.9.1.1][,mtu=1500]: create that TUN device; address= may be \
                repeated, IPv6 too. udp:ADDRESS[:PORT]: TCP inside UDP (not yet available in this version). \
                Default: every interface that is up, has an address and is not loopback.
                """, valueName: "spec"))
    var paths: [String] = []

    @Option(help: ArgumentHelp("How paths are used together", discussion: PathMode.list))
    var mode = PathMode.aggregate

    @Option(
        name: .customLong("mptcp-version"),
        help: ArgumentHelp(
            "auto: version 1, then 0 for a peer seen to speak only that (--listen: both); 1 or 0: that version alone; "
                + "off: plain TCP", valueName: "version"))
    var version = VersionChoice.auto

    @Option(
        help: ArgumentHelp(
            "Which path gets the next bytes", discussion: list(SchedulerAlgorithm.allCases) { $0.summary }))
    var scheduler = SchedulerAlgorithm.earliest

    @Option(
        help: ArgumentHelp(
            "How fast each subflow sends", discussion: list(CongestionAlgorithm.allCases) { $0.summary }))
    var congestion = CongestionAlgorithm.cubic

    @Flag(help: "Ask for data sequence signal checksums")
    var checksum = false

    @Option(
        help: ArgumentHelp(
            "Write every packet sent and received, one pcapng interface a path", valueName: "FILE.pcapng"))
    var capture: String?

    @Option(help: ArgumentHelp("At the end, write the run's report as one JSON object", valueName: "FILE"))
    var report: String?

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical", valueName: "level"))
    var logLevel = Logger.Level.warning

    @OptionGroup(title: "Time-outs, limits and policies") var connection: ConnectionOptions

    private static func list<Choice: RawRepresentable<String>>(
        _ choices: [Choice], _ summary: (Choice) -> String
    ) -> String {
        choices.map { "\($0.rawValue): \(summary($0))" }.joined(separator: "\n")
    }

    func validate() throws {
        _ = try specifications()
    }

    private func specifications() throws -> [PathSpecification] {
        try paths.map { text in
            do throws(BackendError) {
                let specification = try PathSpecification(parsing: text)
                if case .udp = specification {
                    throw BackendError.invalidPath(text, reason: "udp: paths are not yet available in this version")
                }
                return specification
            } catch {
                throw ValidationError(error.description)
            }
        }
    }

    /// The stack that the options describe.
    func openStack() throws -> MPTCPStack {
        var specifications = try specifications()
        if specifications.isEmpty {
            do throws(BackendError) {
                specifications = try NetworkInterface.defaultPaths().map { .interface($0.name) }
            } catch {
                throw ToolFailure(status: error.exitStatus, error.description)
            }
            if specifications.isEmpty {
                throw ToolFailure(
                    status: 2, "no interface is up and has an address: name a way out with --path, e.g. --path eth0")
            }
        }
        var configuration = StackConfiguration(paths: specifications.map { .system($0) })
        configuration.captureFile = capture
        configuration.connection.multipath = version.mode
        configuration.connection.requestChecksum = checksum
        configuration.connection.pathUse = mode.use
        configuration.connection.scheduler = scheduler
        configuration.connection.congestion = congestion
        connection.apply(to: &configuration.connection)
        configuration.followsInterfaces = paths.isEmpty
        return try MPTCPStack(configuration)
    }

    /// swift-log to standard error, from the level that was asked for.
    func makeLogger(_ label: String) -> Logger {
        var logger = Logger(label: label, factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = logLevel
        return logger
    }
}

/// How several paths are used together.
enum PathMode: String, CaseIterable, ExpressibleByArgument {
    case aggregate, handover, interactive, single

    var use: PathUse {
        switch self {
        case .aggregate: .aggregate
        case .handover: .handover
        case .interactive: .interactive
        case .single: .single
        }
    }

    static let list = """
        aggregate: all paths at once
        handover: the others are backup, used while the first fails
        interactive: add another when the first is slow or lossy
        single: one at a time, the next after the last has failed
        """
}

enum VersionChoice: String, CaseIterable, ExpressibleByArgument {
    case auto
    case one = "1"
    case zero = "0"
    case off

    var mode: MultipathMode {
        switch self {
        case .auto: .automatic
        case .one: .version1
        case .zero: .version0
        case .off: .off
        }
    }
}

extension SchedulerAlgorithm: ExpressibleByArgument {}
extension CongestionAlgorithm: ExpressibleByArgument {}
extension Logger.Level: @retroactive ExpressibleByArgument {}
