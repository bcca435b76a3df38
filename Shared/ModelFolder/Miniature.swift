public import CLIP
internal import Checkpoint
public import Diffusion
public import Foundation
internal import IPAdapter
internal import ImageMetrics
internal import NeuralNetwork
internal import TensorEngine

/// A seeded random model of Stable Diffusion 1.5's and IP-Adapter's architecture, small enough for two cores and any
/// test: the same folder layout, the same key names, pictures of 64×64. Its weights are untrained, its pictures noise.
public enum Miniature {
    /// Name of the file that says, in words, that the folder's weights are random.
    static let marker = "RANDOM_WEIGHTS.txt"

    /// Takes away what says that a folder's weights are random.
    public static func markTrained(_ url: URL) throws {
        let file = url.appendingPathComponent(marker)
        guard FileManager.default.fileExists(atPath: file.path) else { return }
        try FileManager.default.removeItem(at: file)
    }

    /// Writes the folder, whole or not at all. A folder that is already there is left as it is.
    ///
    /// - Parameter captions: text that the tokenizer's vocabulary is learned from
    /// - Returns: whether it was written
    @discardableResult
    public static func write(to folder: URL, seed: UInt64 = 0, captions: String? = nil) throws -> Bool {
        let files = FileManager.default
        if files.fileExists(atPath: folder.appendingPathComponent("model_index.json").path) { return false }
        guard !files.fileExists(atPath: folder.path) else {
            throw CheckpointError("\(folder.path): exists and is no model folder; name another or remove it")
        }
        let parent = folder.deletingLastPathComponent()
        try files.createDirectory(at: parent, withIntermediateDirectories: true)
        let draft = parent.appendingPathComponent(".\(folder.lastPathComponent).\(UUID().uuidString)")
        do {
            try Writer(folder: draft, seed: seed, vocabulary: vocabulary(captions)).write()
            try files.moveItem(at: draft, to: folder)
        } catch {
            try? files.removeItem(at: draft)
            throw error
        }
        return true
    }

    private static func vocabulary(_ captions: String?) -> BytePairTraining {
        BytePairTraining.train(on: captions ?? BytePairTraining.captions, merges: 400)
    }

    /// The UNet's sizes.
    public static let unet = UNetConfig(
        sampleSize: 16, blockOutChannels: [48, 96, 128], crossAttentionDim: 96, heads: 4, normNumGroups: 8,
        latentChannels: 8)

    /// The VAE's.
    public static var vae: VAEConfig {
        var config = VAEConfig()
        config.blockOutChannels = [24, 48, 64]
        // Twice Stable Diffusion's: a latent of 4 numbers a pixel of 16×16 leaves eyes and glasses blurred.
        config.latentChannels = 8
        config.layersPerBlock = 1
        config.normNumGroups = 8
        return config
    }

    /// The text tower's.
    public static func text(vocabulary size: Int) -> CLIPTextConfig {
        var config = CLIPTextConfig()
        (config.hiddenSize, config.intermediateSize) = (unet.crossAttentionDim, 4 * unet.crossAttentionDim)
        (config.numHiddenLayers, config.numAttentionHeads) = (2, 4)
        config.vocabSize = size
        return config
    }

    /// The vision tower's.
    public static var vision: CLIPVisionConfig {
        var config = CLIPVisionConfig()
        (config.hiddenSize, config.intermediateSize, config.projectionDim) = (96, 384, 96)
        (config.numHiddenLayers, config.numAttentionHeads) = (4, 4)
        (config.imageSize, config.patchSize) = (64, 8)
        config.hiddenAct = .gelu
        return config
    }

    private struct Writer {
        let folder: URL
        let seed: UInt64
        let vocabulary: BytePairTraining

        func write() throws {
            let text = Miniature.text(vocabulary: vocabulary.tokens.count)
            let unet = try part("unet", "diffusion_pytorch_model", Miniature.unet) {
                try UNet2DConditionModel($0, Miniature.unet)
            }
            _ = try part("vae", "diffusion_pytorch_model", Miniature.vae) { try AutoencoderKL($0, Miniature.vae) }
            _ = try part("text_encoder", "model", text) { try CLIPTextModel($0, text) }
            _ = try weights("text_encoder/text_projection.safetensors") {
                try Linear($0 / "text_projection", text.hiddenSize, Miniature.vision.projectionDim, bias: false)
            }
            _ = try part("ip_adapter/image_encoder", "model", Miniature.vision) {
                try CLIPVisionModel($0, Miniature.vision)
            }
            let width = Miniature.vision.projectionDim
            _ = try weights("ip_adapter/ip-adapter_sd15.safetensors") {
                try IPAdapterModel($0, for: unet, embeddingWidth: width, tokens: 4)
            }
            _ = try weights("ip_adapter/self_attention.safetensors", metadata: ["heads": "4"]) {
                try PhotoSelfAttention($0, width: width, heads: 4)
            }
            for network in ["inception", "identity"] {
                let config = EvaluationNetworkConfig.miniature
                _ = try part("evaluation/\(network)", "model", config) { try EvaluationNetwork($0, config) }
            }
            try file("tokenizer/vocab.json", vocabulary.vocabJSON())
            try file("tokenizer/merges.txt", vocabulary.mergesText())
            try file("tokenizer/tokenizer_config.json", Data(Miniature.tokenizer.utf8))
            try file("scheduler/scheduler_config.json", Data(Miniature.schedule.utf8))
            try file(Miniature.marker, Data("Random weights, seed \(seed). Pictures made with them are noise.\n".utf8))
            try file("model_index.json", Data(Miniature.index.utf8))
        }

        private func part<Model>(
            _ name: String, _ file: String, _ config: some Encodable, _ make: (Weights) throws -> Model
        ) throws -> Model {
            try self.file("\(name)/config.json", DiffusersForm.config(config, part: name))
            return try weights("\(name)/\(file).safetensors", make: make)
        }

        /// Lets the model ask for its weights and writes what it was given.
        private func weights<Model>(
            _ path: String, metadata: [String: String] = [:], make: (Weights) throws -> Model
        ) throws -> Model {
            let random = RandomWeights(seed: seed)
            let model = try make(Weights(random))
            let tensors = try Dictionary(uniqueKeysWithValues: random.names.map { ($0, try random.tensor($0)) })
            let formed = DiffusersForm.tensors(tensors, part: String(path.prefix { $0 != "/" }))
            try file(path, SafetensorsWriter.data(formed, metadata: metadata))
            return model
        }

        private func file(_ path: String, _ data: Data) throws {
            let url = folder.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: url)
        }
    }

    private static let index = """
        {
          "_class_name": "StableDiffusionPipeline",
          "feature_extractor": [null, null],
          "image_encoder": [null, null],
          "requires_safety_checker": false,
          "safety_checker": [null, null],
          "scheduler": ["diffusers", "DDIMScheduler"],
          "text_encoder": ["transformers", "CLIPTextModel"],
          "tokenizer": ["transformers", "CLIPTokenizer"],
          "unet": ["diffusers", "UNet2DConditionModel"],
          "vae": ["diffusers", "AutoencoderKL"]
        }

        """

    private static let tokenizer = """
        {
          "bos_token": "<|startoftext|>",
          "eos_token": "<|endoftext|>",
          "model_max_length": 77,
          "pad_token": "<|endoftext|>",
          "tokenizer_class": "CLIPTokenizer",
          "unk_token": "<|endoftext|>"
        }

        """

    private static let schedule = """
        {
          "_class_name": "DDIMScheduler",
          "beta_end": 0.012,
          "beta_schedule": "scaled_linear",
          "beta_start": 0.00085,
          "clip_sample": false,
          "num_train_timesteps": 1000,
          "set_alpha_to_one": false,
          "steps_offset": 1
        }

        """
}
