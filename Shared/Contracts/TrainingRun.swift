/// The parts of the miniature family in the order in which they are trained: each needs those before it.
///
/// Raw values are those of `TrainingStage`, which does the work.
public enum CurriculumStage: String, Codable, Sendable, CaseIterable, Hashable {
    case vae, clip, unet, inception, identity
    case ipAdapter = "ip-adapter"
    case selfAttention = "self-attention"
}

/// Body of `POST /v1/training`: the miniature family, or parts of it, trained by the queue.
public struct TrainingRequest: Codable, Sendable, Hashable {
    /// Name of the run and of its folder in LIKENESS_TRAINING: lowercase letters, digits and hyphens.
    public var run: String
    /// First and last part to train; what comes before the first is taken from the run's model folder as it is.
    public var from, until: String?
    /// A data set in LFW's layout, on the trainers' machines, for the methods; rendered people if not given.
    public var people: String?
    public var seed: UInt64?
    /// Rendered people of the pre-training pictures, and of the methods' data set.
    public var pretrainingPeople, renderedPeople: Int?
    /// Updates by part, where they differ from the defaults.
    public var steps: [String: Int]?
    /// What the decoupled attention reads of self-attention's photos.
    public var readout: String?

    public init(run: String) { self.run = run }
}

extension TaskPayload {
    /// One part of a training run.
    public struct Curriculum: Codable, Sendable, Hashable {
        public var stage: CurriculumStage
        public var request: TrainingRequest

        public init(stage: CurriculumStage, request: TrainingRequest) { (self.stage, self.request) = (stage, request) }
    }
}
