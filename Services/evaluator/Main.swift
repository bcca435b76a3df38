import Contracts
import Foundation
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Scores a job's pictures (FID, IS, identity similarity) and draws its contact sheet.
///
/// Consumes `evaluate`; writes `metrics`, `jobs.contact_sheet` and the object store.
@main
enum EvaluatorService {
    static func main() async {
        await runService("evaluator") { resources in
            // models
            Threads.use(resources.settings.threads)
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let handler = EvaluateHandler(
                database: resources.database, objects: resources.objects, scorer: try Scorer(folder))

            // consumer loop
            return [Worker(resources, stage: .evaluate, concurrency: 1, handler: handler)]
        }
    }
}
