import Checkpoint
import Foundation
import ModelFolder
import RenderedPeople
import Study
import Testing
import Training

/// The trained miniature that ships (deploy/miniature).
@Suite(.serialized) struct ShippedModelTests {
    private static let repository = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private static let model = repository.appendingPathComponent("deploy/miniature")

    @Test func isSmallTrainedAndSaysWithWhat() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: Self.model.path)
        let bytes = try files.reduce(0) { sum, name in
            let attributes = try FileManager.default.attributesOfItem(
                atPath: Self.model.appendingPathComponent(name).path)
            return sum + (attributes[.type] as? FileAttributeType == .typeRegular ? attributes[.size] as? Int ?? 0 : 0)
        }
        #expect(bytes <= 24_000_000)
        #expect(try !PipelineFolder(Self.model).isRandomMiniature)
        let home = Self.model.appendingPathComponent("training")
        let settings = try JSONDecoder().decode(
            CurriculumSettings.self, from: Data(contentsOf: home.appendingPathComponent("settings.json")))
        // `likeness train all` without options trains exactly this.
        #expect(settings == CurriculumSettings())
        for stage in TrainingStage.allCases {
            let log = try String(
                contentsOf: home.appendingPathComponent("\(stage.rawValue).log.jsonl"), encoding: .utf8)
            let last = try #require(log.split(separator: "\n").last)
            let progress = try JSONDecoder().decode(TrainingProgress.self, from: Data(last.utf8))
            #expect(progress.step == settings.steps[stage.rawValue])
        }
    }

    /// People who were rendered for this test, with a seed that no training data has.
    @Test func drawsPeopleWhoResembleThemselvesMoreThanOthers() throws {
        let work = FileManager.default.temporaryDirectory.appendingPathComponent("study-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: work) }
        let people = work.appendingPathComponent("people")
        try DatasetWriter.write(people: 4, photos: 12, size: 64, seed: 77_077, to: people)
        var settings = StudySettings()
        (settings.people, settings.picturesPerPerson, settings.steps) = (4, 2, 15)
        settings.without = [
            "text-only", "dreambooth", "ip-adapter-self-attention-max", "ip-adapter-self-attention-avg",
        ]
        let study = try Study(
            PipelineFolder(Self.model), people: FaceDataset.load(people).people, settings,
            work: work.appendingPathComponent("work"))
        let outcome = try study.run(say: { _ in }, onPicture: { _, _ in })
        #expect(outcome.methods.contains(.photos) && outcome.methods.contains(.unseenPhoto))
        let resembling: [StudyMethod] = [.ipAdapter, .ipAdapterMax, .ipAdapterAvg, .selfAttention]
        let strangers = outcome.otherPeople.reduce(0, +) / Double(outcome.otherPeople.count)
        for method in resembling {
            let own = outcome.pictures.filter { $0.method == method }.map(\.identitySimilarity)
            #expect(own.count == 8)
            #expect(own.reduce(0, +) / 8 > strangers, "\(method.rawValue)")
        }
        let rows = try outcome.rows(resamples: 50)
        #expect(rows.allSatisfy { $0.identity.low <= $0.identity.value && $0.identity.value <= $0.identity.high })
    }
}
