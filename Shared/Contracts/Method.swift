/// A way to make the diffusion model draw a given person.
///
/// ``paper`` are the rows of the paper's Table 1; the others are its future work (LoRA) and its self-attention followed by
/// pooling.
public enum Method: String, Codable, Sendable, CaseIterable, Hashable {
    /// Fine-tune the whole UNet on the person's photos with prior preservation.
    case dreambooth
    /// DreamBooth that trains only low-rank changes of the attention's projections: far smaller to store.
    case dreamboothLoRA = "dreambooth-lora"
    /// One photo's CLIP embedding through the image projection and decoupled cross-attention.
    case ipAdapter = "ip-adapter"
    /// Element-wise maximum of several photos' CLIP embeddings, then as `ipAdapter`.
    case ipAdapterMax = "ip-adapter-max"
    /// Mean of several photos' CLIP embeddings, then as `ipAdapter`.
    case ipAdapterAvg = "ip-adapter-avg"
    /// Self-attention over nine photos' CLIP embeddings; each of the nine outputs gives its own tokens.
    case ipAdapterSelfAttention = "ip-adapter-self-attention"
    /// Self-attention, then element-wise maximum over the photos.
    case ipAdapterSelfAttentionMax = "ip-adapter-self-attention-max"
    /// Self-attention, then mean over the photos.
    case ipAdapterSelfAttentionAvg = "ip-adapter-self-attention-avg"

    /// The paper's five, in the row order of its Table 1. What `--method all` means.
    public static let paper: [Method] = [
        .dreambooth, .ipAdapter, .ipAdapterMax, .ipAdapterAvg, .ipAdapterSelfAttention,
    ]

    /// The name people read in tables and on contact sheets.
    public var title: String {
        switch self {
        case .dreambooth: "DreamBooth"
        case .dreamboothLoRA: "DreamBooth-LoRA"
        case .ipAdapter: "IP-Adapter"
        case .ipAdapterMax: "IP-Adapter + Max Pooling"
        case .ipAdapterAvg: "IP-Adapter + Avg Pooling"
        case .ipAdapterSelfAttention: "IP-Adapter + Self-Attention"
        case .ipAdapterSelfAttentionMax: "IP-Adapter + Self-Attention + Max"
        case .ipAdapterSelfAttentionAvg: "IP-Adapter + Self-Attention + Avg"
        }
    }

    /// Whether a person has weights of their own, which are trained on their photos first.
    public var isFineTuned: Bool { self == .dreambooth || self == .dreamboothLoRA }

    /// How many photos' embeddings the method looks at: exactly one, any number, or exactly nine (dropped or bootstrapped to it).
    public var photos: PhotoRule {
        switch self {
        case .dreambooth, .dreamboothLoRA: .none
        case .ipAdapter: .one
        case .ipAdapterMax, .ipAdapterAvg: .any
        case .ipAdapterSelfAttention, .ipAdapterSelfAttentionMax, .ipAdapterSelfAttentionAvg: .nine
        }
    }

    /// See ``Method/photos``.
    public enum PhotoRule: Sendable { case none, one, any, nine }
}
