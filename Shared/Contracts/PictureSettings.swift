/// λ of IP-Adapter by layer: a number for all, a list with one for each cross-attention of the UNet in the order of a pass
/// (down, mid, up: 16 in Stable Diffusion 1.5), or an object as diffusers' `set_ip_adapter_scale` takes it,
/// `{"down": {"block_2": [0, 1]}, "up": {"block_1": [0, 1, 0]}}`, where what is not named is 0.
public indirect enum LayerScales: Codable, Sendable, Hashable {
    case number(Double)
    case list([Double])
    case blocks([String: LayerScales])

    /// A number, a list of numbers or an object of either.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let list = try? container.decode([Double].self) {
            self = .list(list)
        } else if let blocks = try? container.decode([String: LayerScales].self) {
            self = .blocks(blocks)
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "must be a number, a list of numbers or an object of blocks")
        }
    }

    /// The form that `init(from:)` reads.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .list(let list): try container.encode(list)
        case .blocks(let blocks): try container.encode(blocks)
        }
    }

    /// Every number in it.
    public var numbers: [Double] {
        switch self {
        case .number(let number): [number]
        case .list(let list): list
        case .blocks(let blocks): blocks.values.flatMap(\.numbers)
        }
    }

    /// How many objects lie in one another.
    public var depth: Int {
        guard case .blocks(let blocks) = self else { return 0 }
        return 1 + (blocks.values.map(\.depth).max() ?? 0)
    }
}

/// A LoRA of the models folder (`loras/`) and how much of it.
public struct LoRAUse: Codable, Sendable, Hashable {
    /// The file's name without its ending.
    public var name: String
    /// Factor on the change; nil stands for 1.
    public var weight: Double?

    public init(name: String, weight: Double? = nil) { (self.name, self.weight) = (name, weight) }
}

/// How a prompt is read, beside its words.
public struct PromptReading: Codable, Sendable, Hashable {
    /// Last layers of the text tower that are left out (diffusers' `clip_skip`, which the negative prompt does without).
    public var clipSkip: Int
    /// LoRAs whose changes of the text tower count.
    public var loras: [LoRAUse]

    public init(clipSkip: Int = 0, loras: [LoRAUse] = []) { (self.clipSkip, self.loras) = (clipSkip, loras) }

    /// The same with all layers; nil where nothing is left to say.
    public var withoutClipSkip: PromptReading? { loras.isEmpty ? nil : PromptReading(loras: loras) }
}

/// A picture that a job changes rather than making one from nothing; sent to the gateway before, named by key.
public struct PictureChange: Codable, Sendable, Hashable {
    /// Key of the picture in the object store.
    public var image: String
    /// Key of the mask: white is drawn anew, black is kept. nil: all of the picture is changed.
    public var mask: String?
    /// How much of the schedule is run, 0 … 1.
    public var strength: Double

    public init(image: String, mask: String? = nil, strength: Double) {
        (self.image, self.mask, self.strength) = (image, mask, strength)
    }
}
