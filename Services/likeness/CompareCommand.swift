import ArgumentParser
import Foundation
import ImageIO
import RenderedPeople
import Study
import Training

/// `likeness compare`: the paper's Table 1 on people that nothing was trained on.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compares the methods on held-out people: the paper's Table 1.")

    @Option(help: "Folder of `likeness train all`.")
    var work = "likeness-training"

    @Option(help: "Model folder; the folder of work's own if not given.")
    var model: String?

    @Option(help: "Data set in LFW's layout; the folder of work's own if not given.")
    var people: String?

    @Option(help: "Which people: `testing`, or `validation` to make choices on.")
    var split = "testing"

    @Option(help: "How many people.")
    var count = 24

    @Option(help: "Pictures of each person by each method.")
    var pictures = 4

    @Option(help: "Guidance scale.")
    var guidance: Float = 3

    @Option(help: "IP-Adapter scale.")
    var scale: Float = 1

    @Option(help: "Denoising steps.")
    var steps = 25

    @Option(help: "Methods to leave out, with commas.")
    var without = ""

    @Option(help: "Folder of the report.")
    var out = "comparison"

    func run() throws {
        let url = URL(fileURLWithPath: work)
        let curriculum = Curriculum(
            CurriculumSettings(), work: url, people: people.map { URL(fileURLWithPath: $0) })
        let sets = try curriculum.split()
        var settings = StudySettings()
        (settings.people, settings.picturesPerPerson, settings.steps) = (count, pictures, steps)
        (settings.guidanceScale, settings.ipAdapterScale) = (guidance, scale)
        settings.without = without.split(separator: ",").map(String.init)
        let study = try Study(
            model: model.map { URL(fileURLWithPath: $0) } ?? curriculum.modelURL,
            people: split == "validation" ? sets.validation : sets.testing, settings,
            work: url.appendingPathComponent("compare-\(split)"))
        let home = URL(fileURLWithPath: out)
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        var sheet: [StudyMethod: [RGBImage]] = [:]
        let outcome = try study.run(say: {
            print($0); fflush(nil)
        }) { picture, image in
            if picture.person < 6, sheet[picture.method, default: []].filter({ _ in true }).count < 12 {
                sheet[picture.method, default: []].append(image)
            }
        }
        func mean(_ x: [Double]) -> Double { x.reduce(0, +) / Double(max(x.count, 1)) }
        print(
            String(
                format: "real photos: same person %.3f, other people %.3f", mean(outcome.samePerson),
                mean(outcome.otherPeople)))
        for row in try outcome.rows() {
            func range(_ x: StudyOutcome.Interval, _ digits: Int) -> String {
                String(format: "%.\(digits)f [%.\(digits)f, %.\(digits)f]", x.value, x.low, x.high)
            }
            let name = row.method.rawValue + String(repeating: " ", count: 30 - row.method.rawValue.count)
            print(
                "\(name) identity \(range(row.identity, 3))  FID \(range(row.distance, 1))  IS "
                    + "\(range(row.inceptionScore, 2))  text \(range(row.alignment, 3))  "
                    + String(format: "%.2f s", row.seconds))
        }
        let rows = StudyMethod.allCases.compactMap { method in
            sheet[method].map { (label: method.rawValue, note: "", images: $0) }
        }
        let picture = ContactSheet(
            title: "Held-out people", subtitle: "the same captions and seeds", rows: study.contactRows + rows, cell: 64
        ).render()
        try picture.pngData().write(to: home.appendingPathComponent("contact-sheet.png"))
        try JSONEncoder().encode(outcome).write(to: home.appendingPathComponent("outcome.json"))
    }
}
