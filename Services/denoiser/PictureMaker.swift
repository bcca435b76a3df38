import Checkpoint
import Contracts
import Diffusion
import IPAdapter
import ImageIO
import ModelFolder

/// A queue's sampling settings and method, put to the pipeline.
struct PictureMaker: Sendable {
    let pipeline: PicturePipeline
    /// Hash of the weights.
    let hash: String

    init(_ folder: PipelineFolder) throws {
        pipeline = try PicturePipeline(folder)
        hash = try folder.pictureHash()
    }

    /// - Parameters:
    ///   - unet: a person's own; nil for the model's
    ///   - onStep: told steps done and steps in all; throwing stops the picture
    func callAsFunction(
        _ sampling: Sampling, seed: UInt64, _ inputs: PicturePipeline.Inputs, unet: UNet2DConditionModel?,
        onStep: (Int, Int) throws -> Void
    ) throws -> RGBImage {
        guard let kind = SchedulerKind(rawValue: sampling.scheduler.rawValue) else {
            throw CheckpointError("there is no scheduler \(sampling.scheduler.rawValue) here")
        }
        var settings = PicturePipeline.Sampling(
            scheduler: kind, steps: sampling.steps, guidanceScale: Float(sampling.guidanceScale),
            ipAdapterScale: Float(sampling.ipAdapterScale), height: sampling.height, width: sampling.width)
        settings.layerScales = sampling.ipAdapterScales.map(Self.scales)
        settings.ipAdapterRange = (sampling.ipAdapterStart ?? 0, sampling.ipAdapterEnd ?? 1)
        settings.strength = sampling.change?.strength ?? 1
        var pipeline = pipeline
        if let unet { pipeline.unet = unet }
        return try pipeline(settings, seed: seed, inputs, onStep: onStep)
    }

    private static func scales(_ scales: Contracts.LayerScales) -> Diffusion.LayerScales {
        switch scales {
        case .number(let number): .number(Float(number))
        case .list(let list): .list(list.map { Float($0) })
        case .blocks(let blocks): .blocks(blocks.mapValues(Self.scales))
        }
    }
}
