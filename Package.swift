// swift-tools-version: 6.1
// SPDX-License-Identifier: LGPL-2.1-or-later

import PackageDescription

// The folders tell who depends on whom; docs/explanation/architecture.md says why. A Swift target may import only
// what stands in its `dependencies`, which make build and make test check; only the targets named C… touch a C library.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let serviceLifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

let package = Package(
    name: "virt-tap",
    products: [
        .executable(name: "virt-tapd", targets: ["virt-tapd"]),
        .executable(name: "virt-tap", targets: ["virt-tap"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries: a header of thin shims and a link line each. They know nothing of taps.
        .target(name: "CLibvirt", path: "Sources/C/CLibvirt", linkerSettings: [.linkedLibrary("virt")]),
        .target(
            name: "CLibbpf", path: "Sources/C/CLibbpf", linkerSettings: [.linkedLibrary("bpf"), .linkedLibrary("elf"), .linkedLibrary("z")]),
        .target(
            name: "CLibxml2", path: "Sources/C/CLibxml2", cSettings: [.unsafeFlags(["-I/usr/include/libxml2"])],
            linkerSettings: [.linkedLibrary("xml2")]),
        .target(name: "CLibmnl", path: "Sources/C/CLibmnl", linkerSettings: [.linkedLibrary("mnl")]),

        // What the daemon shares with the programs in the kernel, which include it too: the layout of maps.
        .target(name: "CTapABI", path: "Sources/C/CTapABI"),
        .target(name: "CLibpcap", path: "Sources/C/CLibpcap", linkerSettings: [.linkedLibrary("pcap")]),

        // Threads, clocks and output of a process, and the system's words for an error: for whoever calls it.
        .target(name: "TapSystem", path: "Sources/Adapters/TapSystem", swiftSettings: strict),

        // What a tap is and what is to be done about it: pure, no I/O.
        .target(name: "TapModel", path: "Sources/Core/TapModel", swiftSettings: strict),

        // Classic BPF to eBPF: pure functions.
        .target(name: "PacketFilter", path: "Sources/Core/PacketFilter", swiftSettings: strict),

        // One side each of the outside world.
        // Filter expressions to classic BPF, by libpcap in a child that may do nothing else.
        .target(
            name: "FilterCompiler", dependencies: ["TapModel", "TapSystem", "PacketFilter", "CLibpcap"],
            path: "Sources/Adapters/FilterCompiler", swiftSettings: strict),
        .target(name: "TapXML", dependencies: ["TapModel", "CLibxml2"], path: "Sources/Adapters/TapXML", swiftSettings: strict),
        .target(
            name: "Hypervisor", dependencies: ["TapModel", "TapSystem", "CLibvirt"], path: "Sources/Adapters/Hypervisor",
            swiftSettings: strict),
        .target(
            name: "Dataplane", dependencies: ["TapModel", "TapSystem", "PacketFilter", "CLibbpf", "CLibmnl", "CTapABI"],
            path: "Sources/Adapters/Dataplane", swiftSettings: strict,
            plugins: ["CompileBPF"]),
        .target(name: "TapControl", dependencies: ["TapModel", "TapSystem"], path: "Sources/Adapters/TapControl", swiftSettings: strict),
        .target(
            name: "TapHost", dependencies: ["TapModel", "TapSystem", "TapXML"], path: "Sources/Adapters/TapHost", swiftSettings: strict),

        // The programs.
        .target(
            name: "TapDaemon",
            dependencies: [
                "TapModel", "TapSystem", "TapXML", "TapHost", "Hypervisor", "Dataplane", "FilterCompiler", "TapControl", argumentParser,
                logging, serviceLifecycle, unixSignals,
            ], path: "Sources/Programs/TapDaemon",
            swiftSettings: strict),
        .target(
            name: "TapCommands",
            dependencies: [
                "TapModel", "TapSystem", "TapXML", "TapHost", "Hypervisor", "Dataplane", "FilterCompiler", "TapControl", argumentParser,
            ], path: "Sources/Programs/TapCommands",
            swiftSettings: strict),
        .executableTarget(
            name: "virt-tapd", dependencies: ["TapDaemon", "FilterCompiler", argumentParser], path: "Sources/Programs/virt-tapd",
            swiftSettings: strict),
        .executableTarget(
            name: "virt-tap", dependencies: ["TapCommands", "FilterCompiler"], path: "Sources/Programs/virt-tap", swiftSettings: strict),

        // bpf/*.bpf.c is compiled and embedded when Dataplane is built; no object file is committed.
        .executableTarget(name: "BPFEmbed", path: "Plugins/BPFEmbed", swiftSettings: strict),
        .plugin(name: "CompileBPF", capability: .buildTool(), dependencies: ["BPFEmbed"]),

        // What it costs; Benchmarks/README.md says how to run it.
        .executableTarget(
            name: "bench-scale", dependencies: ["CLibvirt", "CLibbpf", "DataplaneTestSupport", argumentParser], path: "Benchmarks/Scale",
            swiftSettings: strict),
        .executableTarget(
            name: "bench-tap",
            dependencies: [
                "Dataplane", "PacketFilter", "TapModel", "CLibbpf", "CLibmnl", "DataplaneTestSupport", argumentParser,
            ],
            path: "Benchmarks/Tap", swiftSettings: strict),
        // Translated filters against libpcap's interpreter, by the million.
        .executableTarget(
            name: "fuzz-filter",
            dependencies: ["PacketFilterTestSupport", "PacketFilter", "TestSupport", "CLibbpf", "CLibpcap", argumentParser],
            path: "Benchmarks/FilterFuzz", swiftSettings: strict),

        // Waiting for what is to happen, and random numbers that can be had again: for all tests.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),

        .testTarget(name: "TapModelTests", dependencies: ["TapModel"], swiftSettings: strict),
        // RELAX NG is for tests only: the programs do not carry it.
        .target(
            name: "CRelaxNG", path: "Tests/CRelaxNG", cSettings: [.unsafeFlags(["-I/usr/include/libxml2"])],
            linkerSettings: [.linkedLibrary("xml2")]),
        .testTarget(name: "TapXMLTests", dependencies: ["TapXML", "TapModel", "CRelaxNG", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "HypervisorTests", dependencies: ["Hypervisor", "TapModel", "CLibvirt"], swiftSettings: strict),
        // A constructor that lowers the capabilities of tests and benchmarks to those of the unit.
        .target(name: "CUnitRights", path: "Tests/CUnitRights"),
        // Devices, frames and namespaces for tests on the real kernel.
        .target(
            name: "DataplaneTestSupport", dependencies: ["CLibbpf", "CLibmnl", "CUnitRights"], path: "Tests/DataplaneTestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "DataplaneTests",
            dependencies: ["Dataplane", "TapModel", "PacketFilter", "CLibpcap", "CLibbpf", "CLibmnl", "CTapABI", "DataplaneTestSupport"],
            swiftSettings: strict),
        // The parsers of bpf/ for this machine, with stubs for the kernel's helpers. fuzz/ is built by make fuzz-parsers.
        .target(
            name: "CTapParsers", dependencies: ["CTapABI"], path: "Tests/CTapParsers", exclude: ["fuzz"],
            cSettings: [.headerSearchPath("stubs"), .headerSearchPath("../../bpf")]),
        .testTarget(name: "ParserTests", dependencies: ["CTapParsers", "CTapABI"], swiftSettings: strict),
        // Expressions, frames and the oracles that tests and the fuzzer share.
        .target(
            name: "PacketFilterTestSupport", dependencies: ["PacketFilter", "CLibbpf", "CLibpcap", "TestSupport"],
            path: "Tests/PacketFilterTestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "PacketFilterTests",
            dependencies: ["PacketFilter", "PacketFilterTestSupport", "DataplaneTestSupport", "TestSupport", "CLibbpf", "CLibpcap"],
            swiftSettings: strict),
        .testTarget(
            name: "FilterCompilerTests",
            dependencies: ["FilterCompiler", "PacketFilter", "TapModel", "CLibpcap", "DataplaneTestSupport", "TestSupport"],
            swiftSettings: strict),
        .testTarget(name: "TapControlTests", dependencies: ["TapControl", "TapSystem"], swiftSettings: strict),
        .testTarget(name: "TapHostTests", dependencies: ["TapHost", "TapModel"], swiftSettings: strict),
        .testTarget(
            name: "TapDaemonTests", dependencies: ["TapDaemon", "TapControl", "TapModel", "TapXML", "TapHost", logging, serviceLifecycle],
            swiftSettings: strict),
        .testTarget(
            name: "TapCommandsTests", dependencies: ["TapCommands", "TapControl", "TapModel", "TapXML", "Hypervisor", "Dataplane"],
            swiftSettings: strict),
        .testTarget(name: "EndToEndTests", dependencies: ["TapModel", "TapControl", "CLibbpf", "TestSupport"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
