// swift-tools-version: 6.2
// Likeness: queued, personalised image generation. `Shared/` holds libraries, `Services/` executables.
// Imports point one way, top to bottom of the target list below; Tests/ArchitectureTests checks it.

import PackageDescription

let strict: [SwiftSetting] = [
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
    .enableUpcomingFeature("ExistentialAny"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
    .enableUpcomingFeature("MemberImportVisibility"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
    .enableUpcomingFeature("InternalImportsByDefault"),
]

// Products of other packages, by the short names used below.
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")

func system(_ name: String, pkgConfig: String? = nil, apt: String) -> Target {
    .systemLibrary(name: name, path: "Shared/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func library(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Shared/\(name)", resources: resources, swiftSettings: strict)
}

func service(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Services/\(name)", swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "likeness",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Bindings: a module map and one shim header each.
        system("COneDNN", apt: "libdnnl-dev"),
        system("COpenBLAS", pkgConfig: "openblas", apt: "libopenblas-dev"),
        system("CRabbitMQ", pkgConfig: "librabbitmq", apt: "librabbitmq-dev"),
        system("CPostgres", pkgConfig: "libpq", apt: "libpq-dev"),
        .target(
            name: "CKernels", path: "Shared/CKernels",
            cSettings: [.unsafeFlags(["-O3"])], linkerSettings: [.linkedLibrary("gomp")]),

        .target(
            name: "CImageCodecs", path: "Shared/CImageCodecs",
            linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg")]),

        // Mathematics: knows no queues, no SQL.
        library("ImageIO", ["CImageCodecs"]),
        library("TensorEngine", ["COneDNN", "CKernels"]),
        library("Checkpoint", ["CKernels", "TensorEngine", crypto]),
        library("NeuralNetwork", ["Checkpoint", "TensorEngine"]),
        library("CLIP", ["ImageIO", "NeuralNetwork", "Checkpoint", "TensorEngine"]),
        library("Diffusion", ["NeuralNetwork", "Checkpoint", "TensorEngine"]),
        library("IPAdapter", ["Diffusion", "NeuralNetwork", "Checkpoint", "TensorEngine"]),
        library("ImageMetrics", ["COpenBLAS", "ImageIO", "NeuralNetwork", "Checkpoint", "TensorEngine"]),
        library("Faces", ["ImageIO", "NeuralNetwork", "Checkpoint", "TensorEngine"]),
        library("RenderedPeople", ["ImageIO"]),
        library("AddOnFiles"),
        library("Prompts"),
        library(
            "ModelFolder",
            [
                "AddOnFiles", "CLIP", "Diffusion", "IPAdapter", "ImageMetrics", "Faces", "ImageIO", "NeuralNetwork",
                "Checkpoint", "TensorEngine", crypto,
            ]),
        library(
            "Training",
            [
                "Prompts", "RenderedPeople", "ModelFolder", "CLIP", "Diffusion", "IPAdapter", "ImageMetrics", "ImageIO",
                "NeuralNetwork", "Checkpoint", "TensorEngine", crypto,
            ]),
        library(
            "Study",
            [
                "Training", "RenderedPeople", "ModelFolder", "CLIP", "Diffusion", "IPAdapter", "ImageMetrics",
                "ImageIO",
                "NeuralNetwork", "Checkpoint", "TensorEngine",
            ]),
        library(
            "Goldens",
            [
                "Training", "ModelFolder", "CLIP", "Diffusion", "IPAdapter", "ImageMetrics", "ImageIO", "NeuralNetwork",
                "Checkpoint", "TensorEngine",
            ]),

        // Plumbing: knows no tensors.
        library("Contracts"),
        library("Telemetry", [logging, metrics]),
        library("Messaging", ["CRabbitMQ", "Contracts", "Telemetry", lifecycle, logging, metrics]),
        library(
            "Store", ["CPostgres", "Contracts", "Telemetry", crypto, lifecycle, logging, metrics],
            resources: [
                "v0001_initial", "v0002_fine_tuning", "v0003_training_runs", "v0004_face_embeddings",
                "v0005_finished_tasks",
            ].map { .embedInCode("SQL/\($0).sql") }),
        library(
            "ServiceKit",
            [
                "Messaging", "Store", "Contracts", "Telemetry", configuration, hummingbird, lifecycle, signals, logging,
                metrics,
            ]),

        // Executables: the only place where the two meet.
        service(
            "gateway",
            [
                "ServiceKit", "Messaging", "Store", "Contracts", "Telemetry", "ImageIO", "AddOnFiles", "Prompts",
                hummingbird, logging,
            ]),
        service(
            "encoder",
            ["ServiceKit", "Store", "Contracts", "ModelFolder", "CLIP", "ImageIO", "Checkpoint", "TensorEngine"]),
        service(
            "aggregator",
            ["ServiceKit", "Store", "Contracts", "ModelFolder", "IPAdapter", "Checkpoint", "TensorEngine"]),
        service(
            "denoiser",
            [
                "ServiceKit", "Store", "Contracts", "ModelFolder", "Diffusion", "IPAdapter", "ImageIO", "Checkpoint",
                "TensorEngine", logging,
            ]),
        service(
            "evaluator",
            [
                "ServiceKit", "Store", "Contracts", "ModelFolder", "ImageMetrics", "ImageIO", "Checkpoint",
                "TensorEngine",
            ]),
        service(
            "trainer",
            [
                "ServiceKit", "Store", "Contracts", "Training", "ModelFolder", "ImageIO", "Checkpoint", "TensorEngine",
                crypto,
            ]),
        service(
            "likeness",
            [
                "Contracts", "Messaging", "Goldens", "Study", "Training", "ModelFolder", "RenderedPeople", "ImageIO",
                "ImageMetrics", "Diffusion", "CLIP",
                "IPAdapter", "Checkpoint", "TensorEngine", argumentParser,
            ]),

        // Tests, by the target they are about.
        tests("ImageIOTests", ["ImageIO", "Checkpoint", "TestSupport"]),
        tests("RenderedPeopleTests", ["RenderedPeople", "ImageIO"]),
        tests("CLIPTests", ["CLIP", "Checkpoint", "TestSupport"]),
        tests("DiffusionTests", ["Diffusion", "Checkpoint", "TensorEngine", "TestSupport"]),
        tests(
            "TrainingTests",
            [
                "Training", "RenderedPeople", "ModelFolder", "Diffusion", "IPAdapter", "CLIP", "Checkpoint",
                "TensorEngine",
            ]),
        tests("StudyTests", ["Study", "Training", "ModelFolder", "RenderedPeople", "Checkpoint"]),
        .target(
            name: "TestSupport", dependencies: ["Checkpoint", "TensorEngine"], path: "Tests/Support",
            swiftSettings: strict),
        .target(
            name: "MalformedFiles",
            dependencies: ["ModelFolder", "CLIP", "Diffusion", "ImageIO", "Checkpoint", "TensorEngine"],
            path: "Tests/MalformedFiles", swiftSettings: strict),
        .target(name: "CAllocationWatch", path: "Tests/CAllocationWatch"),
        .executableTarget(
            name: "malformed", dependencies: ["MalformedFiles", "CAllocationWatch"], path: "Tests/MalformedRun",
            exclude: ["run"], swiftSettings: strict),
        tests("MalformedTests", ["MalformedFiles"]),
        tests("FacesTests", ["Faces", "ImageIO", "Checkpoint", "TensorEngine"], resources: [.copy("Fixtures")]),
        tests("ImageMetricsTests", ["ImageMetrics", "ImageIO"]),
        tests("TensorEngineTests", ["TensorEngine"]),
        tests("CheckpointTests", ["Checkpoint", "TensorEngine"], resources: [.copy("Fixtures")]),
        tests(
            "IPAdapterTests", ["IPAdapter", "Diffusion", "Checkpoint", "TensorEngine"], resources: [.copy("Fixtures")]),
        tests(
            "ModelFolderTests",
            ["ModelFolder", "CLIP", "Diffusion", "IPAdapter", "ImageIO", "Checkpoint", "TensorEngine", "TestSupport"],
            resources: [.copy("Fixtures")]),
        tests("GoldensTests", ["Goldens", "TestSupport"]),
        tests("ContractsTests", ["Contracts", "Training"]),
        tests("PromptsTests", ["Prompts"]),
        tests("StoreTests", ["Store", "Contracts", logging]),
        tests("MessagingTests", ["Messaging", "Contracts", "TestSupport", logging]),
        tests("GatewayTests", ["gateway", "ImageIO", "Store", "Contracts", "TestSupport", logging]),
        tests("ArchitectureTests", []),
        tests("EndToEndTests", ["ImageIO", "Checkpoint", "TensorEngine", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6]
)
