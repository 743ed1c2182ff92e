// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// `make test` builds in release, where SwiftPM leaves `@testable` out; the backends' tests look inside.
let testable: [SwiftSetting] =
    Context.environment["MPTCP_TESTABLE"] == nil ? [] : [.unsafeFlags(["-enable-testing"])]

/// A module of ours with the house's compiler settings.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let containers: Target.Dependency = .product(name: "BasicContainers", package: "swift-collections")
let deques: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "swift-mptcp",
    products: [
        .library(name: "MPTCPSockets", targets: ["MPTCPSockets"]),
        .library(name: "NetworkSimulation", targets: ["NetworkSimulation"]),
        .executable(name: "mptcp", targets: ["mptcp"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        module("TransportValues", [containers]),
        module("WireFormats", ["TransportValues"]),
        module("TransportPolicies", ["TransportValues"]),
        module("TCPSubflow", ["WireFormats", "TransportPolicies", "TransportValues", containers, deques]),
        module(
            "MPTCPConnection",
            ["TCPSubflow", "WireFormats", "TransportPolicies", "TransportValues", containers, deques, crypto]),
        module(
            "HostStack",
            [
                "MPTCPConnection", "TCPSubflow", "WireFormats", "TransportPolicies", "TransportValues", containers,
                deques, crypto,
            ]),
        module(
            "NetworkSimulation",
            ["HostStack", "MPTCPConnection", "WireFormats", "TransportPolicies", "TransportValues", containers, deques]),
        .target(name: "CLinux"),
        .target(
            name: "PacketBackends", dependencies: ["WireFormats", "TransportValues", "CLinux", containers],
            swiftSettings: settings + testable),
        module(
            "MPTCPSockets",
            [
                "HostStack", "MPTCPConnection", "PacketBackends", "WireFormats", "TransportValues", "CLinux",
                containers,
                deques, logging,
            ]),
        .executableTarget(
            name: "mptcp",
            dependencies: [
                "MPTCPSockets", "NetworkSimulation", "HostStack", "PacketBackends", "WireFormats",
                "TransportPolicies", "TransportValues", "CLinux", arguments, logging,
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "ManyConnections",
            dependencies: ["MPTCPSockets", "MPTCPConnection", "PacketBackends", "TransportValues"],
            path: "Examples/ManyConnections", swiftSettings: settings),
        .executableTarget(
            name: "Middleboxes",
            dependencies: ["NetworkSimulation", "MPTCPConnection", "TransportValues", "WireFormats"],
            path: "Checks/Middleboxes",
            swiftSettings: settings),
        .executableTarget(
            name: "Soak", dependencies: ["NetworkSimulation", "TransportValues", "WireFormats"], path: "Checks/Soak",
            swiftSettings: settings),
        .executableTarget(
            name: "Silence", dependencies: ["NetworkSimulation", "MPTCPConnection", "TransportValues"],
            path: "Checks/Silence", swiftSettings: settings),
        .executableTarget(
            name: "Fuzz", dependencies: ["WireFormats", "TransportValues"], path: "Fuzz", exclude: ["Coverage"],
            swiftSettings: settings),
        tests("TransportValuesTests", ["TransportValues"]),
        tests("WireFormatsTests", ["WireFormats", "MPTCPConnection", "TransportValues", "Fuzz"]),
        tests("TransportPoliciesTests", ["TransportPolicies", "TransportValues"]),
        tests("TCPSubflowTests", ["TCPSubflow", "WireFormats", "TransportPolicies", "TransportValues"]),
        tests(
            "HostStackTests",
            ["HostStack", "MPTCPConnection", "TCPSubflow", "WireFormats", "TransportPolicies", "TransportValues"]),
        tests(
            "NetworkSimulationTests",
            ["NetworkSimulation", "HostStack", "MPTCPConnection", "WireFormats", "TransportValues"]),
        tests("PacketBackendsTests", ["PacketBackends", "WireFormats", "TransportValues", "CLinux"]),
        tests("MPTCPSocketsTests", ["MPTCPSockets", "HostStack", "MPTCPConnection", "TransportValues"]),
        tests("ToolTests", []),
        .target(name: "LabSupport", path: "Tests/LabSupport", swiftSettings: settings),
        .testTarget(
            name: "KernelTests", dependencies: ["LabSupport"], exclude: ["Peers"], swiftSettings: settings),
    ]
)
