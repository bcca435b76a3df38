import Contracts
import Foundation
import ImageIO
import ImageMetrics
import ModelFolder

/// A method's pictures → its row of the table.
struct Scorer: Sendable {
    /// Features and class logits, for FID and IS.
    let inception: ScoringNetwork?
    /// Identity embeddings.
    let identity: IdentityNetwork?
    /// CLIP; nil where the folder has none, as a FaceID adapter needs none.
    let alignment: AlignmentNetwork?
    let isRandom: Bool

    init(_ folder: PipelineFolder) throws {
        inception = try ScoringNetwork(folder, "inception")
        identity = try IdentityNetwork(folder)
        alignment = try AlignmentNetwork.isThere(folder) ? AlignmentNetwork(folder) : nil
        isRandom = folder.isRandomMiniature
    }

    /// What the networks make of one picture: all that scores need of it.
    struct Reading: Sendable {
        var features, logits: [Double]?
        var face: IdentityNetwork.Reading?
        var clip: [Double]?
    }

    /// Looks at one picture, so that no more than one has to be in memory.
    func read(_ image: RGBImage) -> Reading {
        let seen = inception?([image])
        return Reading(
            features: seen?.features[0], logits: seen?.logits[0], face: identity?([image])[0],
            clip: alignment?.embeddings([image])[0])
    }

    /// Photos of the person, as far as they score.
    struct Photos: Sendable {
        var references: [Reading]
        /// Never given to any method.
        var unseen: [Reading]
        /// Of other people: how similar strangers are.
        var ofOthers: [Reading]
    }

    /// FID, IS, identity similarity and CLIP's of one method's pictures, which were drawn for `prompts`.
    func callAsFunction(
        _ method: Method, _ pictures: [Reading], prompts: [String], _ photos: Photos
    ) throws -> [MetricView] {
        func metric(_ name: MetricName, _ value: Double?, _ note: String?) -> MetricView {
            let random = value != nil && isRandom ? "from an untrained network" : nil
            let notes = [note, random].compactMap { $0 }.joined(separator: "; ")
            return MetricView(
                method: method, name: name, value: value, samples: pictures.count, note: notes.isEmpty ? nil : notes)
        }
        let missing = "no evaluation networks in the models folder (evaluation/inception, evaluation/identity)"
        var metrics: [MetricView] = []
        if inception != nil {
            let logits = pictures.compactMap(\.logits)
            // Unseen photos where there are enough for a covariance, else all of them.
            let real = photos.unseen.count >= 2 ? photos.unseen : photos.references + photos.unseen
            if pictures.count >= 2, real.count >= 2 {
                let distance = try FrechetDistance.between(
                    FeatureStatistics(features: pictures.compactMap(\.features)),
                    FeatureStatistics(features: real.compactMap(\.features)))
                let kind = photos.unseen.count >= 2 ? "unseen" : "reference"
                metrics.append(metric(.fid, distance, "against \(real.count) \(kind) photos"))
            } else {
                metrics.append(metric(.fid, nil, "needs at least two pictures and two photos"))
            }
            let splits = min(10, max(1, pictures.count / 10))
            let score = try InceptionScore.of(logits: logits, splits: splits)
            metrics.append(metric(.inceptionScore, score.mean, "\(splits) split\(splits == 1 ? "" : "s")"))
        } else {
            metrics += [metric(.fid, nil, missing), metric(.inceptionScore, nil, missing)]
        }
        if let identity {
            let (value, note) = similarity(by: identity.name, pictures, photos)
            metrics.append(metric(.identitySimilarity, value, note))
        } else {
            metrics.append(metric(.identitySimilarity, nil, missing))
        }
        metrics += alignments(pictures, prompts, photos).map { metric($0.name, $0.value, $0.note) }
        return metrics
    }

    /// Mean similarity of the faces in pictures to those in unseen photos, and how it came about.
    ///
    /// A picture without a face shows nobody, so it counts as 0; a photo without one says nothing and is left out.
    private func similarity(by network: String, _ pictures: [Reading], _ photos: Photos) -> (Double?, String) {
        guard !photos.unseen.isEmpty else { return (nil, "no photo was left unseen: add photos") }
        func embeddings(_ readings: [Reading]) -> [[Double]] { readings.compactMap(\.face?.embedding) }
        let real = embeddings(photos.unseen)
        guard !real.isEmpty else {
            return (nil, "\(network) finds no face in the \(photos.unseen.count) unseen photos")
        }
        let made = pictures.compactMap(\.face)
        func mean(_ embeddings: [[Double]]) -> Double { Self.meanCosine(embeddings, real) }
        let seen = made.compactMap(\.embedding)
        let value = mean(seen) * Double(seen.count) / Double(max(made.count, 1))
        var notes = ["by \(network), to \(real.count) unseen photos"]
        func count(_ number: Int, _ words: String) { if number > 0 { notes.append("\(number) \(words)") } }
        count(made.count - seen.count, "of \(made.count) pictures show no face and count as 0")
        count(made.filter { $0.faces > 1 }.count, "pictures show several faces, of which the largest counts")
        count(photos.unseen.count - real.count, "unseen photos show no face and are left out")
        // What the person's real photos and those of others reach by the same measure.
        let (own, others) = (embeddings(photos.references), embeddings(photos.ofOthers))
        if !own.isEmpty { notes.append(String(format: "the person's other photos reach %.3f", mean(own))) }
        if !others.isEmpty {
            notes.append(String(format: "photos of %d other people %.3f", others.count, mean(others)))
        }
        return (value, notes.joined(separator: ", "))
    }

    /// How well pictures fit their prompts and the reference photos by CLIP.
    private func alignments(
        _ pictures: [Reading], _ prompts: [String], _ photos: Photos
    ) -> [(name: MetricName, value: Double?, note: String?)] {
        guard let alignment else {
            let note = "the models folder has no CLIP: put one into evaluation/clip"
            return [(.textAlignment, nil, note), (.imageAlignment, nil, note)]
        }
        let (made, references) = (pictures.compactMap(\.clip), photos.references.compactMap(\.clip))
        let text: (MetricName, Double?, String?)
        if let wanted = alignment.embeddings(prompts) {
            let cosines = zip(made, wanted).map { cosineSimilarity($0, $1) }
            text = (.textAlignment, cosines.reduce(0, +) / Double(max(cosines.count, 1)), nil)
        } else {
            text = (
                .textAlignment, nil,
                "the model's text and vision towers are of different CLIPs: put one into evaluation/clip"
            )
        }
        let image: (MetricName, Double?, String?) =
            references.isEmpty
            ? (.imageAlignment, nil, "there are no reference photos")
            : (.imageAlignment, Self.meanCosine(made, references), "to \(references.count) reference photos")
        return [text, image]
    }

    private static func meanCosine(_ a: [[Double]], _ b: [[Double]]) -> Double {
        let all = a.flatMap { a in b.map { cosineSimilarity(a, $0) } }
        return all.reduce(0, +) / Double(max(all.count, 1))
    }
}
