import CLIP
import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import ImageIO
import ModelFolder
import Synchronization
import TensorEngine

/// Weights that are numbers of their name and place, as `Fixtures/requests/make.py` computes them: whatever a model asks for
/// is there, and remembered.
final class FormulaWeights: TensorSource {
    private let made = Mutex<[String: Tensor]>([:])

    var description: String { "formula weights" }
    var names: [String] { made.withLock { Array($0.keys) } }
    func shape(of name: String) -> [Int]? { made.withLock { $0[name]?.shape } }
    func tensor(_ name: String) throws -> Tensor {
        guard let tensor = made.withLock({ $0[name] }) else { throw CheckpointError("\(name) was not asked for") }
        return tensor
    }
    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        let tensor = Self.formula(name, shape)
        made.withLock { $0[name] = tensor }
        return tensor
    }
    /// Everything that was asked for.
    var all: [String: Tensor] { made.withLock { $0 } }

    static func formula(_ name: String, _ shape: [Int]) -> Tensor {
        // Older files have other names for the VAE's attention; the formula goes by diffusers'.
        var canonical = name
        for (old, new) in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")] {
            canonical = canonical.replacing(".0.\(old).", with: ".0.\(new).")
        }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in canonical.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let fanIn = shape.dropFirst().reduce(1, *)
        let numbers = (0..<shape.reduce(1, *)).map { i in
            var z = hash &+ UInt64(i + 1) &* 0x9E37_79B9_7F4A_7C15
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            z ^= z >> 31
            let v = Double(z >> 40) * 0x1p-24 * 2 - 1
            if shape.count <= 1 { return Float((name.hasSuffix("weight") ? 1 : 0) + 0.1 * v) }
            return Float(name.contains("embedding.weight") ? 0.5 * v : v * (3 / Double(fanIn)).squareRoot())
        }
        return Tensor(numbers, shape: shape)
    }
}

/// The tiny model of `Fixtures/requests`, written as a folder that `PipelineFolder` reads.
struct RequestModel {
    static let width = 104
    static let height = 72
    static let seed: UInt64 = 11
    private(set) var folder: PipelineFolder
    var pipeline: PicturePipeline

    static var fixtures: URL {
        get throws {
            guard let url = Bundle.module.url(forResource: "Fixtures", withExtension: nil) else {
                throw CheckpointError("the tests' fixtures are missing")
            }
            return url.appendingPathComponent("requests")
        }
    }

    /// - Parameter channels: of the UNet's input, 4 or 9
    init(channels: Int = 4, at url: URL) throws {
        let fixtures = try Self.fixtures
        func write(_ path: String, _ text: String) throws { try write(path, Data(text.utf8)) }
        func write(_ path: String, _ data: Data) throws {
            let file = url.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: file)
        }
        func config<T: Decodable>(_ text: String, _ type: T.Type) throws -> T {
            try JSONDecoder().decode(type, from: Data(text.utf8))
        }
        try write("model_index.json", "{}")
        try write("scheduler/scheduler_config.json", Self.scheduler)

        let unetJSON = Self.unet.replacing("CHANNELS", with: "\(channels)")
        let unetWeights = FormulaWeights()
        let unet = try UNet2DConditionModel(Weights(unetWeights), config(unetJSON, UNetConfig.self))
        try write("unet/config.json", unetJSON)
        try write("unet/diffusion_pytorch_model.safetensors", SafetensorsWriter.data(unetWeights.all))

        let adapter = FormulaWeights()
        _ = try IPAdapterModel(Weights(adapter), for: unet, embeddingWidth: 16, tokens: 4)
        try write("ip_adapter/ip-adapter_sd15.safetensors", SafetensorsWriter.data(adapter.all))

        let vae = FormulaWeights()
        _ = try AutoencoderKL(Weights(vae), config(Self.vae, VAEConfig.self))
        try write("vae/config.json", Self.vae)
        try write("vae/diffusion_pytorch_model.safetensors", SafetensorsWriter.data(vae.all))

        let text = FormulaWeights()
        let vocabulary = try Data(contentsOf: fixtures.appendingPathComponent("vocab.json"))
        let size = try JSONDecoder().decode([String: Int].self, from: vocabulary).count
        let textJSON = Self.text.replacing("SIZE", with: "\(size)")
        _ = try CLIPTextModel(Weights(text), config(textJSON, CLIPTextConfig.self))
        try write("text_encoder/config.json", textJSON)
        try write("text_encoder/model.safetensors", SafetensorsWriter.data(text.all))
        try write("tokenizer/vocab.json", vocabulary)
        for (from, to) in [
            ("merges.txt", "tokenizer/merges.txt"), ("lora_a.safetensors", "loras/lora_a.safetensors"),
            ("lora_b.safetensors", "loras/lora_b.safetensors"), ("lora_c.safetensors", "loras/lora_c.safetensors"),
            ("lora_d.safetensors", "loras/lora_d.safetensors"),
            ("many.safetensors", "embeddings/many.safetensors"),
            ("tuft-file.safetensors", "embeddings/tuft-file.safetensors"), ("third.pt", "embeddings/third.pt"),
            ("safety.json", "safety_checker/config.json"), ("safety.safetensors", "safety_checker/model.safetensors"),
        ] { try write(to, Data(contentsOf: fixtures.appendingPathComponent(from))) }

        folder = try PipelineFolder(url)
        pipeline = try PicturePipeline(folder)
    }

    /// The same model with another adapter.
    func adapted(by adapter: URL) throws -> RequestModel {
        var model = self
        model.folder = try PipelineFolder(folder.url, adapter: adapter)
        model.pipeline = try PicturePipeline(model.folder)
        return model
    }

    /// One picture's latent as diffusers keeps it, [1, 4, h, w].
    ///
    /// - Parameters:
    ///   - words: textual inversion's
    ///   - loras: for UNet and text tower
    ///   - tokens: of photos; those of a photo of numbers of its name unless given
    func latent(
        _ kind: SchedulerKind, steps: Int = 5, guidance: Float = 4, prompt: String = "a photo of a person, red hat",
        clipSkip: Int = 0, loras: [LoRAChoice] = [], picture: RGBImage? = nil, mask: RGBImage? = nil,
        tokens: Tensor? = nil,
        _ change: (inout PicturePipeline.Sampling) -> Void = { _ in }
    ) throws -> Tensor {
        let addOns = AddOns(folder)
        let chosen = try addOns.find(loras)
        let tower = try addOns.text(addOns.changingText(chosen))
        let words = try addOns.words(in: prompt, width: tower.config.hiddenSize).map(\.word)
        let encoder = PromptEncoder(try folder.tokenizer(), tower, words: words)
        let photo = FormulaWeights.formula("photo", [1, 16]).scaled(by: 2).reshaped([1, 1, 16])
        let tokens = try tokens ?? folder.imageProjection()(.stacked([.zeros([1, 1, 16]), photo]))
        var inputs = PicturePipeline.Inputs(
            prompt: encoder(prompt, clipSkip: clipSkip).states,
            negativePrompt: encoder("a hat").states, tokens: tokens, aggregation: .single)
        (inputs.picture, inputs.mask) = (picture, mask)
        var sampling = PicturePipeline.Sampling(
            scheduler: kind, steps: steps, guidanceScale: guidance, ipAdapterScale: 0.8, height: Self.height,
            width: Self.width)
        change(&sampling)
        var pipeline = pipeline
        if !loras.isEmpty { pipeline.unet = try folder.unet(fineTunedBy: [:], loras: chosen, adapted: true) }
        return try pipeline.latent(sampling, seed: Self.seed, inputs).channelsFirst()
    }

    /// make.py's `picture`.
    static let picture: RGBImage = {
        let (width, height) = (120, 90)
        let pixels = (0..<width * height * 3).map { i in
            let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3)
            return UInt8((x * 5 + y * 3 * (c + 1) + (x * y) / 7 + 40 * c) % 256)
        }
        return RGBImage(width: width, height: height, pixels: pixels)
    }()

    /// make.py's `mask`.
    static let mask: RGBImage = {
        let (width, height) = (120, 90)
        let pixels = (0..<width * height * 3).map { i in
            let (x, y) = (i / 3 % width, i / 3 / width)
            return UInt8(clamping: 255 - ((x - 50) * (x - 50) + (y - 40) * (y - 40)) / 8)
        }
        return RGBImage(width: width, height: height, pixels: pixels)
    }()

    private static let scheduler = """
        {"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
         "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1,
         "clip_sample": false}
        """
    private static let unet = """
        {"sample_size": 8, "in_channels": CHANNELS, "out_channels": 4, "layers_per_block": 1,
         "block_out_channels": [16, 24, 32],
         "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
         "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
         "cross_attention_dim": 32, "attention_head_dim": 4, "norm_num_groups": 8}
        """
    private static let vae = """
        {"block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 4,
         "scaling_factor": 0.18215}
        """
    private static let text = """
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
         "max_position_embeddings": 77, "vocab_size": SIZE, "hidden_act": "quick_gelu"}
        """
}
