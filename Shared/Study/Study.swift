internal import Checkpoint
public import Foundation
internal import IPAdapter
public import ImageIO
internal import ImageMetrics
public import ModelFolder
public import RenderedPeople
internal import TensorEngine
public import Training

/// What a comparison does, for whom and how often.
public struct StudySettings: Codable, Sendable, Equatable {
    public var seed: UInt64 = 7
    /// How many people, the first ones.
    public var people = 24
    /// Pictures of each person by each method; each from the caption of an unseen photo.
    public var picturesPerPerson = 4
    public var steps = 25
    public var guidanceScale: Float = 5
    public var ipAdapterScale: Float = 1
    /// How many people, the first ones, are fine-tuned on, which takes long; nil for all.
    public var fineTunedPeople: Int?
    /// How the person is fine-tuned.
    public var dreamBooth = DreamBoothSettings()
    /// Methods to leave out.
    public var without: [String] = []

    /// The published table's.
    public init() {}
}

/// The rows of the table, and of the one of bounds below it.
public enum StudyMethod: String, CaseIterable, Codable, Sendable {
    /// Bound: the person's reference photos themselves, as if they were pictures.
    case photos = "photos"
    /// Bound: the same after the VAE, which every method draws through.
    case autoencodedPhotos = "photos-through-vae"
    /// Bound: IP-Adapter shown the very photo that the picture is scored against.
    case unseenPhoto = "ip-adapter-unseen-photo"
    /// From the caption alone: what knowing nothing of the person gives.
    case textOnly = "text-only"
    case dreamBooth = "dreambooth"
    case dreamBoothLoRA = "dreambooth-lora"
    case ipAdapter = "ip-adapter"
    case ipAdapterMax = "ip-adapter-max"
    case ipAdapterAvg = "ip-adapter-avg"
    case selfAttention = "ip-adapter-self-attention"
    case selfAttentionMax = "ip-adapter-self-attention-max"
    case selfAttentionAvg = "ip-adapter-self-attention-avg"

    var aggregation: Aggregation? { Aggregation(rawValue: rawValue) }
    var isFineTuned: Bool { self == .dreamBooth || self == .dreamBoothLoRA }
    /// No method, but what one could reach at best: nothing that is compared with the others.
    var isBound: Bool { self == .photos || self == .autoencodedPhotos || self == .unseenPhoto }
}

/// One picture and its scores.
public struct StudyPicture: Codable, Sendable {
    public var method: StudyMethod
    public var person: Int
    public var caption: String
    public var seed: UInt64
    /// Mean cosine to the person's unseen photos; 0 where the picture shows no face.
    public var identitySimilarity: Double
    public var textAlignment: Double?
    /// To make it, without any fine-tuning.
    public var seconds: Double
    var features: [Double]
    var logits: [Double]
}

/// Compares the methods on people that nothing was trained on: every method sees the same nine reference photos (or as
/// many of them as it can use), draws from the same captions and seeds, and is scored against photos it never saw.
public struct Study {
    let folder: PipelineFolder
    let model: StudyModel
    /// What it does.
    public let settings: StudySettings
    /// Folder of fine-tuning states.
    let work: URL

    /// A person of the study.
    struct Subject {
        var name: String
        var references: [RGBImage]
        var unseen: [RGBImage]
        var captions: [String]
        var referenceCaptions: [String?]
    }
    let subjects: [Subject]

    /// - Parameter people: with at least 10 photos each
    public init(
        _ folder: PipelineFolder, people: [FaceDataset.Person], _ settings: StudySettings, work: URL
    ) throws {
        self.folder = folder
        model = try StudyModel(folder)
        (self.settings, self.work) = (settings, work)
        subjects = try people.prefix(settings.people).enumerated().map { i, person in
            guard person.photos.count >= PhotoSelfAttention.photos + 1 else {
                throw DatasetError(
                    "\(person.name) has \(person.photos.count) photos; a comparison needs \(PhotoSelfAttention.photos) "
                        + "references and at least one unseen: choose people with at least 10")
            }
            let order = Array(person.photos.indices)
            let chosen = Set(
                PhotoChoice.indices(available: order.count, seed: settings.seed &+ UInt64(i)))
            let unseen = order.filter { !chosen.contains($0) }
            return Subject(
                name: person.name, references: try chosen.sorted().map { try person.photos[$0].image() },
                unseen: try unseen.map { try person.photos[$0].image() },
                captions: unseen.map { person.photos[$0].caption ?? Album.defaultCaption },
                referenceCaptions: chosen.sorted().map { person.photos[$0].caption })
        }
    }

    /// Makes and scores every picture.
    ///
    /// - Parameter onPicture: told every picture as it is made
    public func run(say: (String) -> Void, onPicture: (StudyPicture, RGBImage) throws -> Void) throws -> StudyOutcome {
        var outcome = StudyOutcome(settings: settings)
        try real(&outcome)
        for method in StudyMethod.allCases where !settings.without.contains(method.rawValue) {
            let start = ContinuousClock.now
            let count = method.isFineTuned ? settings.fineTunedPeople ?? subjects.count : subjects.count
            for person in subjects.indices.prefix(count) {
                for (picture, image) in try pictures(method, person) {
                    outcome.pictures.append(picture)
                    try onPicture(picture, image)
                }
            }
            let own = outcome.pictures.filter { $0.method == method }.map(\.identitySimilarity)
            say(
                String(
                    format: "%@: identity similarity %.3f, %.0f s", method.rawValue as NSString,
                    own.reduce(0, +) / Double(max(own.count, 1)), (ContinuousClock.now - start) / .seconds(1)))
        }
        return outcome
    }

    /// Unseen photos among themselves: what is to be reached, and what strangers have in common.
    private func real(_ outcome: inout StudyOutcome) throws {
        let embedded = try subjects.map { subject in
            let faces = model.faces(subject.unseen)
            guard !faces.isEmpty else {
                throw DatasetError(
                    "\(subject.name): \(model.identity.name) finds no face in the unseen photos, so that pictures cannot be "
                        + "compared with them; leave this person out of the data set")
            }
            return faces
        }
        let references = subjects.map { model.faces($0.references) }
        for (i, own) in embedded.enumerated() {
            if !references[i].isEmpty {
                outcome.samePerson.append(Self.mean(own.flatMap { a in references[i].map { cosineSimilarity(a, $0) } }))
            }
            let others = embedded.enumerated().filter { $0.offset != i }.flatMap(\.element)
            if !others.isEmpty {
                outcome.otherPeople.append(Self.mean(own.flatMap { a in others.map { cosineSimilarity(a, $0) } }))
            }
            outcome.realFeatures.append(model.inception(subjects[i].unseen).features)
        }
    }

    /// The curve over the number of reference photos: the methods that can use several, for the first people.
    public func runByPhotos(people count: Int, photos: [Int] = [1, 3, 5, 7, 9], into outcome: inout StudyOutcome) throws
    {
        for method in [StudyMethod.ipAdapter, .ipAdapterMax, .ipAdapterAvg, .selfAttention]
        where !settings.without.contains(method.rawValue) {
            for number in photos {
                let similarities = try subjects.indices.prefix(count).map { person in
                    Self.mean(try pictures(method, person, references: number).map(\.0.identitySimilarity))
                }
                outcome.byPhotos.append(.init(method: method, photos: number, similarities: similarities))
            }
        }
    }

    /// - Parameter references: only so many of the reference photos, the first ones; methods that want nine bootstrap
    private func pictures(
        _ method: StudyMethod, _ person: Int, references number: Int = PhotoSelfAttention.photos
    ) throws -> [(StudyPicture, RGBImage)] {
        let subject = subjects[person]
        let unseen = model.faces(subject.unseen)
        func scored(_ image: RGBImage, caption: String, seed: UInt64, seconds: Double) -> (StudyPicture, RGBImage) {
            let inception = model.inception([image])
            return (
                StudyPicture(
                    method: method, person: person, caption: caption, seed: seed,
                    identitySimilarity: model.similarity(image, to: unseen),
                    textAlignment: model.textAlignment(image, caption), seconds: seconds,
                    features: inception.features[0], logits: inception.logits[0]), image
            )
        }
        if method == .photos || method == .autoencodedPhotos {
            return (0..<settings.picturesPerPerson).map { i in
                let place = i % subject.references.count
                let photo = subject.references[place]
                return scored(
                    method == .photos ? photo : model.autoencoded(photo),
                    caption: subject.referenceCaptions[place] ?? Album.defaultCaption,
                    seed: 0, seconds: 0)
            }
        }
        var pipeline = model.pictures
        var tokens: Tensor?
        if let aggregation = method.aggregation {
            let available = min(number, subject.references.count)
            let chosen =
                aggregation.needsSelfAttention
                ? PhotoChoice.indices(available: available, seed: settings.seed) : Array(0..<available)
            let embeddings = model.conditioningEmbeddings(chosen.map { subject.references[$0] })
            tokens = try model.conditioner(aggregation, embeddings)
        } else if method.isFineTuned {
            pipeline.unet = try fineTuned(method, person)
        }
        let negative = model.states("")
        return try (0..<settings.picturesPerPerson).map { i in
            let caption = subject.captions[i % subject.captions.count]
            let prompt = method.isFineTuned ? settings.dreamBooth.prompt(for: caption) : caption
            let seed = settings.seed &* 1000 &+ UInt64(person * 100 + i)
            // Of the bound, the photo whose caption is drawn.
            let shown =
                try method == .unseenPhoto
                ? model.conditioner(
                    .single, model.conditioningEmbeddings([subject.unseen[i % subject.unseen.count]])) : tokens
            let start = ContinuousClock.now
            let image = try pipeline(
                .init(
                    steps: settings.steps, guidanceScale: settings.guidanceScale,
                    ipAdapterScale: settings.ipAdapterScale), seed: seed,
                .init(
                    prompt: model.states(prompt), negativePrompt: negative, empty: negative, tokens: shown,
                    aggregation: method == .unseenPhoto ? .single : method.aggregation))
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            return scored(image, caption: caption, seed: seed, seconds: seconds)
        }
    }

    /// How many people, the first ones, a contact sheet has room for.
    public var shownPeople: Int { max(12 / max(settings.picturesPerPerson, 1), 1) }

    /// Real photos for the top of a contact sheet: unseen ones, whose captions the pictures follow, and references.
    public var contactRows: [ContactSheet.Row] {
        let first = subjects.prefix(shownPeople)
        func row(_ label: String, _ photos: (Subject) -> [RGBImage]) -> ContactSheet.Row {
            (
                label, "",
                first.flatMap { subject in
                    (0..<settings.picturesPerPerson).map { photos(subject)[$0 % photos(subject).count] }
                }.map { $0.resized(width: 64, height: 64) }
            )
        }
        return [row("unseen photos", \.unseen), row("reference photos", \.references)]
    }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }
}
