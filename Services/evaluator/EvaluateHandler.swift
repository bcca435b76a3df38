import Contracts
import Foundation
import ImageIO
import ServiceKit
import Store

/// One job → its table and contact sheet. Safe to run twice: both replace what was there.
struct EvaluateHandler: Handler {
    let database: Database
    let objects: any ObjectStore
    let scorer: Scorer
    let compute = Compute()

    func handle(_ claim: Claim) async throws -> Completion {
        guard case .evaluate(let evaluation) = claim.payload else {
            throw PermanentFailure("the evaluator has no use for a \(claim.stage.rawValue) task")
        }
        guard let results = try await database.results(claim.job), !results.pictures.isEmpty else {
            throw PermanentFailure("the job has no pictures to score: all of them failed")
        }
        let references = try await read(
            database.photos(evaluation.references).map(\.objectKey), shown: Sheet.references)
        let photos = Scorer.Photos(
            references: references.readings,
            unseen: try await read(database.photos(evaluation.unseen).map(\.objectKey)).readings,
            ofOthers: try await read(database.photosOfOthers(than: claim.job).map(\.objectKey)).readings)
        var metrics: [MetricView] = []
        var rows: [Sheet.Row] = []
        for method in Method.allCases {
            let made = results.pictures.filter { $0.method == method }
            if made.isEmpty { continue }
            let (readings, shown) = try await read(made.map(\.objectKey), shown: Sheet.pictures)
            metrics += try await compute { try scorer(method, readings, prompts: made.map(\.prompt), photos) }
            let seconds = made.reduce(0) { $0 + $1.seconds } / Double(made.count)
            metrics.append(MetricView(method: method, name: .secondsPerPicture, value: seconds, samples: made.count))
            rows.append((method, made.count, shown))
        }

        let job = try await database.job(claim.job)
        let title = job.map { "\($0.person): \($0.request.prompts.joined(separator: " / "))" } ?? ""
        let sheet = Sheet(
            title: title, photos: references.shown, photoCount: references.readings.count, rows: rows)
        let scores = metrics
        let key = try await objects.put(try await compute { try sheet.pngData() }, type: .png)
        return Completion(TaskResult(objectKey: key, model: "")) { transaction in
            try await transaction.saveMetrics(scores, job: claim.job)
            try await transaction.setContactSheet(key, job: claim.job)
        }
    }

    /// What the networks make of pictures, and the first ones in the contact sheet's size. One at a time: photos may have
    /// tens of megapixels, and jobs a thousand pictures.
    private func read(_ keys: [String], shown: Int = 0) async throws -> (readings: [Scorer.Reading], shown: [RGBImage])
    {
        var (readings, cells): ([Scorer.Reading], [RGBImage]) = ([], [])
        for key in keys {
            let data = try await objects.get(key)
            let isShown = cells.count < shown
            let (reading, cell) = try await compute {
                try Task.checkCancellation()
                let image = try ImageFile.decode(data).overWhite
                return (scorer.read(image), isShown ? image.fitted(Sheet.cell) : nil)
            }
            readings.append(reading)
            if let cell { cells.append(cell) }
        }
        return (readings, cells)
    }
}

/// The contact sheet (the paper's Fig. 6): reference photos above each method's pictures.
private struct Sheet {
    typealias Row = (method: Method, count: Int, shown: [RGBImage])

    let title: String
    let photos: [RGBImage]
    let photoCount: Int
    let rows: [Row]

    /// So many pictures of a method are shown, and so many reference photos.
    static let pictures = 8, references = 9
    /// Side of a cell in pixels.
    static let cell = 128

    func pngData() throws -> Data {
        let first = ("Reference photos", "\(photoCount)", photos)
        let methods = rows.map { ($0.method.title, "\($0.count) pictures", $0.shown) }
        return try ContactSheet(
            title: title, subtitle: "the same seeds in every row", rows: [first] + methods, cell: Self.cell
        ).render().pngData()
    }
}
