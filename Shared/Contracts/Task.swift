public import Foundation

/// A step of the work, done by one kind of service from one queue.
public enum Stage: String, Codable, Sendable, CaseIterable, Hashable {
    /// Photo → CLIP image embedding; prompt → CLIP text embedding.
    case encode
    /// Several embeddings → conditioning tokens, by method.
    case aggregate
    /// Photos → a person's own weights; data sets → a part of the miniature family.
    case train
    /// Noise → latent → picture.
    case denoise
    /// A job's pictures → scores and contact sheet.
    case evaluate
}

/// What travels through a queue: ids only, never pixels or tensors (claim check).
///
/// Everything else about the task is in Postgres, which decides who may work on it.
public struct TaskMessage: Codable, Sendable, Hashable {
    /// The version of this JSON form; a consumer refuses versions it does not know.
    public static let currentVersion = 1

    /// The JSON form's version.
    public var version: Int
    /// The row of `tasks` to work on.
    public var task: UUID
    /// The row of `jobs` it belongs to.
    public var job: UUID
    /// The queue it belongs in.
    public var stage: Stage

    /// Makes a message of the current version.
    public init(task: UUID, job: UUID, stage: Stage) {
        (version, self.task, self.job, self.stage) = (Self.currentVersion, task, job, stage)
    }
}

/// The state of a task. Every move is made by one SQL statement in `Store`, in the transaction of its effects.
///
///     waiting ──(last dependency done)──▶ queued ──(claimed)──▶ running ──▶ done
///                                           ▲                     │ ├─────▶ failed
///                                           └──(retry, lost lease)┘ └─────▶ cancelled
public enum TaskState: String, Codable, Sendable, CaseIterable {
    case waiting, queued, running, done, failed, cancelled

    /// No further move is possible.
    public var isFinal: Bool { self == .done || self == .failed || self == .cancelled }
}

/// The state of a job, derived from its tasks when each of them ends.
public enum JobState: String, Codable, Sendable, CaseIterable {
    case queued, running, done, failed, cancelled

    /// No further move is possible.
    public var isFinal: Bool { self == .done || self == .failed || self == .cancelled }
}

/// What a task is to do: the `payload` column of `tasks`, as JSON tagged by `kind`.
public enum TaskPayload: Codable, Sendable, Hashable {
    /// CLIP image embedding of a photo, kept under its content hash and the model's.
    case encodePhoto(photo: UUID)
    /// CLIP text embedding of a prompt, likewise.
    case encodePrompt(prompt: UUID, reading: PromptReading? = nil)
    /// Conditioning tokens from these photos' embeddings.
    case aggregate(Aggregation)
    /// A person's own weights.
    case train(FineTuning)
    /// A part of the miniature family.
    case curriculum(Curriculum)
    /// One picture.
    case denoise(Picture)
    /// Scores of all the job's pictures.
    case evaluate(Evaluation)

    /// The conditioning tokens to make; `seed` drives the choice when photos are dropped or bootstrapped to nine.
    public struct Aggregation: Codable, Sendable, Hashable {
        public var method: Method
        /// The `encodePhoto` tasks of the reference photos, in the photos' order; their results name the embeddings.
        public var embeddings: [UUID]
        public var seed: UInt64
        /// A factor on each of `embeddings`; nil: all count the same.
        public var weights: [Double]?

        public init(method: Method, embeddings: [UUID], seed: UInt64, weights: [Double]? = nil) {
            (self.method, self.embeddings, self.seed, self.weights) = (method, embeddings, seed, weights)
        }
    }

    /// The weights to make. Only those of the same photos, model and settings are the same: they are made once.
    public struct FineTuning: Codable, Sendable, Hashable {
        public var method: Method
        /// The person's reference photos.
        public var photos: [UUID]

        public init(method: Method, photos: [UUID]) { (self.method, self.photos) = (method, photos) }
    }

    /// The picture to make. The same values give the same bytes on any worker.
    public struct Picture: Codable, Sendable, Hashable {
        public var method: Method
        /// The aggregate task whose result holds the conditioning tokens; nil where the method has none (DreamBooth).
        public var conditioning: UUID?
        /// The train task whose result holds the person's own weights; nil for methods that need none.
        public var weights: UUID?
        /// The prompt's row, for the result's row.
        public var prompt: UUID
        /// The `encodePrompt` tasks of the prompt and the negative prompt; their results name the embeddings.
        public var promptEmbedding: UUID
        public var negativePromptEmbedding: UUID
        /// Index among the job's pictures of this method and prompt, from 0.
        public var index: Int
        public var seed: UInt64
        public var sampling: Sampling
        /// How the prompts were read; LoRAs change the UNet too.
        public var reading: PromptReading?
        /// What the PNG says of the picture besides; nil: nothing at all.
        public var caption: Caption?

        /// What a worker does not need to make the picture, only to describe it.
        public struct Caption: Codable, Sendable, Hashable {
            public var person: UUID
            public var negativePrompt: String
            /// Factors on the photos, where they were given.
            public var photoWeights: [Double]?

            public init(person: UUID, negativePrompt: String, photoWeights: [Double]? = nil) {
                (self.person, self.negativePrompt, self.photoWeights) = (person, negativePrompt, photoWeights)
            }
        }

        public init(
            method: Method, conditioning: UUID? = nil, weights: UUID? = nil, prompt: UUID, promptEmbedding: UUID,
            negativePromptEmbedding: UUID, index: Int, seed: UInt64, sampling: Sampling, reading: PromptReading? = nil,
            caption: Caption? = nil
        ) {
            (self.reading, self.caption) = (reading, caption)
            (self.method, self.conditioning, self.weights, self.prompt) = (method, conditioning, weights, prompt)
            (self.promptEmbedding, self.negativePromptEmbedding) = (promptEmbedding, negativePromptEmbedding)
            (self.index, self.seed, self.sampling) = (index, seed, sampling)
        }
    }

    /// The scores to make: `references` were given to the methods, `unseen` photos of the person were not.
    public struct Evaluation: Codable, Sendable, Hashable {
        public var references: [UUID]
        public var unseen: [UUID]

        public init(references: [UUID], unseen: [UUID]) {
            (self.references, self.unseen) = (references, unseen)
        }
    }

    /// The queue that the task goes to.
    public var stage: Stage {
        switch self {
        case .encodePhoto, .encodePrompt: .encode
        case .aggregate: .aggregate
        case .train, .curriculum: .train
        case .denoise: .denoise
        case .evaluate: .evaluate
        }
    }
}

/// What a finished task made: the `result` column of `tasks`.
public struct TaskResult: Codable, Sendable, Hashable {
    /// What was made, in the object store: a safetensors file (`embedding`, `tokens` or weights) or a PNG.
    public var objectKey: String
    /// Hash of the weights that made it.
    public var model: String

    public init(objectKey: String, model: String) { (self.objectKey, self.model) = (objectKey, model) }
}

/// How the reverse process is run.
public struct Sampling: Codable, Sendable, Hashable {
    /// The scheduler's name.
    public var scheduler: SchedulerName
    /// Number of denoising steps.
    public var steps: Int
    /// w of classifier-free guidance (paper eq. 11): ε = ε(uncond) + w·(ε(cond) − ε(uncond)).
    public var guidanceScale: Double
    /// λ of decoupled cross-attention (paper eq. 17).
    public var ipAdapterScale: Double
    /// λ by layer, in place of `ipAdapterScale`.
    public var ipAdapterScales: LayerScales?
    /// Fractions of the steps between which λ counts; nil for 0 and 1.
    public var ipAdapterStart, ipAdapterEnd: Double?
    /// A picture to change; nil for one from nothing.
    public var change: PictureChange?
    /// Pixels; nil for the model's own size. A multiple of 8.
    public var width: Int?
    public var height: Int?

    public init(
        scheduler: SchedulerName = .ddim, steps: Int = 30, guidanceScale: Double = 7.5, ipAdapterScale: Double = 1,
        width: Int? = nil, height: Int? = nil
    ) {
        (self.scheduler, self.steps, self.guidanceScale) = (scheduler, steps, guidanceScale)
        (self.ipAdapterScale, self.width, self.height) = (ipAdapterScale, width, height)
    }
}

/// The samplers, by the names of the goldens and of diffusers' classes in snake case.
public enum SchedulerName: String, Codable, Sendable, CaseIterable, Hashable {
    case ddpm, ddim, pndm, euler
    case eulerAncestral = "euler_ancestral"
    case heun
    case dpmpp2M = "dpmpp_2m"
    case dpmpp2MKarras = "dpmpp_2m_karras"
    case unipc, lcm
}
