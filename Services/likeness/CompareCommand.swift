import ArgumentParser
import Foundation
import ImageIO
import ModelFolder
import RenderedPeople
import Study
import Training

/// `likeness compare`: the paper's Table 1 on people that nothing was trained on.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compares the methods on held-out people: the paper's Table 1.",
        discussion: "Writes comparison.md, .json and .html, contact-sheet.png and photos.svg.")

    @Option(help: "Folder of `likeness train all`: data, states, model.")
    var work = "likeness-training"

    @Option(help: "Model folder or single file; that of the folder of work if not given.", completion: .file())
    var models: String?

    @Option(help: "IP-Adapter's file or folder, if not in or beside the models.", completion: .file())
    var ipAdapter: String?

    @Option(help: "Data set in LFW's layout; the rendered one of the folder of work if not given.")
    var people: String?

    @Option(help: "Seed of the split by person: that of training. What the model's folder says unless given, else 1.")
    var splitSeed: UInt64?

    @Option(help: "Which people: testing, or validation to make choices on.")
    var split = Split.testing

    @Option(help: "How many people.")
    var count = 24

    @Option(help: "Pictures of each person by each method.")
    var pictures = 4

    @Option(help: "People for the curve over the number of photos; 0 leaves it out.")
    var curve = 12

    @Option(
        help: "People, the first ones, for DreamBooth, which takes 40 s each, LoRA another 30; all if not given.")
    var fineTuned: Int?

    @Option(help: "DreamBooth's updates; as many as the services do if not given.")
    var dreamboothSteps: Int?

    @Option(help: "DreamBooth's learning rate; what the services take if not given.")
    var dreamboothRate: Float?

    @Option(help: "Guidance scale.")
    var guidance: Float = 5

    @Option(help: "IP-Adapter scale.")
    var scale: Float = 1

    @Option(help: "Denoising steps.")
    var steps = 25

    @Option(help: "Methods to leave out, with commas between them.")
    var without = ""

    @Option(help: "Folder of the report.")
    var out = "comparison"

    enum Split: String, ExpressibleByArgument { case testing, validation }

    func validate() throws {
        guard count >= 2, pictures >= 1, steps >= 1, fineTuned ?? 2 >= 2, dreamboothSteps ?? 1 >= 1,
            dreamboothRate ?? 1 > 0
        else {
            throw ValidationError("ask for at least 2 people, 1 picture and 1 step, and for learning rates above 0")
        }
        for name in leftOut where StudyMethod(rawValue: name) == nil {
            let known = StudyMethod.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--without \(name): no such method; choose from \(known)")
        }
    }

    private var leftOut: [String] {
        without.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    func run() throws {
        let url = URL(fileURLWithPath: work)
        var training = CurriculumSettings()
        let place = people.map { URL(fileURLWithPath: $0) }
        let home = models.map { URL(fileURLWithPath: $0) } ?? Curriculum(training, work: url, people: place).modelURL
        let folder = try PipelineFolder(home, adapter: ipAdapter.map { URL(fileURLWithPath: $0) })
        let trained = try CurriculumSettings(trained: home)
        training.seed = splitSeed ?? trained?.seed ?? training.seed
        let curriculum = Curriculum(training, work: url, people: place)
        let sets = try curriculum.split()
        var settings = StudySettings()
        (settings.people, settings.picturesPerPerson, settings.steps) = (count, pictures, steps)
        (settings.guidanceScale, settings.ipAdapterScale) = (guidance, scale)
        settings.fineTunedPeople = fineTuned
        settings.dreamBooth = try DreamBoothSettings(for: folder.unetConfig())
        if let dreamboothSteps {
            settings.dreamBooth.maxTrainSteps = dreamboothSteps
            settings.dreamBooth.loraMaxTrainSteps = dreamboothSteps
        }
        if let dreamboothRate { settings.dreamBooth.learningRate = dreamboothRate }
        settings.without = leftOut
        let study = try Study(
            folder, people: split == .validation ? sets.validation : sets.testing, settings,
            work: url.appendingPathComponent("compare-\(split.rawValue)"))

        var shown: [StudyMethod: [RGBImage]] = [:]
        var outcome = try study.run(say: say) { picture, image in
            if picture.person < study.shownPeople { shown[picture.method, default: []].append(image) }
        }
        if curve > 0 { try study.runByPhotos(people: curve, into: &outcome) }

        let rows = outcome.methods.map { (label: $0.rawValue, note: "", images: shown[$0] ?? []) }
        let sheet = try ContactSheet(
            title: "Held-out people", subtitle: "same captions and seeds for every method",
            rows: study.contactRows + rows, cell: 64
        ).render().pngData()
        let report = try ComparisonReport(
            outcome, contactSheet: sheet, curves: try curriculum.lossCurves(),
            command: CommandLine.arguments.joined(separator: " "), isMiniature: people == nil && trained != nil)
        let reports = URL(fileURLWithPath: out)
        try FileManager.default.createDirectory(at: reports, withIntermediateDirectories: true)
        for (name, data) in [
            ("comparison.md", Data(report.markdown.utf8)), ("comparison.json", try report.json()),
            ("comparison.html", Data(report.html.utf8)), ("contact-sheet.png", sheet),
            ("photos.svg", Data(report.photoPlot.svg.utf8)),
        ] { try data.write(to: reports.appendingPathComponent(name), options: .atomic) }
        print(report.markdown)
    }

    private func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

extension Curriculum {
    /// Loss by update of every stage that has a log.
    fileprivate func lossCurves() throws -> [LinePlot.Series] {
        try TrainingStage.allCases.map { stage in
            LinePlot.Series(
                name: stage.rawValue, points: try history(stage).map { .init(x: Double($0.step), y: $0.loss) })
        }.filter { !$0.points.isEmpty }
    }
}
