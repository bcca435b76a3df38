import Foundation
import Testing

/// Imports point one way: bindings → tensors → layers → models, contracts → messaging and store → services.
@Suite struct ImportTests {
    /// Our modules in order: a module may import only modules of an earlier row (its dependencies in Package.swift say
    /// which of them).
    static let layers: [[String]] = [
        ["COneDNN", "COpenBLAS", "CImageCodecs", "CRabbitMQ", "CPostgres", "CKernels"],
        ["ImageIO", "TensorEngine", "AddOnFiles", "Prompts", "Contracts", "Telemetry"],
        ["Checkpoint", "Messaging", "Store", "RenderedPeople"],
        ["NeuralNetwork", "ServiceKit"],
        ["CLIP", "Diffusion", "ImageMetrics", "Faces"],
        ["IPAdapter"],
        ["ModelFolder"],
        ["Training"],
        ["Goldens", "Study"],
        ["gateway", "encoder", "aggregator", "denoiser", "evaluator", "trainer", "likeness"],
    ]
    static let plumbing: Set<String> = ["Contracts", "Telemetry", "Messaging", "Store", "ServiceKit"]
    static let mathematics: Set<String> = [
        "ImageIO", "TensorEngine", "Checkpoint", "NeuralNetwork", "CLIP", "Diffusion", "IPAdapter", "ImageMetrics",
        "Faces", "AddOnFiles", "Prompts", "RenderedPeople", "ModelFolder", "Training", "Study", "Goldens",
    ]
    static let rank = Dictionary(
        uniqueKeysWithValues: layers.enumerated().flatMap { row, modules in modules.map { ($0, row) } })

    /// (module, file, imported module) for every import in Shared and Services.
    static func imports() throws -> [(module: String, file: String, imported: String)] {
        let root = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        var found: [(String, String, String)] = []
        for folder in ["Shared", "Services"] {
            let base = root.appendingPathComponent(folder)
            for module in try FileManager.default.contentsOfDirectory(atPath: base.path) {
                let files = FileManager.default.enumerator(atPath: base.appendingPathComponent(module).path)
                while let file = files?.nextObject() as? String {
                    guard file.hasSuffix(".swift") else { continue }
                    let url = base.appendingPathComponent(module).appendingPathComponent(file)
                    for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
                        guard let match = line.firstMatch(of: /^(?:public |internal |package |private )?import (\w+)/)
                        else { continue }
                        found.append((module, "\(folder)/\(module)/\(file)", String(match.1)))
                    }
                }
            }
        }
        return found
    }

    @Test func everyModuleHasItsPlace() throws {
        let modules = Set(try Self.imports().map(\.module))
        #expect(modules.count > 20)
        for module in modules { #expect(Self.rank[module] != nil, "\(module) is in no layer") }
    }

    @Test func importsPointOneWay() throws {
        for (module, file, imported) in try Self.imports() {
            guard let from = Self.rank[module], let to = Self.rank[imported] else { continue }
            #expect(to < from, "\(file) imports \(imported), which is not below \(module)")
        }
    }

    @Test func mathematicsAndPlumbingMeetOnlyInServices() throws {
        for (module, file, imported) in try Self.imports() {
            if Self.mathematics.contains(module) {
                #expect(!Self.plumbing.contains(imported), "\(file): mathematics imports \(imported)")
            }
            if Self.plumbing.contains(module) {
                #expect(!Self.mathematics.contains(imported), "\(file): plumbing imports \(imported)")
            }
        }
    }

    /// The gateway for its API, ServiceKit for workers' `/metrics`.
    @Test func hummingbirdHasTwoUsers() throws {
        let users = Set(try Self.imports().filter { $0.imported.hasPrefix("Hummingbird") }.map(\.module))
        #expect(users == ["gateway", "ServiceKit"])
    }

    @Test func bindingsAreImportedByTheirOwnersAlone() throws {
        let owners = [
            "COneDNN": ["TensorEngine"], "CKernels": ["TensorEngine", "Checkpoint"], "COpenBLAS": ["ImageMetrics"],
            "CImageCodecs": ["ImageIO"], "CRabbitMQ": ["Messaging"], "CPostgres": ["Store"],
        ]
        for (module, file, imported) in try Self.imports() {
            if let allowed = owners[imported] { #expect(allowed.contains(module), "\(file) imports \(imported)") }
        }
    }
}
