// The JSON bodies of the gateway's HTTP API, shared by the gateway and its client. Keys are snake_case on the wire
// (JSONEncoder.likeness / JSONDecoder.likeness), times ISO 8601.
public import Foundation

/// A person as the API shows them.
public struct PersonView: Codable, Sendable {
    public var id: UUID
    public var name: String
    public var photos: [PhotoView]
    public var createdAt: Date

    public init(id: UUID, name: String, photos: [PhotoView], createdAt: Date) {
        (self.id, self.name, self.photos, self.createdAt) = (id, name, photos, createdAt)
    }
}

/// A photo of a person. Its bytes are at `/v1/objects/{objectKey}`.
public struct PhotoView: Codable, Sendable {
    public var id: UUID
    /// Order in which the photos were added, from 0.
    public var position: Int
    public var filename: String
    /// Key of the original file in the object store (holds its SHA-256).
    public var objectKey: String
    public var width: Int
    public var height: Int
    public var caption: String?
    /// Whether it came with a ``FaceEmbedding``.
    public var hasFaceEmbedding: Bool

    public init(
        id: UUID, position: Int, filename: String, objectKey: String, width: Int, height: Int, caption: String?,
        hasFaceEmbedding: Bool = false
    ) {
        (self.id, self.position, self.filename, self.objectKey) = (id, position, filename, objectKey)
        (self.width, self.height, self.caption) = (width, height, caption)
        self.hasFaceEmbedding = hasFaceEmbedding
    }
}

/// Body of `POST /v1/people`.
public struct NewPerson: Codable, Sendable {
    public var name: String

    public init(name: String) { self.name = name }
}

/// Body of `POST /v1/jobs`: pictures of one person, by several methods.
public struct GenerateRequest: Codable, Sendable, Hashable {
    /// The person's id or name.
    public var person: String
    /// Method names; `all` stands for the paper's five. Strings, so that an unknown one can be named in the answer.
    public var methods: [String]
    public var prompts: [String]
    public var negativePrompt: String?
    /// Pictures for each method and prompt. Picture i of a prompt has seed `seed + i`, the same for every method.
    public var pictures: Int?
    public var seed: UInt64?
    /// The seed of each picture, in place of `pictures` and `seed`.
    public var seeds: [UInt64]?
    public var scheduler: String?
    public var steps: Int?
    public var guidanceScale: Double?
    public var ipAdapterScale: Double?
    /// λ by layer, in place of `ip_adapter_scale`.
    public var ipAdapterScales: LayerScales?
    /// The part of the steps in which the photos count, as fractions from 0 to 1; λ is 0 outside.
    public var ipAdapterStart: Double?
    public var ipAdapterEnd: Double?
    /// How much each reference photo counts, in the photos' order: factors on their embeddings before the maximum, or of
    /// their weighted mean. For `ip-adapter-max` and `ip-adapter-avg` only.
    public var photoWeights: [Double]?
    /// Key of a picture to change (`POST /v1/objects`); its size is the result's unless width and height are given.
    public var initImage: String?
    /// Key of a mask for `init_image`: white is drawn anew, black is kept.
    public var maskImage: String?
    /// How much of `init_image` is changed, from 0 to 1; 0.8 unless given, with a mask 1.
    public var strength: Double?
    /// LoRAs of the models folder.
    public var loras: [LoRAUse]?
    /// Last layers of the text tower that are left out, counted as diffusers does (1 is what others call 2),
    /// and as there not for the negative prompt.
    public var clipSkip: Int?
    public var width: Int?
    public var height: Int?
    /// How many of the person's photos are given to the methods as references (at most 9 are); the rest stay unseen
    /// and score identity similarity. nil: all but those past nine.
    public var references: Int?
    /// Scores and contact sheet at the end (default true).
    public var evaluate: Bool?
    /// Whether PNG files carry what they were made with (default true).
    public var embedParameters: Bool?

    public init(person: String, methods: [String], prompts: [String]) {
        (self.person, self.methods, self.prompts) = (person, methods, prompts)
    }
}

/// A job as the API shows it.
public struct JobView: Codable, Sendable {
    public var id: UUID
    /// The person's name; of a training run, its own.
    public var person: String
    public var state: JobState
    public var request: GenerateRequest
    /// What was asked for where the job is a training run; `request` then asks for no pictures.
    public var training: TrainingRequest?
    public var createdAt: Date
    public var finishedAt: Date?
    /// Done, failed, … tasks by stage, for progress bars.
    public var stages: [StageProgress]
    /// What the user should know: prompts and methods asked for twice, …
    public var notices: [String]
    /// First error of a failed task.
    public var error: String?

    public init(
        id: UUID, person: String, state: JobState, request: GenerateRequest, createdAt: Date, finishedAt: Date?,
        stages: [StageProgress], notices: [String], error: String?, training: TrainingRequest? = nil
    ) {
        (self.id, self.person, self.state, self.request, self.createdAt) = (id, person, state, request, createdAt)
        (self.finishedAt, self.stages, self.notices, self.error) = (finishedAt, stages, notices, error)
        self.training = training
    }
}

/// Tasks of one stage of a job, by state.
public struct StageProgress: Codable, Sendable, Hashable {
    public var stage: Stage
    public var total: Int
    public var waiting: Int
    public var queued: Int
    public var running: Int
    public var done: Int
    public var failed: Int
    public var cancelled: Int

    public init(
        stage: Stage, total: Int, waiting: Int, queued: Int, running: Int, done: Int, failed: Int, cancelled: Int
    ) {
        (self.stage, self.total, self.waiting, self.queued) = (stage, total, waiting, queued)
        (self.running, self.done, self.failed, self.cancelled) = (running, done, failed, cancelled)
    }
}

/// Body of `GET /v1/jobs/{id}/results`.
public struct JobResults: Codable, Sendable {
    public var job: UUID
    public var pictures: [PictureView]
    public var metrics: [MetricView]
    /// Key of the contact sheet in the object store, once evaluated.
    public var contactSheet: String?

    public init(job: UUID, pictures: [PictureView], metrics: [MetricView], contactSheet: String?) {
        (self.job, self.pictures, self.metrics, self.contactSheet) = (job, pictures, metrics, contactSheet)
    }
}

/// One generated picture. Its PNG is at `/v1/objects/{objectKey}`.
public struct PictureView: Codable, Sendable {
    public var task: UUID
    public var method: Method
    public var prompt: String
    public var index: Int
    public var seed: UInt64
    public var objectKey: String
    public var width: Int
    public var height: Int
    /// Seconds of work by the denoiser.
    public var seconds: Double
    /// Hash of the model folder that made it.
    public var model: String
    public var worker: String

    public init(
        task: UUID, method: Method, prompt: String, index: Int, seed: UInt64, objectKey: String, width: Int,
        height: Int, seconds: Double, model: String, worker: String
    ) {
        (self.task, self.method, self.prompt, self.index, self.seed) = (task, method, prompt, index, seed)
        (self.objectKey, self.width, self.height, self.seconds) = (objectKey, width, height, seconds)
        (self.model, self.worker) = (model, worker)
    }
}

/// One score of one method in one job.
public struct MetricView: Codable, Sendable, Hashable {
    public var method: Method
    public var name: MetricName
    /// nil where it cannot be had; `note` says why.
    public var value: Double?
    /// Pictures it was computed over.
    public var samples: Int
    public var note: String?

    public init(method: Method, name: MetricName, value: Double?, samples: Int, note: String? = nil) {
        (self.method, self.name, self.value, self.samples, self.note) = (method, name, value, samples, note)
    }
}

/// The scores of the paper's Table 1.
public enum MetricName: String, Codable, Sendable, CaseIterable, Hashable {
    /// Fréchet inception distance ↓
    case fid
    /// Inception score ↑
    case inceptionScore = "inception_score"
    /// Mean cosine similarity of identity embeddings to unseen photos of the person ↑
    case identitySimilarity = "identity_similarity"
    /// Mean cosine of CLIP's embeddings of pictures and their prompts ↑
    case textAlignment = "clip_text"
    /// Mean cosine of CLIP's embeddings of pictures and reference photos ↑
    case imageAlignment = "clip_image"
    /// Mean seconds per picture ↓
    case secondsPerPicture = "seconds_per_picture"
}

/// One line of a training run's log, in the body of `GET /v1/jobs/{id}/training`.
public struct TrainingView: Codable, Sendable, Hashable {
    public var task: UUID
    /// What is trained: a method's name, or that of a part of the miniature family.
    public var part: String
    /// Updates done, and how many there will be.
    public var step: Int
    public var steps: Int
    /// Mean loss since the line before.
    public var loss: Double
    public var imagesPerSecond: Double
    public var secondsLeft: Double

    public init(
        task: UUID, part: String, step: Int, steps: Int, loss: Double, imagesPerSecond: Double, secondsLeft: Double
    ) {
        (self.task, self.part, self.step, self.steps) = (task, part, step, steps)
        (self.loss, self.imagesPerSecond, self.secondsLeft) = (loss, imagesPerSecond, secondsLeft)
    }
}

/// Body of `GET /v1/status`: what an operator watches.
public struct StatusView: Codable, Sendable {
    public var queues: [QueueView]
    public var workers: [WorkerView]

    public init(queues: [QueueView], workers: [WorkerView]) { (self.queues, self.workers) = (queues, workers) }
}

/// One queue, as the broker and Postgres see it.
public struct QueueView: Codable, Sendable {
    public var name: String
    public var stage: Stage?
    /// Messages ready, by the broker; nil while it cannot be asked.
    public var depth: Int?
    public var consumers: Int?
    /// Since start of the broker; nil where its management API is not configured.
    public var published: Int?
    public var delivered: Int?
    public var acknowledged: Int?
    /// Age in seconds of the oldest queued task, by Postgres.
    public var oldestSeconds: Double?
    public var running: Int
    /// Tasks done in the last minute.
    public var perMinute: Int

    public init(
        name: String, stage: Stage?, depth: Int?, consumers: Int?, published: Int?, delivered: Int?,
        acknowledged: Int?, oldestSeconds: Double?, running: Int, perMinute: Int
    ) {
        (self.name, self.stage, self.depth, self.consumers) = (name, stage, depth, consumers)
        (self.published, self.delivered, self.acknowledged) = (published, delivered, acknowledged)
        (self.oldestSeconds, self.running, self.perMinute) = (oldestSeconds, running, perMinute)
    }
}

/// One running service process and what it does now.
public struct WorkerView: Codable, Sendable {
    public var id: String
    public var service: String
    public var host: String
    public var pid: Int
    /// `idle`, `working`, `stopped` or `lost` (no sign of life for 30 s).
    public var state: String
    /// What it works on, in words.
    public var activity: String?
    public var startedAt: Date
    public var seenAt: Date
    public var tasksDone: Int

    public init(
        id: String, service: String, host: String, pid: Int, state: String, activity: String?, startedAt: Date,
        seenAt: Date, tasksDone: Int
    ) {
        (self.id, self.service, self.host, self.pid, self.state) = (id, service, host, pid, state)
        (self.activity, self.startedAt, self.seenAt, self.tasksDone) = (activity, startedAt, seenAt, tasksDone)
    }
}

/// Body of every 4xx and 5xx answer.
public struct ErrorView: Codable, Sendable, Error {
    /// What is wrong, naming the input.
    public var error: String
    /// What to do about it.
    public var remedy: String

    public init(error: String, remedy: String) { (self.error, self.remedy) = (error, remedy) }
}

extension JSONEncoder {
    /// The one JSON form of messages, payload columns and HTTP bodies.
    public static var likeness: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}

extension JSONDecoder {
    /// Reads what `JSONEncoder.likeness` writes.
    public static var likeness: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }
}

/// Answer to `POST /v1/objects`: a picture that requests can name.
public struct ObjectView: Codable, Sendable {
    public var objectKey: String
    public var width: Int
    public var height: Int

    public init(objectKey: String, width: Int, height: Int) {
        (self.objectKey, self.width, self.height) = (objectKey, width, height)
    }
}
