/// How the time steps of a batch are drawn.
public enum TimestepSampling: String, Codable, Sendable, CaseIterable {
    /// All steps alike, as in the paper and in diffusers' scripts.
    case uniform
    /// Mostly steps of much noise, where a picture's colours and shapes are decided: t = (1 − u³) T, u uniform (T2I-Adapter,
    /// arXiv 2302.08453, section 3.4; diffusers' `train_t2i_adapter_sdxl.py`). Adapters learn sooner what a person looks
    /// like.
    case cubic

    /// A step in 0 ..< count.
    public func draw(below count: Int, _ random: inout BatchRandom) -> Int {
        switch self {
        case .uniform: return random.integer(below: count)
        case .cubic:
            let u = Double(random.integer(below: 1 << 24)) / Double(1 << 24)
            return min(Int((1 - u * u * u) * Double(count)), count - 1)
        }
    }
}
