import Contracts
import Foundation
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Turns several photos' embeddings into the tokens that condition the denoiser, by method.
///
/// Consumes `aggregate`; writes the object store.
@main
enum AggregatorService {
    static func main() async {
        await runService("aggregator") { resources in
            // models
            Threads.use(resources.settings.threads)
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let handler = AggregateHandler(
                database: resources.database, objects: resources.objects, tokens: try TokenMaker(folder))

            // consumer loop
            return [Worker(resources, stage: .aggregate, concurrency: 2, handler: handler)]
        }
    }
}
