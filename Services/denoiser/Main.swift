import Contracts
import Foundation
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Turns noise into pictures: the scheduler's loop with classifier-free guidance, then the VAE's decoder.
///
/// Consumes `denoise`, one task at a time; writes `results` and the object store. The stage to scale: start as many as
/// there is memory and processors for. A picture's bytes do not depend on which of them makes it.
@main
enum DenoiserService {
    static func main() async {
        await runService("denoiser") { resources in
            // models
            Threads.use(resources.settings.threads)
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let pictures = try PictureMaker(folder)
            try await resources.database.registerModel(
                hash: pictures.hash, kind: "pipeline", name: folder.url.lastPathComponent)

            // consumer loop
            let handler = DenoiseHandler(
                database: resources.database, objects: resources.objects, presence: resources.presence,
                pictures: pictures,
                fineTuned: FineTunedUNets(folder, capacity: resources.settings.fineTunedModels))
            return [Worker(resources, stage: .denoise, concurrency: 1, prefersLoaded: true, handler: handler)]
        }
    }
}
