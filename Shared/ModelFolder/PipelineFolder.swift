internal import AddOnFiles
public import CLIP
public import Checkpoint
public import Diffusion
public import Foundation
public import IPAdapter
public import ImageMetrics
public import NeuralNetwork
internal import TensorEngine

/// A Stable Diffusion 1.5 folder in diffusers' layout with an IP-Adapter in or beside it.
///
///     model_index.json
///     unet/ vae/            config.json, diffusion_pytorch_model.* (safetensors or bin, fp16, sharded)
///     text_encoder/         config.json, model.* (or pytorch_model.*)
///     tokenizer/            vocab.json and merges.txt, or tokenizer.json
///     scheduler/            scheduler_config.json
///     ip_adapter/           ip-adapter*.safetensors or .bin, image_encoder/{config.json, model.safetensors},
///                           self_attention.safetensors (the paper's aggregator; absent in published adapters)
///     evaluation/           networks for FID, IS and identity similarity
///     loras/ embeddings/    files that requests name (``AddOns``)
///     safety_checker/       config.json, model.* (``SafetyChecker``)
///
/// The adapter is also found where people keep h94's repository: `IP-Adapter/models/` or `models/`, inside the folder or
/// beside it; `image_encoder/` in any of these places. Each part is loaded only when asked for, so a service maps only
/// what it uses.
///
/// Stable Diffusion's original single file (`v1-5-pruned-emaonly.safetensors`, fine-tunes, `.ckpt`) does as well; then
/// `tokenizer/` and the adapter are looked for beside it, and settings that differ from Stable Diffusion 1.5's (a
/// v-prediction model's `scheduler/scheduler_config.json`, say) in diffusers' layout beside it too.
public struct PipelineFolder: Sendable {
    /// The folder; of a single file, the one it is in.
    public let url: URL
    /// The single file that holds UNet, VAE and text tower.
    private let singleFile: URL?
    /// The folder of the IP-Adapter's files.
    public let adapterURL: URL
    /// The IP-Adapter's own file.
    public let adapterFile: URL

    /// Checks that the folder is one; loads nothing yet.
    ///
    /// - Parameters:
    ///   - adapter: the IP-Adapter's folder or file, if in none of the usual places or of another kind
    ///   - adapterRequired: if not, a folder without an adapter will do, and ``adapterFile`` is where one would be
    public init(_ url: URL, adapter: URL? = nil, adapterRequired: Bool = true) throws {
        let isFile = AddOnFiles.singleFileEndings.contains(url.pathExtension)
        guard isFile || FileManager.default.fileExists(atPath: url.appendingPathComponent("model_index.json").path)
        else {
            throw CheckpointError(
                "\(url.path): is not a diffusers model folder (it has no model_index.json). Set LIKENESS_MODELS to a "
                    + "Stable Diffusion 1.5 folder or single file, or make the miniature with: likeness model miniature "
                    + "--out \(url.path)")
        }
        singleFile = isFile ? url : nil
        self.url = isFile ? url.deletingLastPathComponent() : url
        do { (adapterURL, adapterFile) = try AdapterPlace.find(near: self.url, named: adapter) } catch {
            if adapterRequired || adapter != nil { throw error }
            adapterURL = self.url.appendingPathComponent("ip_adapter")
            adapterFile = adapterURL.appendingPathComponent("ip-adapter_sd15.safetensors")
        }
    }

    // MARK: Parts

    /// The text tower.
    public func text() throws -> CLIPTextModel {
        let weights = Weights(try source(.text))
        let model = try CLIPTextModel(weights, textConfig())
        try weights.requireAllTaken(ignoring: ["position_ids", "text_projection.weight", "logit_scale"])
        return model
    }

    /// The text tower's tensors, for LoRAs.
    func textSource() throws -> any TensorSource { try source(.text) }

    /// The text tower's projection into the space of image embeddings (transformers' `text_projection`), for scoring
    /// how well a picture fits its prompt; nil where the folder has none, as Stable Diffusion's own.
    public func textProjection() throws -> Linear? {
        let file = url.appendingPathComponent("text_encoder/text_projection.safetensors")
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let weights = Weights(try SafetensorsFile(file)) / "text_projection"
        let shape = try weights.shape("weight", axes: 2)
        return try Linear(weights, shape[1], shape[0], bias: false)
    }

    /// The tokenizer.
    public func tokenizer() throws -> BytePairTokenizer {
        let files = try tokenizerFiles()
        let length = try textConfig().maxPositionEmbeddings
        return try files.count == 1
            ? BytePairTokenizer(json: Self.read(files[0]), length: length)
            : BytePairTokenizer(vocab: Self.read(files[0]), merges: Self.read(files[1]), length: length)
    }

    /// The vision tower.
    public func vision() throws -> CLIPVisionModel {
        let home = try imageEncoderURL()
        let weights = Weights(try CheckpointPlace.find(in: home, "model").open())
        let config = try visionConfig()
        let model = try CLIPVisionModel(weights, config)
        try (config.isWholeCLIP ? weights / "vision_model" : weights).requireAllTaken()
        return model
    }

    /// image_encoder/config.json
    public func visionConfig() throws -> CLIPVisionConfig {
        try Self.decode(imageEncoderURL().appendingPathComponent("config.json"), CLIPVisionConfig.self)
    }

    /// The denoiser.
    public func unet() throws -> UNet2DConditionModel { try unet(unetSource()) }

    /// The denoiser as pictures of people are drawn with it: with the LoRA in it that a FaceID adapter brings.
    public func adaptedUNet() throws -> UNet2DConditionModel { try unet(fineTunedBy: [:], adapted: true) }

    func unet(_ source: any TensorSource) throws -> UNet2DConditionModel {
        let config = try unetConfig()
        let inputs = source.shape(of: "conv_in.weight")?.dropFirst().first ?? config.inChannels
        let known = [config.outChannels, 2 * config.outChannels + 1]
        guard inputs == config.inChannels, known.contains(inputs) else {
            throw CheckpointError(
                "\(source.description): this UNet reads \(inputs) channels and its configuration says "
                    + "\(config.inChannels); use a Stable Diffusion 1.x model, which reads \(known[0]), or its inpainting "
                    + "model in diffusers' layout, which reads \(known[1]). Models for depth or editing are not supported"
            )
        }
        let weights = Weights(source)
        let model = try UNet2DConditionModel(weights, config)
        try weights.requireAllTaken()
        return model
    }

    /// unet/config.json
    public func unetConfig() throws -> UNetConfig { try config("unet/config.json", ofSingleFile: .sd15) }

    /// Side in pixels of the pictures that the UNet was made for.
    public func pictureSide() throws -> Int { try unetConfig().sampleSize * vaeConfig().downscale }

    /// The denoiser's tensors, for training.
    public func unetSource() throws -> any TensorSource { try source(.unet) }

    /// The picture decoder.
    public func vae() throws -> AutoencoderKL {
        let weights = Weights(try source(.vae))
        let model = try AutoencoderKL(weights, vaeConfig())
        try weights.requireAllTaken()
        return model
    }

    /// W'k, W'v and the image projection, for `unet`.
    public func adapter(for unet: UNet2DConditionModel) throws -> IPAdapterModel {
        let weights = Weights(AdapterWithoutLoRA(try adapterSource()))
        let model = try IPAdapterModel(weights, for: unet)
        try weights.requireAllTaken()
        return model
    }

    /// The adapter's tensors, for training.
    public func adapterSource() throws -> any TensorSource { try CheckpointFile.open(adapterFile) }

    /// What a FaceID adapter changes in the UNet: the LoRA inside its file, or else in h94's file of the same name with
    /// `_lora`; nil for other adapters.
    func adapterLoRA() throws -> LoRA? {
        let (adapter, unet) = (try adapterSource(), try unetSource())
        if let own = try AdapterLoRA(adapter, for: unet) { return try LoRA(own, for: unet) }
        return try adapterLoRAFile.map { try LoRA(CheckpointFile.open($0), for: unet) }
    }

    /// The image projection alone.
    public func imageProjection() throws -> ImageProjection {
        try ImageProjection(adapter: Weights(try adapterSource()))
    }

    /// The paper's aggregator, or nil where the folder has none. Its number of heads is in the file's metadata.
    public func selfAttention() throws -> PhotoSelfAttention? {
        guard FileManager.default.fileExists(atPath: selfAttentionURL.path) else { return nil }
        let file = try SafetensorsFile(selfAttentionURL)
        guard let heads = file.metadata["heads"].flatMap(Int.init) else {
            throw CheckpointError("\(selfAttentionURL.path): its metadata does not say `heads`; write it again")
        }
        return try PhotoSelfAttention(Weights(file), heads: heads)
    }

    /// The projection that was trained with the self-attention and lies in its file; nil where there is none.
    public func selfAttentionProjection() throws -> ImageProjection? {
        try selfAttentionAdapterWeights().map { try ImageProjection(adapter: $0) }
    }

    /// The W'k, W'v that were trained with the self-attention and lie in its file; nil where there are none.
    public func selfAttentionAdapter(for unet: UNet2DConditionModel) throws -> IPAdapterModel? {
        try selfAttentionAdapterWeights().map { try IPAdapterModel($0, for: unet) }
    }

    private func selfAttentionAdapterWeights() throws -> Weights? {
        guard FileManager.default.fileExists(atPath: selfAttentionURL.path) else { return nil }
        let weights = Weights(try SafetensorsFile(selfAttentionURL))
        return (ImageProjection.home(in: weights) / "norm").has("weight") ? weights : nil
    }

    /// A network that scores pictures, `evaluation/<name>`; nil where the folder has none.
    public func evaluationNetwork(_ name: String) throws -> EvaluationNetwork? {
        let part = "evaluation/\(name)"
        guard FileManager.default.fileExists(atPath: url.appendingPathComponent("\(part)/config.json").path) else {
            return nil
        }
        let weights = Weights(try CheckpointPlace.find(in: url.appendingPathComponent(part), "model").open())
        let network = try EvaluationNetwork(weights, config("\(part)/config.json"))
        try weights.requireAllTaken()
        return network
    }

    /// scheduler/scheduler_config.json
    public func schedulerConfig() throws -> SchedulerConfig {
        try config("scheduler/scheduler_config.json", ofSingleFile: .stableDiffusion15)
    }

    func textConfig() throws -> CLIPTextConfig { try config("text_encoder/config.json", ofSingleFile: .sd15) }

    /// vae/config.json
    public func vaeConfig() throws -> VAEConfig { try config("vae/config.json", ofSingleFile: VAEConfig()) }

    // MARK: Identity

    /// Hash of what reads photos, and what it reads; what was read is cached under it.
    public func photoHash() throws -> String {
        switch try imageProjection().input {
        case .imageEmbedding: try Self.hash(imageEncoderFiles())
        case .hiddenStates: try Self.hash(imageEncoderFiles()) + "-hidden-states"
        case .faceEmbedding: try Self.hash(FaceEncoder.files(url)) + "-face"
        }
    }

    /// Hash of what makes text embeddings: tokenizer and text tower.
    public func textHash() throws -> String {
        try Self.hash(textFiles())
    }

    /// Hash of what makes tokens from image embeddings: projection and self-attention.
    public func aggregationHash() throws -> String {
        try Self.hash([adapterFile] + ownAdapterFile)
    }

    /// Hash of what makes pictures from embeddings and tokens: UNet, VAE, adapter and schedule.
    public func pictureHash() throws -> String {
        let schedule = configFile("scheduler/scheduler_config.json")
        return try Self.hash(
            files(of: .unet) + files(of: .vae) + schedule + [adapterFile] + ownAdapterFile
                + (adapterLoRAFile.map { [$0] } ?? []))
    }

    /// Hash of what the training of an adapter begins with: UNet, VAE, both towers, tokenizer, and the adapter if there is
    /// one.
    public func trainingHash() throws -> String {
        let adapter = FileManager.default.fileExists(atPath: adapterFile.path) ? [adapterFile] : []
        return try Self.hash(
            files(of: .unet) + files(of: .vae) + textFiles() + imageEncoderFiles() + adapter)
    }

    /// Whether the weights are the seeded random miniature's, whose pictures are noise.
    public var isRandomMiniature: Bool {
        FileManager.default.fileExists(atPath: url.appendingPathComponent(Miniature.marker).path)
    }

    // MARK: Files

    /// Where the paper's aggregator is, or would be.
    public var selfAttentionURL: URL { adapterURL.appendingPathComponent("self_attention.safetensors") }

    private var ownAdapterFile: [URL] {
        FileManager.default.fileExists(atPath: selfAttentionURL.path) ? [selfAttentionURL] : []
    }

    /// h94's `ip-adapter-faceid_sd15_lora.safetensors` beside `ip-adapter-faceid_sd15.bin`.
    private var adapterLoRAFile: URL? {
        let name = adapterFile.deletingPathExtension().lastPathComponent + "_lora.safetensors"
        let file = adapterFile.deletingLastPathComponent().appendingPathComponent(name)
        return FileManager.default.fileExists(atPath: file.path) ? file : nil
    }

    /// Whether there is a vision tower; a FaceID adapter does without.
    public var hasImageEncoder: Bool { (try? imageEncoderURL()) != nil }

    private func imageEncoderFiles() throws -> [URL] {
        let home = try imageEncoderURL()
        return try [home.appendingPathComponent("config.json")] + CheckpointPlace.find(in: home, "model").files()
    }

    private func textFiles() throws -> [URL] { try tokenizerFiles() + files(of: .text) }

    private func imageEncoderURL() throws -> URL { try AdapterPlace.imageEncoder(near: url, adapter: adapterURL) }

    /// vocab.json and merges.txt, or tokenizer.json alone.
    private func tokenizerFiles() throws -> [URL] {
        let home = url.appendingPathComponent("tokenizer")
        for names in [["vocab.json", "merges.txt"], ["tokenizer.json"]] {
            let files = names.map(home.appendingPathComponent)
            if files.allSatisfy({ FileManager.default.fileExists(atPath: $0.path) }) { return files }
        }
        throw CheckpointError(
            "\(home.path): has neither vocab.json with merges.txt nor tokenizer.json; copy the folder tokenizer of Stable "
                + "Diffusion 1.5 there")
    }

    private func place(of part: SingleFilePart.Part) throws -> (folder: URL, weights: CheckpointPlace) {
        let (folder, name) =
            switch part {
            case .unet: ("unet", "diffusion_pytorch_model")
            case .vae: ("vae", "diffusion_pytorch_model")
            case .text: ("text_encoder", "model")
            }
        let url = url.appendingPathComponent(folder)
        return (url, try CheckpointPlace.find(in: url, name))
    }

    private func source(_ part: SingleFilePart.Part) throws -> any TensorSource {
        if let singleFile {
            return try SingleFilePart(
                CheckpointFile.open(singleFile), part, layersPerBlock: unetConfig().layersPerBlock,
                levels: vaeConfig().blockOutChannels.count)
        }
        return try place(of: part).weights.open()
    }

    private func files(of part: SingleFilePart.Part) throws -> [URL] {
        if let singleFile {
            let folder =
                switch part {
                case .unet: "unet"
                case .vae: "vae"
                case .text: "text_encoder"
                }
            return configFile("\(folder)/config.json") + [singleFile]
        }
        let place = try place(of: part)
        return try [place.folder.appendingPathComponent("config.json")] + place.weights.files()
    }

    private func config<T: Decodable>(_ path: String, ofSingleFile standard: T? = nil) throws -> T {
        if singleFile != nil, let standard, configFile(path).isEmpty { return standard }
        return try Self.decode(url.appendingPathComponent(path), T.self)
    }

    /// The file; of a single file, which stands for itself, only where there is one.
    private func configFile(_ path: String) -> [URL] {
        let file = url.appendingPathComponent(path)
        return singleFile == nil || FileManager.default.fileExists(atPath: file.path) ? [file] : []
    }

    /// A config.json has a few kB, the index of the most finely sharded checkpoint some hundred.
    private static let settingsLimit = 16 << 20

    static func decode<T: Decodable>(_ url: URL, _ type: T.Type) throws -> T {
        let size = try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int
        guard size ?? 0 <= settingsLimit else {
            throw CheckpointError(
                "\(url.path): has \(size ?? 0) bytes, no settings file has more than \(settingsLimit)")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(contentsOf: url))
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError("\(url.path): cannot be read as a \(type): \(error)")
        }
    }

    private static func read(_ file: URL) throws -> Data {
        do {
            return try Data(contentsOf: file)
        } catch {
            throw CheckpointError("\(file.path): cannot be read: \(error.localizedDescription)")
        }
    }

    static func hash(_ files: [URL]) throws -> String { try FileHash()(files) }
}
