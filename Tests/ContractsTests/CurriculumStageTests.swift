import Contracts
import Testing
import Training

struct CurriculumStageTests {
    @Test func theQueuesPartsAreTheTrainersStages() {
        #expect(CurriculumStage.allCases.map(\.rawValue) == TrainingStage.allCases.map(\.rawValue))
    }
}
