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
        let photos = Scorer.Photos(
            references: try await images(database.photos(evaluation.references)),
            unseen: try await images(database.photos(evaluation.unseen)),
            ofOthers: try await images(database.photosOfOthers(than: claim.job)))
        var rows: [(method: Method, seconds: Double, pictures: [RGBImage], prompts: [String])] = []
        for method in Method.allCases {
            let made = results.pictures.filter { $0.method == method }
            if made.isEmpty { continue }
            var pictures: [RGBImage] = []
            for picture in made { pictures.append(try ImageFile.decode(try await objects.get(picture.objectKey)).rgb) }
            let seconds = made.reduce(0) { $0 + $1.seconds } / Double(made.count)
            rows.append((method, seconds, pictures, made.map(\.prompt)))
        }

        let job = try await database.job(claim.job)
        let (table, title) = (rows, job.map { "\($0.person): \($0.request.prompts.joined(separator: " / "))" } ?? "")
        let (metrics, sheet) = try await compute {
            let metrics = try table.flatMap { row in
                try scorer(row.method, row.pictures, prompts: row.prompts, photos) + [
                    MetricView(
                        method: row.method, name: .secondsPerPicture, value: row.seconds, samples: row.pictures.count)
                ]
            }
            let sheet = Sheet(title: title, photos: photos.references, rows: table.map { ($0.method, $0.pictures) })
            return (metrics, try sheet.pngData())
        }
        let key = try await objects.put(sheet, type: .png)
        return Completion(TaskResult(objectKey: key, model: "")) { transaction in
            try await transaction.saveMetrics(metrics, job: claim.job)
            try await transaction.setContactSheet(key, job: claim.job)
        }
    }

    private func images(_ photos: [PhotoRow]) async throws -> [RGBImage] {
        var images: [RGBImage] = []
        for photo in photos {
            images.append(try ImageFile.decode(try await objects.get(photo.objectKey)).overWhite)
        }
        return images
    }
}

/// The contact sheet (the paper's Fig. 6): reference photos above each method's pictures.
private struct Sheet {
    let title: String
    let photos: [RGBImage]
    let rows: [(method: Method, pictures: [RGBImage])]

    /// So many pictures of a method are shown.
    private static let columns = 8

    func pngData() throws -> Data {
        let references = ("Reference photos", "\(photos.count)", Array(photos.prefix(Self.columns + 1)))
        let methods = rows.map { row in
            (row.method.title, "\(row.pictures.count) pictures", Array(row.pictures.prefix(Self.columns)))
        }
        return try ContactSheet(
            title: title, subtitle: "the same seeds in every row", rows: [references] + methods, cell: 128
        ).render().pngData()
    }
}
