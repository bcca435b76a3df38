import CLIP
import Checkpoint
import Foundation
import IPAdapter
import ModelFolder
import RenderedPeople
import TensorEngine
import Testing
import Training

/// Both trainings of an adapter on a model folder like any other: what they start from, what they write, what they refuse.
@Suite struct AdapterTrainingTests {
    /// A random miniature and a few people at 96 pixels, which neither UNet nor vision tower were made for.
    private final class Place {
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("adapters-\(UUID().uuidString)")
        let people: [FaceDataset.Person]
        var model: URL { home.appendingPathComponent("model") }
        var adapter: URL { model.appendingPathComponent("ip_adapter/ip-adapter_sd15.safetensors") }
        var selfAttention: URL { model.appendingPathComponent("ip_adapter/self_attention.safetensors") }

        init() throws {
            let faces = home.appendingPathComponent("people")
            try DatasetWriter.write(people: 2, photos: 10, size: 96, seed: 1, to: faces)
            people = try FaceDataset.load(faces).people
            try Miniature.write(to: model, seed: 2)
        }

        deinit { try? FileManager.default.removeItem(at: home) }

        func loop(_ kind: AdapterTraining.Kind) -> TrainingLoop {
            TrainingLoop(
                name: kind.rawValue, optimizer: OptimizerSettings(learningRate: 1e-3), steps: 2,
                folder: home.appendingPathComponent("state"), fingerprint: "a test")
        }
    }

    private var settings: AdapterTrainingSettings {
        var settings = AdapterTrainingSettings()
        (settings.batchSize, settings.heads) = (2, 4)
        return settings
    }

    @Test func anAdapterIsTrainedForAFolderThatHasNone() throws {
        let place = try Place()
        let other = try SafetensorsFile(place.adapter).names
        for file in [place.adapter, place.selfAttention] { try FileManager.default.removeItem(at: file) }
        let folder = try PipelineFolder(place.model, adapterRequired: false)
        let training = AdapterTraining(folder, settings)
        let trained = try training.adapter(place.people, place.loop(.ipAdapter), report: { _ in })
        #expect(Set(trained.keys) == Set(other))
        // W'k begins as the UNet's own W_k, and two updates move it a little.
        let own = try folder.unetSource().tensor("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight")
        let moved = try #require(trained["ip_adapter.1.to_k_ip.weight"])
        let difference = zip(own.scalars, moved.scalars).map { abs($0 - $1) }.max() ?? 0
        #expect(difference > 0 && difference < 0.01)
        // The folder that was without can be drawn with.
        try SafetensorsWriter.write(trained, to: training.place(of: .ipAdapter))
        _ = try PipelineFolder(place.model).adapter(for: folder.unet())
    }

    @Test func selfAttentionIsTrainedWithTheAdapterAndFoundByServices() throws {
        let place = try Place()
        let base = try SafetensorsFile(place.adapter)
        let projection = try base.tensor("image_proj.proj.weight")
        let names = base.names
        try FileManager.default.removeItem(at: place.selfAttention)
        let folder = try PipelineFolder(place.model)
        let training = AdapterTraining(folder, settings)
        let (trained, metadata) = try training.selfAttention(
            place.people, place.loop(.selfAttention), report: { _ in })
        #expect(Set(names).isSubset(of: trained.keys))
        #expect(try #require(trained["image_proj.proj.weight"]).scalars != projection.scalars)
        try SafetensorsWriter.write(trained, metadata: metadata, to: training.place(of: .selfAttention))
        #expect(training.place(of: .selfAttention).path == place.selfAttention.path)
        #expect(try folder.selfAttention() != nil)
        #expect(try folder.selfAttentionAdapter(for: folder.unet()) != nil)
    }

    /// Two updates of next to nothing leave it where it begins: every photo's row is near the average of all, in the
    /// average's own scale.
    @Test func selfAttentionBeginsCloseToAveragePooling() throws {
        let place = try Place()
        let folder = try PipelineFolder(place.model)
        var loop = place.loop(.selfAttention)
        loop.optimizer.learningRate = 1e-12
        let (trained, metadata) = try AdapterTraining(folder, settings).selfAttention(
            place.people, loop, report: { _ in })
        try SafetensorsWriter.write(trained, metadata: metadata, to: place.selfAttention)
        let attention = try #require(try folder.selfAttention())
        let photos = try place.people[0].photos.prefix(9).map { try $0.image() }
        let seen = try CLIPImageProcessor(size: folder.visionConfig().imageSize)
        let embeddings = try Tensor.stacked(photos.map { try folder.vision()(seen($0)).imageEmbeds })
        let average = embeddings.reshaped([1, 9, -1]).meanOverTokens().scalars
        let rows = attention(embeddings.reshaped([1, 9, -1])).scalars
        let size = average.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for row in 0..<9 {
            let own = rows[row * average.count..<(row + 1) * average.count]
            let difference = zip(own, average).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            #expect(difference < 0.35 * size, "row \(row): \(difference) of \(size)")
        }
    }

    @Test func whatIsWrongWithPhotosAndCaptionsIsSaidOnce() throws {
        let place = try Place()
        let faces = place.home.appendingPathComponent("people")
        try Data("no picture".utf8).write(to: place.people[0].photos[3].url)
        let (plain, wordy) = (place.people[1].photos[0].path, place.people[1].photos[1].path)
        let captions = faces.appendingPathComponent("captions.jsonl")
        let lines = try String(contentsOf: captions, encoding: .utf8).split(separator: "\n").compactMap { line in
            // Paths in JSON have escaped slashes or not.
            let line = line.replacing("\\/", with: "/")
            if line.contains(plain) { return nil as String? }
            let words = String(repeating: "a very long story ", count: 40)
            return line.contains(wordy) ? #"{"file": "\#(wordy)", "caption": "\#(words)"}"# : String(line)
        }
        try Data(lines.joined(separator: "\n").utf8).write(to: captions)
        let people = try FaceDataset.load(faces).people
        var said: [String] = []
        _ = try AdapterTraining(try PipelineFolder(place.model), settings)
            .selfAttention(people, place.loop(.selfAttention), say: { said.append($0) }, report: { _ in })
        #expect(said.count == 3)
        #expect(said.contains { $0.hasPrefix("left out: ") && $0.contains(place.people[0].photos[3].path) })
        #expect(said.contains { $0 == "1 of 19 photos have no caption: 'a photo of a person' stands for it" })
        #expect(said.contains { $0.hasPrefix("1 captions are longer than the text tower reads") })
    }

    @Test func aRunOfOtherPeopleOrSettingsIsAnother() throws {
        let place = try Place()
        let folder = try PipelineFolder(place.model)
        let optimizer = OptimizerSettings(learningRate: 1e-3)
        let training = AdapterTraining(folder, settings)
        let one = try training.fingerprint(.selfAttention, place.people, optimizer)
        #expect(try training.fingerprint(.selfAttention, place.people, optimizer) == one)
        #expect(try training.fingerprint(.selfAttention, [place.people[0]], optimizer) != one)
        #expect(try training.fingerprint(.ipAdapter, place.people, optimizer) != one)
        #expect(try training.fingerprint(.selfAttention, place.people, OptimizerSettings()) != one)
        var others = settings
        others.heads = 2
        #expect(try AdapterTraining(folder, others).fingerprint(.selfAttention, place.people, optimizer) != one)
    }

    @Test(arguments: [
        ("readout", "choose self-attention, self-attention-max or self-attention-avg"),
        ("heads", "7 heads do not divide 96 features"), ("side", "100 pixels: must be a multiple of 16"),
    ])
    func whatCannotBeTrainedIsSaid(_ wrong: String, _ words: String) throws {
        let place = try Place()
        var settings = settings
        switch wrong {
        case "readout": settings.readout = "median"
        case "heads": settings.heads = 7
        default: settings.side = 100
        }
        let training = AdapterTraining(try PipelineFolder(place.model), settings)
        let (people, loop) = (place.people, place.loop(.selfAttention))
        #expect {
            try training.selfAttention(people, loop, report: { _ in })
        } throws: { "\($0)".contains(words) }
    }

    @Test func anAdapterThatReadsHiddenStatesIsRefusedByName() throws {
        let place = try Place()
        // What tells Plus from the plain adapter: latents that ask the tower's states.
        let base = try SafetensorsFile(place.adapter)
        var tensors: [String: Tensor] = [:]
        for name in base.names where !name.hasPrefix("image_proj.") { tensors[name] = try base.tensor(name) }
        let (width, inputs) = (96, 96)
        func put(_ name: String, _ shape: Int...) { tensors["image_proj." + name] = .zeros(shape) }
        put("latents", 1, 4, width)
        put("proj_in.weight", width, inputs)
        put("proj_in.bias", width)
        put("proj_out.weight", width, width)
        put("proj_out.bias", width)
        put("norm_out.weight", width)
        put("norm_out.bias", width)
        try SafetensorsWriter.write(tensors, to: place.adapter)
        let training = AdapterTraining(try PipelineFolder(place.model), settings)
        let (people, loop) = (place.people, place.loop(.selfAttention))
        #expect {
            try training.selfAttention(people, loop, report: { _ in })
        } throws: { "\($0)".contains("ip-adapter_sd15.safetensors: does not read CLIP's image embedding") }
    }
}
