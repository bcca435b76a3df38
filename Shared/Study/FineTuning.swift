internal import Checkpoint
internal import Diffusion
internal import Foundation
internal import ImageIO
internal import ModelFolder
internal import TensorEngine
internal import Training

extension Study {
    /// A subject's own UNet, by DreamBooth of either kind; states are kept in the folder of work.
    func fineTuned(_ method: StudyMethod, _ person: Int) throws -> UNet2DConditionModel {
        var chosen = settings.dreamBooth
        chosen.seed = settings.seed
        if method == .dreamBoothLoRA {
            (chosen.rank, chosen.learningRate) = (settings.loraRank, settings.loraLearningRate)
        }
        let booth = DreamBooth(folder, chosen)
        let weights = try booth.train(
            subjects[person].references, classPictures: try classPictures(booth),
            state: work.appendingPathComponent("fine-tuning"), name: "\(method.rawValue)-\(subjects[person].name)")
        let base = try folder.unetSource()
        return try UNet2DConditionModel(Weights(Merged(base: base, changes: weights)), folder.unetConfig())
    }

    /// Made once, kept as PNG.
    private func classPictures(_ booth: DreamBooth) throws -> [RGBImage] {
        let home = work.appendingPathComponent("class-pictures")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        let files = (0..<settings.dreamBooth.numClassImages).map { home.appendingPathComponent("\($0).png") }
        if let known = try? files.map({ try ImageFile.decode(Data(contentsOf: $0)).rgb }) { return known }
        let pictures = try booth.classPictures()
        for (picture, file) in zip(pictures, files) { try picture.pngData().write(to: file, options: .atomic) }
        return pictures
    }
}

/// A base with whole tensors replaced, or changed by B A where `changes` has peft's names.
struct Merged: TensorSource {
    let base: any TensorSource
    let changes: [String: Tensor]

    var description: String { base.description }
    var names: [String] { base.names }
    func shape(of name: String) -> [Int]? { base.shape(of: name) }
    func tensor(_ name: String) throws -> Tensor {
        if let whole = changes[name] { return whole }
        let module = "unet." + name.dropLast(".weight".count)
        guard let a = changes["\(module).lora_A.weight"], let b = changes["\(module).lora_B.weight"] else {
            return try base.tensor(name)
        }
        return try base.tensor(name) + b.linear(a.transposed())
    }
}
