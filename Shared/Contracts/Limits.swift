/// What may be asked for at once.
public enum Limits {
    /// Characters of a prompt: four or five of CLIP's windows of 77 tokens.
    public static let promptCharacters = 1_000
    /// Different prompts of a job.
    public static let prompts = 100
    /// Pictures of a job, over all methods and prompts.
    public static let pictures = 1_000
    /// Denoising steps: the training schedule has no more.
    public static let steps = 1...1_000
    /// w of classifier-free guidance.
    public static let guidanceScale = 0.0...50.0
    /// λ of decoupled cross-attention.
    public static let ipAdapterScale = 0.0...5.0
    /// Pixels of a side, in steps of 8 (the VAE's factor).
    public static let side = 64...1_024
    /// Reference photos.
    public static let references = 1...9
    /// Factor on a reference photo.
    public static let photoWeight = 0.0...10.0
    /// LoRAs of a job.
    public static let loras = 8
    /// Factor on a LoRA.
    public static let loraWeight = -4.0...4.0
    /// Layers of the text tower that can be left out.
    public static let clipSkip = 0...11
    /// Characters of a person's name.
    public static let nameCharacters = 100
    /// Bytes of a photo's file.
    public static let photoBytes = 25_000_000
    /// Bytes of a JSON body.
    public static let jsonBytes = 1_000_000
    /// Characters of a file name or caption sent with a photo.
    public static let captionCharacters = 1_000
}
