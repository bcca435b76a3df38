internal import CLIP
internal import Checkpoint
internal import Diffusion
public import Foundation
internal import IPAdapter
internal import ImageMetrics
internal import ModelFolder
internal import NeuralNetwork
internal import RenderedPeople
internal import TensorEngine

extension TrainingStage {
    /// The stages whose weights it computes with.
    fileprivate var base: [TrainingStage] {
        switch self {
        case .vae, .clip, .inception, .identity: []
        case .unet: [.vae, .clip]
        case .ipAdapter: [.vae, .clip, .unet]
        case .selfAttention: [.vae, .clip, .unet, .ipAdapter]
        }
    }
}

/// Trains the miniature family stage by stage in a folder of work:
///
///     data/pretraining, data/people    rendered data sets
///     state/                           states and logs of the runs
///     model/                           the model folder, a part better after each stage
public struct Curriculum: Sendable {
    /// How much of everything.
    public let settings: CurriculumSettings
    /// The folder of work.
    public let work: URL
    /// People who are in no other set; rendered or, in the same layout, photographed.
    public let peopleFolder: URL

    /// - Parameter people: a data set in LFW's layout to use instead of rendered people
    public init(_ settings: CurriculumSettings, work: URL, people: URL? = nil) {
        (self.settings, self.work) = (settings, work)
        peopleFolder = people ?? work.appendingPathComponent("data/people")
    }

    /// The model folder.
    public var modelURL: URL { work.appendingPathComponent("model") }
    /// States and logs.
    public var stateURL: URL { work.appendingPathComponent("state") }
    private var pretrainingURL: URL { work.appendingPathComponent("data/pretraining") }

    /// Renders the data sets that are not there yet and starts the model folder with random weights.
    ///
    /// - Parameter first: the stage to begin with; what comes before it must be in the model folder already
    public func prepare(from first: TrainingStage = .vae, _ say: (String) -> Void = { _ in }) throws {
        say("data: \(settings.pretrainingPeople) people for pre-training, \(settings.people) for the methods")
        if first != .vae { try checkParts(before: first) }
        if peopleFolder == work.appendingPathComponent("data/people") {
            try DatasetWriter.write(
                people: settings.people, photos: settings.photos, size: 64, seed: settings.seed, to: peopleFolder)
        }
        // The last stage, which is the one tried most, does without the other set.
        if first == .selfAttention { return }
        try DatasetWriter.write(
            people: settings.pretrainingPeople, photos: settings.pretrainingPhotos, size: 64,
            seed: settings.seed &+ 1_000_003, appearance: true, to: pretrainingURL)
        let captions = try FaceDataset.load(pretrainingURL, minimumPhotos: 1).people.prefix(400).flatMap(\.photos)
            .map { "\($0.caption ?? "") \($0.appearance ?? "")" }
        try Miniature.write(
            to: modelURL, seed: settings.seed,
            captions: captions.joined(separator: " ") + String(repeating: " sks person class noun", count: 50))
    }

    private func checkParts(before first: TrainingStage) throws {
        for stage in TrainingStage.allCases.prefix(while: { $0 != first }) {
            let file = weightsURL(stage)
            guard FileManager.default.fileExists(atPath: file.path) else {
                throw CheckpointError(
                    "\(file.path): is missing, and training is to begin with \(first.rawValue); copy a trained model folder "
                        + "to \(modelURL.path), or begin with \(stage.rawValue)")
            }
        }
    }

    /// The file of the model folder that holds most of what a stage trains.
    public func weightsURL(_ stage: TrainingStage) -> URL {
        let part =
            switch stage {
            case .vae: "vae/diffusion_pytorch_model"
            case .clip: "ip_adapter/image_encoder/model"
            case .unet: "unet/diffusion_pytorch_model"
            case .inception: "evaluation/inception/model"
            case .identity: "evaluation/identity/model"
            case .ipAdapter: "ip_adapter/ip-adapter_sd15"
            case .selfAttention: "ip_adapter/self_attention"
            }
        return modelURL.appendingPathComponent("\(part).safetensors")
    }

    /// The people of the data set proper.
    public func split() throws -> PeopleSplit { try PeopleSplit(peopleFolder, seed: settings.seed) }

    /// Runs one stage to its end (or goes on with it) and puts its result into the model folder.
    ///
    /// - Parameters:
    ///   - say: told what is wrong with photos and captions, where training goes on without them
    ///   - report: told every log line; throwing stops the run, whose state stays
    public func run(
        _ stage: TrainingStage, say: (String) -> Void = { _ in }, report: (TrainingProgress) throws -> Void
    ) throws {
        switch stage {
        case .vae: try trainVAE(report)
        case .clip: try trainCLIP(report)
        case .unet: try trainUNet(report)
        case .inception: try trainInception(report)
        case .identity: try trainIdentity(report)
        case .ipAdapter: try trainAdapter(say, report)
        case .selfAttention: try trainSelfAttention(say, report)
        }
        try record(stage)
    }

    /// Puts the settings, and the log of a stage that has ended, beside the weights: what they were made with.
    private func record(_ stage: TrainingStage) throws {
        let home = modelURL.appendingPathComponent("training")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(settings).write(to: home.appendingPathComponent("settings.json"), options: .atomic)
        let log = try Data(contentsOf: log(of: stage).logURL)
        try log.write(to: home.appendingPathComponent("\(stage.rawValue).log.jsonl"), options: .atomic)
        if stage == TrainingStage.allCases.last { try Miniature.markTrained(modelURL) }
    }

    /// The log of a stage so far.
    public func history(_ stage: TrainingStage) throws -> [TrainingProgress] { try log(of: stage).history() }

    private typealias Report = (TrainingProgress) throws -> Void

    private func loop(_ stage: TrainingStage) -> TrainingLoop {
        var loop = log(of: stage)
        loop.fingerprint = fingerprint(stage)
        return loop
    }

    /// To read a stage's log with: its fingerprint, for which weights are hashed, is left out.
    private func log(of stage: TrainingStage) -> TrainingLoop {
        TrainingLoop(
            name: stage.rawValue, optimizer: settings.optimizer(stage), steps: settings.steps[stage.rawValue] ?? 0,
            folder: stateURL, fingerprint: "")
    }

    /// What a stage's result depends on, the weights of earlier stages included: other stages' settings may change without
    /// it.
    private func fingerprint(_ stage: TrainingStage) -> String {
        let data =
            stage == .selfAttention
            ? "\(settings.people) people of \(settings.photos) photos in \(peopleFolder.path), "
                + "readout \(settings.readout)"
            : "\(settings.pretrainingPeople) people of \(settings.pretrainingPhotos) photos"
        let adapts = stage == .ipAdapter || stage == .selfAttention
        let sampling = adapts ? ", \(settings.adapterTimestepSampling.rawValue) time steps" : ""
        let rate = settings.learningRate[stage.rawValue] ?? 0
        let base = stage.base.map { earlier in
            "\(earlier.rawValue) \((try? FileHash()([weightsURL(earlier)]).prefix(16)) ?? "not there")"
        }
        return "\(stage.rawValue): \(settings.steps[stage.rawValue] ?? 0) updates of \(batch(stage)) at \(rate), seed "
            + "\(settings.seed), \(data)\(sampling)" + (base.isEmpty ? "" : ", on " + base.joined(separator: ", "))
    }

    private func batch(_ stage: TrainingStage) -> Int { settings.batchSize[stage.rawValue] ?? 32 }

    private func pretrainingAlbum() throws -> Album {
        try Album(FaceDataset.load(pretrainingURL, minimumPhotos: 1).people, side: 64)
    }

    private func folder() throws -> PipelineFolder { try PipelineFolder(modelURL) }

    private func random(_ name: String) -> RandomWeights {
        RandomWeights(seed: settings.seed &* 31 &+ UInt64(name.count))
    }

    // MARK: Parts

    private func trainVAE(_ report: Report) throws {
        let set = ParameterSet(random("vae"))
        let vae = try AutoencoderKL(Weights(set), Miniature.vae)
        let album = try pretrainingAlbum()
        let objective = AutoencoderObjective(
            vae, set.parameters, album: album, batchSize: batch(.vae), seed: settings.seed)
        let result = try loop(.vae).run(objective, report: report)
        try save(result, "vae/diffusion_pytorch_model")
        // The UNet is to see latents of deviation 1, as Stable Diffusion's scaling factor does.
        var config = Miniature.vae
        config.scalingFactor = 1
        try save(config)
        let sample = try folder().vae().encode(album.pixels(Array(stride(from: 0, to: album.photos.count, by: 31))))
        let (mean, variance) = Self.moments(sample.mean)
        config.scalingFactor = Float(1 / (variance + mean * mean).squareRoot())
        try save(config)
    }

    private func trainCLIP(_ report: Report) throws {
        let folder = try folder()
        let tokenizer = try folder.tokenizer()
        let config = Miniature.text(vocabulary: tokenizer.vocabularySize)
        let texts = ParameterSet(random("text"))
        let images = ParameterSet(random("vision"))
        let text = try CLIPTextModel(Weights(texts), config)
        let vision = try CLIPVisionModel(Weights(images), Miniature.vision)
        let projection = try Linear(
            Weights(texts) / "text_projection", config.hiddenSize, Miniature.vision.projectionDim, bias: false)
        let objective = ContrastiveObjective(
            parameters: texts.parameters.merging(images.parameters) { a, _ in a }, batchSize: batch(.clip), text: text,
            vision: vision, textProjection: projection, tokenizer: tokenizer, album: try pretrainingAlbum(),
            seed: settings.seed)
        let result = try loop(.clip).run(objective, report: report)
        try save(result.filter { $0.key.hasPrefix("text_model.") }, "text_encoder/model")
        try save(result.filter { $0.key.hasPrefix("text_projection.") }, "text_encoder/text_projection")
        try save(
            result.filter { $0.key.hasPrefix("vision_model.") || $0.key.hasPrefix("visual_projection.") },
            "ip_adapter/image_encoder/model")
    }

    private func trainUNet(_ report: Report) throws {
        let set = ParameterSet(ResidualStart(random: random("unet")))
        let unet = try UNet2DConditionModel(Weights(set), Miniature.unet)
        let objective = DenoisingObjective(
            parameters: set.parameters, batchSize: batch(.unet),
            denoising: try Denoising(folder(), unet, pretrainingAlbum()), seed: settings.seed)
        try save(loop(.unet).run(objective, report: report), "unet/diffusion_pytorch_model")
    }

    private func trainInception(_ report: Report) throws {
        let set = ParameterSet(random("inception"))
        let network = try EvaluationNetwork(Weights(set), .miniature)
        let objective = ClassifierObjective(
            parameters: set.parameters, batchSize: batch(.inception), network: network, album: try pretrainingAlbum(),
            seed: settings.seed)
        try save(loop(.inception).run(objective, report: report), "evaluation/inception/model")
    }

    private func trainIdentity(_ report: Report) throws {
        let album = try pretrainingAlbum()
        let set = ParameterSet(random("identity"))
        let network = try EvaluationNetwork(Weights(set), .miniature)
        let centres = try Weights(set).tensor("centres", album.people.count, network.config.features)
        let objective = IdentityObjective(
            parameters: set.parameters.filter { !$0.key.hasPrefix("logits.") }, batchSize: batch(.identity),
            network: network, centres: centres, album: album, seed: settings.seed)
        var result = try loop(.identity).run(objective, report: report)
        result["centres"] = nil
        for (name, tensor) in try set.snapshot() where name.hasPrefix("logits.") { result[name] = tensor }
        try save(result, "evaluation/identity/model")
    }

    private func trainAdapter(_ say: (String) -> Void, _ report: Report) throws {
        let people = try FaceDataset.load(pretrainingURL, minimumPhotos: 1).people
        let result = try adapterTraining(.ipAdapter).adapter(people, loop(.ipAdapter), say: say, report: report)
        try save(result, "ip_adapter/ip-adapter_sd15")
    }

    /// From the pretrained IP-Adapter, on the training people.
    private func trainSelfAttention(_ say: (String) -> Void, _ report: Report) throws {
        let (tensors, metadata) = try adapterTraining(.selfAttention)
            .selfAttention(split().training, loop(.selfAttention), say: say, report: report)
        try save(tensors, "ip_adapter/self_attention", metadata: metadata)
    }

    private func adapterTraining(_ stage: TrainingStage) throws -> AdapterTraining {
        var chosen = AdapterTrainingSettings()
        (chosen.batchSize, chosen.seed, chosen.readout) = (batch(stage), settings.seed, settings.readout)
        (chosen.gradientCheckpointing, chosen.heads) = (false, 4)
        chosen.timestepSampling = settings.adapterTimestepSampling
        return AdapterTraining(try folder(), chosen)
    }

    // MARK: Helpers

    private func save(_ tensors: [String: Tensor], _ part: String, metadata: [String: String] = [:]) throws {
        let url = modelURL.appendingPathComponent("\(part).safetensors")
        try SafetensorsWriter.write(
            DiffusersForm.tensors(tensors, part: String(part.prefix { $0 != "/" })), metadata: metadata, half: true,
            to: url)
    }

    private func save(_ config: VAEConfig) throws {
        try DiffusersForm.config(config, part: "vae")
            .write(to: modelURL.appendingPathComponent("vae/config.json"), options: .atomic)
    }

    private static func moments(_ x: Tensor) -> (mean: Double, variance: Double) {
        let numbers = x.scalars.map(Double.init)
        let mean = numbers.reduce(0, +) / Double(numbers.count)
        return (mean, numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(numbers.count))
    }
}
