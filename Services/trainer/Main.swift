import Contracts
import Foundation
import ModelFolder
import ServiceKit
import Store
import TensorEngine

/// Makes people's own weights from their photos (DreamBooth, whole or low-rank) and the parts of training runs.
///
/// Consumes `train`, one task at a time; writes the object store, `models` and `training_log`. A run that was cut off goes
/// on from its last state in LIKENESS_TRAINING, here or on another trainer that sees the same folder.
@main
enum TrainerService {
    static func main() async {
        await runService("trainer") { resources in
            // models
            Threads.use(resources.settings.threads)
            let folder = try PipelineFolder(resources.settings.models, adapter: resources.settings.ipAdapter)
            let fineTuner = try FineTuner(folder, runs: resources.settings.training)

            // consumer loop
            let (database, objects) = (resources.database, resources.objects)
            let log = TrainingLog(database: database, presence: resources.presence)
            let handler = TrainHandler(
                fineTuning: .init(database: database, objects: objects, log: log, fineTuner: fineTuner),
                curriculum: .init(database: database, objects: objects, log: log, runs: resources.settings.training))
            return [Worker(resources, stage: .train, concurrency: 1, handler: handler)]
        }
    }
}
