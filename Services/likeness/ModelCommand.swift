import ArgumentParser
import CLIP
import Diffusion
import Foundation
import IPAdapter
import ModelFolder

/// `likeness model`: model folders.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Makes, checks and uses model folders.",
        subcommands: [Miniature.self, Check.self, Draw.self])

    /// `likeness model miniature --out DIR`
    struct Miniature: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "miniature",
            abstract: "Writes a seeded random miniature of Stable Diffusion 1.5 with IP-Adapter.",
            discussion: "Its weights are not trained: pictures made with it are noise.")

        @Option(name: .customLong("out"), help: "The folder to write; one that is there already is left as it is.")
        var folder: String

        @Option(help: "Seed of the weights.")
        var seed: UInt64 = 0

        func run() throws {
            let url = URL(fileURLWithPath: folder)
            let written = try ModelFolder.Miniature.write(to: url, seed: seed)
            print("\(url.path): \(written ? "written" : "there already, left as it is")")
        }
    }

    /// `likeness model check DIR`
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Loads every part of a model folder and says what is wrong with it.")

        @Argument(help: "The folder (LIKENESS_MODELS).", completion: .directory)
        var folder: String

        @Option(
            help: "IP-Adapter's file or folder; LIKENESS_IP_ADAPTER, or in or beside the folder.", completion: .file())
        var ipAdapter: String?

        func run() throws {
            let adapter = ipAdapter ?? ProcessInfo.processInfo.environment["LIKENESS_IP_ADAPTER"]
            let models = try PipelineFolder(
                URL(fileURLWithPath: folder), adapter: adapter.map { URL(fileURLWithPath: $0) })
            let unet = try models.adaptedUNet()
            let ipAdapter = try models.adapter(for: unet)
            let text = try models.text()
            _ = try (models.vae(), models.tokenizer(), models.schedulerConfig())
            let size = try models.pictureSide()
            print("UNet \(unet.config.blockOutChannels), pictures of \(size)×\(size)")
            print("text \(text.config.hiddenSize) wide, \(text.config.numHiddenLayers) layers")
            if ipAdapter.projection.input != .faceEmbedding || models.hasImageEncoder {
                let vision = try models.vision()
                print("vision \(vision.config.hiddenSize) wide, embeddings of \(vision.config.projectionDim)")
            }
            let tokens = ipAdapter.projection.tokens.map(String.init) ?? "as many"
            let reads =
                switch ipAdapter.projection.input {
                case .imageEmbedding: "image embeddings"
                case .hiddenStates: "hidden states"
                case .faceEmbedding: "face embeddings of \(ipAdapter.projection.embeddingWidth)"
                }
            print("IP-Adapter \(models.adapterFile.path): \(tokens) tokens from \(reads)")
            print("self-attention: \(try models.selfAttention() == nil ? "none" : "there")")
            print("hash \(try models.pictureHash())")
        }
    }
}
