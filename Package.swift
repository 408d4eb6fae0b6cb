// swift-tools-version: 6.2

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: settings)
}

func program(_ name: String, at path: String, _ dependencies: [Target.Dependency] = ["Celeriac"]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

/// A messaging pattern on the AMQP library alone.
func pattern(_ name: String) -> Target {
    program("amqp-\(name)", at: "Examples/AMQP/\(name)", ["AMQP", "AMQPExampleSupport"])
}

func suite(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: settings)
}

let package = Package(
    name: "celeriac",
    products: [
        .library(name: "Celeriac", targets: ["Celeriac"]),
        .library(name: "AMQP", targets: ["AMQP"]),
        .library(name: "Redis", targets: ["Redis"]),
    ],
    targets: [
        .systemLibrary(name: "CHiredis", path: "Sources/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "COpenSSL", path: "Sources/COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CShims", path: "Sources/CShims"),

        room("Transport", ["CShims", "COpenSSL"]),
        room("AMQP", ["Transport"]),
        room("Redis", ["Transport", "CHiredis"]),

        room("CeleriacCore", ["COpenSSL", "CZlib"]),
        room("CeleriacAMQP", ["CeleriacCore", "AMQP"]),
        room("CeleriacRedis", ["CeleriacCore", "Redis"]),
        room("CeleriacWorker", ["CeleriacCore"]),
        room("CeleriacBeat", ["CeleriacCore"]),
        room(
            "Celeriac",
            ["Transport", "CeleriacCore", "CeleriacAMQP", "CeleriacRedis", "CeleriacWorker", "CeleriacBeat"]
        ),

        program("demo", at: "Workers/demo"),
        program("quickstart", at: "Examples/quickstart"),
        program("retries", at: "Examples/retries"),
        program("unique", at: "Examples/unique"),
        program("periodic", at: "Examples/periodic"),
        program("structs", at: "Examples/structs"),
        program("by-name", at: "Examples/by-name"),
        .target(
            name: "AMQPExampleSupport",
            dependencies: ["AMQP"],
            path: "Examples/AMQP/Support",
            swiftSettings: settings
        ),
        pattern("simple"),
        pattern("work-queue"),
        pattern("publish-subscribe"),
        pattern("routing"),
        pattern("topics"),
        pattern("headers"),
        pattern("rpc"),
        pattern("confirms"),
        pattern("transactions"),
        pattern("durability"),
        pattern("ttl"),
        pattern("dead-letters"),
        pattern("delay-queue"),
        pattern("priorities"),
        pattern("exclusive-queues"),
        pattern("single-active-consumer"),
        pattern("streams"),
        program("celeriac-bench", at: "Benchmarks/celeriac-bench", ["Celeriac", "CeleriacCore"]),
        program("amqp-bench", at: "Benchmarks/amqp-bench", ["AMQP"]),
        program("redis-bench", at: "Benchmarks/redis-bench", ["CeleriacCore", "CeleriacRedis", "Redis"]),

        .target(name: "TestSupport", dependencies: ["CeleriacCore"], path: "Tests/Support", swiftSettings: settings),
        .target(
            name: "ProcessSupport",
            dependencies: ["CShims"],
            path: "Tests/ProcessSupport",
            swiftSettings: settings
        ),
        .target(
            name: "TLSSupport",
            dependencies: ["ProcessSupport"],
            path: "Tests/TLSSupport",
            exclude: ["make-certificates.sh"],
            swiftSettings: settings
        ),
        suite("TransportTests", ["Transport", "COpenSSL", "TLSSupport"]),
        .target(
            name: "FaultProxySupport",
            dependencies: ["CShims", "ProcessSupport"],
            path: "Tests/FaultProxySupport",
            swiftSettings: settings
        ),
        suite("FaultProxyTests", ["FaultProxySupport", "ProcessSupport"]),
        .target(name: "FuzzTargets", dependencies: ["AMQP", "Redis"], path: "Fuzz/Targets", swiftSettings: settings),
        suite("FuzzTests", ["FuzzTargets"]),
        suite("CeleriacTests", ["Celeriac", "ProcessSupport", "quickstart"]),
        suite("CeleriacCoreTests", ["CeleriacCore", "TestSupport"]),
        suite(
            "ContractTests",
            [
                "CeleriacAMQP", "CeleriacCore", "CeleriacRedis", "FleetSupport", "ProcessSupport", "Redis",
                "TLSSupport",
                "TestSupport",
            ]
        ),
        suite("CeleriacWorkerTests", ["CeleriacWorker", "TestSupport"]),
        suite("RedisTests", ["FaultProxySupport", "ProcessSupport", "Redis", "TLSSupport", "Transport"]),
        suite("CeleriacBeatTests", ["CeleriacBeat", "CeleriacCore", "TestSupport"]),
        suite("AMQPTests", ["AMQP"]),
        suite("CeleriacAMQPTests", ["AMQP", "CeleriacAMQP", "CeleriacCore", "TestSupport"]),
        suite("AMQPIntegrationTests", ["AMQP", "FaultProxySupport", "TLSSupport", "Transport"]),
        suite(
            "AMQPConformanceTests",
            ["AMQP", "FaultProxySupport", "ProcessSupport", "TLSSupport", "TestSupport", "Transport"]
        ),
        program("fleet", at: "Tests/Fixtures/fleet"),
        .target(
            name: "FleetSupport",
            dependencies: ["Celeriac", "CeleriacCore", "ProcessSupport", "TestSupport"],
            path: "Tests/FleetSupport",
            swiftSettings: settings
        ),
        suite(
            "AMQPFaultTests",
            ["AMQP", "CeleriacAMQP", "CeleriacCore", "FaultProxySupport", "ProcessSupport", "TestSupport"]
        ),
        suite(
            "FaultTests",
            [
                "fleet", "FaultProxySupport", "FleetSupport", "ProcessSupport", "TestSupport", "Celeriac",
                "CeleriacCore",
                "Redis",
            ]
        ),
        suite(
            "InteropTests",
            ["fleet", "FleetSupport", "ProcessSupport", "TestSupport", "Celeriac", "CeleriacCore", "AMQP", "Redis"]
        ),
        suite("DocumentationTests", ["Celeriac", "ProcessSupport"]),
        suite("AMQPExamplesTests", ["ProcessSupport", "TestSupport"]),
    ]
)
