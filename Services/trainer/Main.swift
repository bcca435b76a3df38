import Contracts
import ServiceKit
import Store

/// Fine-tunes models on people's photos.
///
/// Consumes `train`. Training itself is not built yet: a task that gets here fails for good, with these words.
@main
enum TrainerService {
    static func main() async {
        await runService("trainer") { [Worker($0, stage: .train, handler: TrainHandler())] }
    }
}

/// Refuses.
struct TrainHandler: Handler {
    func handle(_ claim: Claim) async throws -> Completion {
        throw PermanentFailure("this version of Likeness cannot train models yet; use a method other than dreambooth")
    }
}
