internal import CLIP
internal import Checkpoint
internal import Diffusion
public import Foundation
internal import ImageIO
internal import ModelFolder
internal import RenderedPeople
internal import TensorEngine

/// A short training run of the miniature's UNet, for proving that runs survive being killed: a minute at most, and like
/// every run but for its size.
public enum RehearsalRun {
    /// Trains from the last state in `folder`, or from the start.
    ///
    /// - Returns: the trained weights as the bytes of a safetensors file
    public static func run(
        in folder: URL, steps: Int, report: (TrainingProgress) throws -> Void = { _ in }
    ) throws -> Data {
        let model = folder.appendingPathComponent("model")
        try Miniature.write(to: model, seed: 3)
        let parts = try PipelineFolder(model)
        let set = ParameterSet(try parts.unetSource())
        let unet = try UNet2DConditionModel(Weights(set), try parts.unetConfig())
        var (images, captions) = ([RGBImage](), [String]())
        for person in 0..<4 {
            for photo in 0..<4 {
                let nuisance = DatasetWriter.nuisance(person: person, photo: photo, seed: 11)
                images.append(render(DatasetWriter.identity(person, seed: 11), nuisance))
                captions.append(caption(nuisance))
            }
        }
        let album = Album(images, captions: captions, side: 64)
        let objective = DenoisingObjective(
            parameters: set.parameters, batchSize: 2,
            denoising: try Denoising(parts, unet, album), seed: 5)
        var optimizer = OptimizerSettings(learningRate: 1e-3)
        (optimizer.emaDecay, optimizer.gradientAccumulationSteps, optimizer.lrWarmupSteps) = (0.99, 2, 5)
        optimizer.cosineDecay = true
        var loop = TrainingLoop(
            name: "rehearsal", optimizer: optimizer, steps: steps, folder: folder.appendingPathComponent("state"),
            fingerprint: "rehearsal of \(steps)")
        (loop.checkpointingSteps, loop.loggingSteps) = (7, 3)
        return try SafetensorsWriter.data(loop.run(objective, report: report))
    }
}
