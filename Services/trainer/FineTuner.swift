import Checkpoint
import Contracts
import Crypto
import Foundation
import ImageIO
import ModelFolder
import Store
import Training

/// DreamBooth as the queue asks for it: settings that suit the model, states and class pictures in a folder of runs.
struct FineTuner: Sendable {
    private let folder: PipelineFolder
    private let runs: URL
    private let modelHash: String
    private let base: DreamBoothSettings

    init(_ folder: PipelineFolder, runs: URL) throws {
        (self.folder, self.runs) = (folder, runs)
        modelHash = try folder.pictureHash()
        base = .init(for: try folder.unetConfig())
    }

    private func settings(_ method: Contracts.Method) -> DreamBoothSettings {
        method == .dreamboothLoRA ? base.lowRank : base
    }

    /// Names the exact weights: a hash of the model, the settings and the photos in their order, with what is said of each.
    func recipe(_ method: Contracts.Method, _ photos: [PhotoRow]) throws -> String {
        let settings = settings(method)
        let seen = photos.flatMap { [$0.contentHash, settings.instancePrompt(of: $0.caption)] }
        let made = String(decoding: try JSONEncoder.likeness.encode(settings), as: UTF8.self)
        let text = ([modelHash, made] + seen).joined(separator: "\n")
        return SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined()
    }

    /// Trains, or goes on with what was begun.
    ///
    /// - Returns: a safetensors file in half precision
    func callAsFunction(
        _ method: Contracts.Method, _ photos: [RGBImage], captions: [String?], recipe: String,
        report: (TrainingLog.Event) throws -> Void
    ) throws -> Data {
        let settings = settings(method)
        let booth = DreamBooth(folder, settings)
        let classPictures = try booth.classPictures(
            keptIn: runs.appendingPathComponent("class-pictures")
        ) {
            try report(.news("\(method.rawValue) class picture \($0 + 1) of \(settings.numClassImages)"))
        }
        let weights = try booth.train(
            photos, captions: captions, classPictures: classPictures, state: run(recipe), name: method.rawValue
        ) { try report(.progress($0)) }
        return try SafetensorsWriter.data(
            DiffusersForm.tensors(weights, part: "unet"), metadata: ["recipe": recipe, "method": method.rawValue],
            half: true)
    }

    /// Waits until no other trainer makes the same weights.
    func lock(_ recipe: String) async throws -> FolderLock { try await .wait(for: run(recipe)) }

    /// Removes a run's state.
    func forget(_ recipe: String) { try? FileManager.default.removeItem(at: run(recipe)) }

    private func run(_ recipe: String) -> URL { runs.appendingPathComponent(recipe) }
}
