import ArgumentParser
import CLIP
import Checkpoint
import Contracts
import Diffusion
import Foundation
import IPAdapter
import ImageIO
import ModelFolder
import TensorEngine

extension ModelCommand {
    /// `likeness model draw`: one picture in this process, without gateway, queues or database.
    struct Draw: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "draw", abstract: "Draws one picture here and now, without servers.",
            discussion: "With photos of a person, of that person; with --weights, by a model that was trained on them.")

        @OptionGroup var place: ModelPlace

        @Option(help: "What to show.") var prompt: String
        @Option(help: "What not to show.") var negativePrompt = ""
        @Option(help: "A photo of the person, or a folder of them; may be given several times.") var photo: [String] =
            []
        @Option(help: "How photos are used: \(names).") var method = Method.ipAdapter.rawValue
        @Option(help: "A person's own UNet weights (DreamBooth): whole tensors, or LoRA's under peft's names.")
        var weights: String?
        @Option(help: "Sampler: \(samplers); the model folder's own if not given.") var scheduler: String?
        @Option(help: "Denoising steps.") var steps = 30
        @Option(help: "Weight w of classifier-free guidance; 1 is none.") var guidance: Float = 7.5
        @Option(help: "Weight λ of the photos (decoupled cross-attention).") var scale: Float = 1
        @Option(help: "Seed of the noise, and of the choice where there are more than nine photos.") var seed: UInt64 =
            0
        @Option(help: "Pixels, a multiple of 8; the model's own size unless given.") var width: Int?
        @Option(help: "Pixels, a multiple of 8; the model's own size unless given.") var height: Int?
        @Option(
            help: "Starting noise instead of the seed's: a safetensors file with latents [1, 4, height/8, width/8].")
        var noise: String?
        @Option(help: "Also writes the final latents, in the same form.") var latentsOut: String?
        @Option(
            help: "What numbers are rounded to before they are multiplied: f32 (not at all) or bf16.",
            transform: precisionNamed)
        var precision = Precision.f32
        @Option(help: "The PNG file to write.") var out: String

        private static let names = Method.allCases.filter { !$0.isFineTuned }.map(\.rawValue).joined(separator: ", ")
        private static let samplers = SchedulerKind.allCases.map(\.rawValue).joined(separator: ", ")

        func validate() throws {
            guard aggregation != nil else {
                throw ValidationError("--method \(method): use one of \(Self.names); for DreamBooth give --weights")
            }
            if let scheduler, SchedulerKind(rawValue: scheduler) == nil {
                throw ValidationError("--scheduler \(scheduler): use one of \(Self.samplers)")
            }
            for (name, size) in [("--width", width), ("--height", height)] {
                if let size, !(64...2048).contains(size) || size % 8 != 0 {
                    throw ValidationError("\(name) \(size): must be a multiple of 8 from 64 to 2048")
                }
            }
            guard noise == nil || width == nil && height == nil else {
                throw ValidationError("--noise says how large the picture is: leave --width and --height out")
            }
            guard guidance.isFinite, scale.isFinite else {
                throw ValidationError("--guidance and --scale must be finite numbers")
            }
        }

        private var aggregation: Aggregation? { Aggregation(rawValue: method) }

        func run() throws {
            let clock = ContinuousClock()
            var start = clock.now
            func seconds() -> Double {
                defer { start = clock.now }
                return start.duration(to: clock.now) / .seconds(1)
            }
            let folder = try place.open()
            let inputs = try inputs(folder)
            let encoded = seconds()
            Precision.use(precision)  // as the queue's denoiser, which does not encode
            // A FaceID adapter changes the UNet for its own pictures only.
            var pipeline = try PicturePipeline(folder, adapted: !photo.isEmpty)
            if let weights {
                pipeline.unet = try folder.unet(fineTunedBy: tensors(weights), adapted: !photo.isEmpty)
            }
            let sampling = PicturePipeline.Sampling(
                scheduler: try kind(folder), steps: steps, guidanceScale: guidance, ipAdapterScale: scale,
                height: height, width: width)
            let loaded = seconds()
            let latent = try pipeline.latent(sampling, seed: seed, inputs, from: startingNoise(pipeline)) {
                done, calls in
                FileHandle.standardError.write(Data("\rstep \(done) of \(calls)\(done == calls ? "\n" : "")".utf8))
            }
            let sampled = seconds()
            let image = pipeline.picture(of: latent)
            let decoded = seconds()

            let name = photo.isEmpty ? "text alone" : method
            let note = """
                \(prompt)
                Method: \(name), Steps: \(steps), Sampler: \(sampling.scheduler.rawValue), CFG scale: \(guidance), \
                IP-Adapter scale: \(scale), Seed: \(seed)
                """
            try image.pngData(text: [("parameters", note)]).write(to: URL(fileURLWithPath: out), options: .atomic)
            if let latentsOut {
                try SafetensorsWriter.write(["latents": latent.channelsFirst()], to: URL(fileURLWithPath: latentsOut))
            }
            let memory = try ResidentMemory()
            print(
                "\(out): \(image.width)×\(image.height), \(name), \(sampling.scheduler.rawValue), \(steps) steps; "
                    + String(
                        format: "%.1f s to encode, %.1f s to load, %.1f s to sample, %.1f s to decode; ", encoded,
                        loaded,
                        sampled, decoded)
                    + String(
                        format: "memory %.0f MB of its own, %.0f MB mapped, %.0f MB at most", memory.own, memory.mapped,
                        memory.peak))
        }

        /// Prompt and photos, encoded; the towers are let go of afterwards.
        private func inputs(_ folder: PipelineFolder) throws -> PicturePipeline.Inputs {
            let encoder = PromptEncoder(try folder.tokenizer(), try folder.text())
            let (wanted, unwanted) = (encoder(prompt).states, encoder(negativePrompt).states)
            let empty = wanted.shape == unwanted.shape ? nil : encoder("").states
            guard !photo.isEmpty, let aggregation else {
                return PicturePipeline.Inputs(prompt: wanted, negativePrompt: unwanted, empty: empty)
            }
            let photos = try photos(try PhotoFile.find(photo))
            let reader = try PhotoReader(folder)
            let embeddings = Tensor.stacked(try photos.map { try embedding($0, reader).reshaped([1, -1]) })
            return PicturePipeline.Inputs(
                prompt: wanted, negativePrompt: unwanted, empty: empty,
                tokens: try PersonConditioner(folder)(aggregation, embeddings), aggregation: aggregation)
        }

        private func embedding(_ photo: PhotoFile, _ reader: PhotoReader) throws -> Tensor {
            do {
                if reader.readsFaces, let face = photo.faceEmbedding { return try reader(face: face.numbers) }
                return try reader(ImageFile.decode(Data(contentsOf: photo.url)).overWhite)
            } catch let error as CheckpointError {
                throw CheckpointError("photo \(photo.url.path): \(error)")
            }
        }

        /// The photos that the method looks at, as the queue's stages choose them.
        private func photos(_ all: [PhotoFile]) throws -> [PhotoFile] {
            switch Method(rawValue: method)?.photos {
            case .one: Array(all.prefix(1))
            case .nine: PhotoChoice.indices(available: all.count, seed: seed).map { all[$0] }
            default: all
            }
        }

        private func kind(_ folder: PipelineFolder) throws -> SchedulerKind {
            if let scheduler, let kind = SchedulerKind(rawValue: scheduler) { return kind }
            let config = try folder.schedulerConfig()
            guard let kind = config.className.flatMap({ SchedulerKind(className: $0, config: config) }) else {
                throw UserError(
                    "the model's scheduler_config.json names \(config.className ?? "no sampler"), which is not here",
                    remedy: "choose one with --scheduler: \(Self.samplers)")
            }
            return kind
        }

        private func tensors(_ path: String) throws -> [String: Tensor] {
            let file = try CheckpointFile.open(URL(fileURLWithPath: path))
            return Dictionary(uniqueKeysWithValues: try file.names.map { ($0, try file.tensor($0)) })
        }

        private func startingNoise(_ pipeline: PicturePipeline) throws -> Tensor? {
            guard let noise else { return nil }
            let file = try CheckpointFile.open(URL(fileURLWithPath: noise))
            let latents = try file.tensor("latents")
            let channels = pipeline.unet.config.outChannels
            guard latents.shape.count == 4, latents.shape[0] == 1, latents.shape[1] == channels,
                latents.shape.allSatisfy({ (1...256).contains($0) })
            else {
                throw UserError(
                    "\(noise): latents of shape \(latents.shape) do not fit",
                    remedy: "write them as [1, \(channels), height/8, width/8]")
            }
            return latents.channelsLast()
        }
    }
}
