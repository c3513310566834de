// swift-tools-version: 6.2
import PackageDescription

/// For `lockstep --version`: the commit this is built from; nil in a tree without history.
let commit = Context.gitInformation.map { git in
    String(git.currentCommit.prefix(12)) + (git.hasUncommittedChanges ? "+" : "")
}

/// The layers of the design: a target may import only what its row names.
let package = Package(
    name: "lockstep",
    products: [.executable(name: "lockstep", targets: ["lockstep"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    ],
    targets: [
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .target(name: "ZeroMQ", dependencies: ["CZeroMQ"]),
        .target(
            name: "CKernels",
            cSettings: [
                // These follow SwiftPM's own -O0, so the kernels are fast in debug builds too. A contracted
                // multiply-add would change bits between instruction sets: every fused one is written out.
                .unsafeFlags(["-O3", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"]),
                .define("LS_TEST_PATHS", .when(configuration: .debug)),
            ]),
        .target(name: "CSystem"),
        .target(
            name: "CBuildInfo",
            cSettings: commit.map { [.define("LOCKSTEP_COMMIT", to: "\"\($0)\"")] } ?? []),
        .target(name: "SeededNumbers"),
        .target(name: "Kernels", dependencies: ["CKernels"]),
        .target(name: "Corpus", dependencies: ["SeededNumbers"]),
        .target(name: "LanguageModel", dependencies: ["Kernels", "SeededNumbers"]),
        .target(name: "Checkpoints", dependencies: ["LanguageModel", "Kernels"]),
        .target(name: "Coordination", dependencies: ["SeededNumbers"]),
        .target(
            name: "Training",
            dependencies: [
                "ZeroMQ", "Kernels", "Corpus", "LanguageModel", "Checkpoints", "Coordination", "CSystem",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .target(name: "Dashboard", dependencies: ["Coordination"]),
        .executableTarget(
            name: "lockstep",
            dependencies: [
                "Training", "Dashboard", "Coordination", "Checkpoints", "LanguageModel", "Kernels", "Corpus", "ZeroMQ",
                "CBuildInfo",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        // What only tests use: the reference that the kernels are held against.
        .target(
            name: "TestSupport", dependencies: ["LanguageModel", "Checkpoints", "Corpus"], path: "Tests/Support"),
        .testTarget(name: "ZeroMQTests", dependencies: ["ZeroMQ"]),
        .testTarget(name: "SeededNumbersTests", dependencies: ["SeededNumbers"]),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "CKernels", "SeededNumbers"]),
        .testTarget(
            name: "CorpusTests", dependencies: ["Corpus", "LanguageModel", "Kernels", "SeededNumbers", "TestSupport"]),
        .testTarget(
            name: "LanguageModelTests",
            dependencies: ["LanguageModel", "Kernels", "SeededNumbers", "Checkpoints", "TestSupport"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: ["Checkpoints", "LanguageModel", "Kernels", "SeededNumbers", "TestSupport"]),
        .testTarget(name: "CoordinationTests", dependencies: ["Coordination", "SeededNumbers"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "Training", "Coordination", "Checkpoints", "LanguageModel", "Kernels", "Corpus", "SeededNumbers",
                "ZeroMQ",
                "CSystem",
            ], exclude: ["Fixtures"]),
        .testTarget(name: "DashboardTests", dependencies: ["Dashboard", "Coordination"]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "lockstep", "Training", "Coordination", "Checkpoints", "LanguageModel", "Kernels", "SeededNumbers",
                "ZeroMQ",
            ],
            exclude: ["Disk/disk_fault.c", "Memory/send_fault.c"]),
    ],
    cLanguageStandard: .gnu11
)

// `make fuzz` alone needs libFuzzer's runtime.
if Context.environment["LOCKSTEP_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "Training", "Coordination", "Checkpoints", "LanguageModel", "Kernels", "Corpus", "TestSupport",
            ],
            path: "Tests/Fuzz", exclude: ["Regressions", "run", "words.dict"]))
}

for target in package.targets
where [.regular, .executable, .test].contains(target.type)
    && !["CKernels", "CSystem", "CBuildInfo"].contains(target.name)
{
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
    ]
}
