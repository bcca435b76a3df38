import Contracts
import Foundation
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Turns photos into CLIP image embeddings and prompts into CLIP text embeddings.
///
/// Consumes `encode`; writes `embeddings` and the object store. An input that was embedded before, by content and model,
/// is answered from there.
@main
enum EncoderService {
    static func main() async {
        await runService("encoder") { resources in
            // models
            Threads.use(resources.settings.threads)
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let handler = EncodeHandler(
                database: resources.database, objects: resources.objects, images: try ImageEmbedder(folder),
                prompts: try PromptEmbedder(folder))

            // consumer loop
            return [Worker(resources, stage: .encode, concurrency: 2, handler: handler)]
        }
    }
}
