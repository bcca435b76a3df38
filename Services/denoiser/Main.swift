import Contracts
import Foundation
import Logging
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Turns noise into pictures: the scheduler's loop with classifier-free guidance, then the VAE's decoder.
///
/// Consumes `denoise`, one task at a time; writes `results` and the object store. The stage to scale: start as many as
/// there is memory and processors for. A picture's bytes do not depend on which of them makes it, if all have the same
/// `LIKENESS_PRECISION`.
@main
enum DenoiserService {
    static func main() async {
        await runService("denoiser") { resources in
            // models
            Threads.use(resources.settings.threads)
            Precision.use(Precision(rawValue: resources.settings.precision) ?? .f32)
            resources.logger.info("precision: \(Precision.current.rawValue), asked for \(resources.settings.precision)")
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let pictures = try PictureMaker(folder)
            try await resources.database.registerModel(
                hash: pictures.hash, kind: "pipeline", name: folder.url.lastPathComponent)

            let safety = try resources.settings.safetyChecker ? SafetyChecker(folder) : nil
            switch (resources.settings.safetyChecker, safety) {
            case (true, nil):
                resources.logger.warning(
                    "LIKENESS_SAFETY_CHECKER=on, but \(folder.url.path)/safety_checker has no weights: pictures are not checked"
                )
            case (_, nil): resources.logger.info("safety checker: off")
            default: resources.logger.info("safety checker: on")
            }

            // consumer loop
            let handler = DenoiseHandler(
                database: resources.database, objects: resources.objects, presence: resources.presence,
                pictures: pictures,
                fineTuned: FineTunedUNets(folder, capacity: resources.settings.fineTunedModels),
                addOns: AddOns(folder), safety: safety)
            return [Worker(resources, stage: .denoise, concurrency: 1, prefersLoaded: true, handler: handler)]
        }
    }
}
