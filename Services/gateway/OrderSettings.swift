import Contracts
import Foundation
import ImageIO
import Store

// The rarer settings of a request, checked one by one.
extension GenerateOrder {
    /// λ by layer and the part of the steps in which it counts.
    static func adapter(_ request: GenerateRequest, _ sampling: inout Sampling) throws(APIError) {
        if let scales = request.ipAdapterScales {
            guard request.ipAdapterScale == nil else {
                throw .invalid(
                    "ip_adapter_scales is given together with ip_adapter_scale", remedy: "give either of them")
            }
            let numbers = scales.numbers
            guard scales.depth <= 2, (1...64).contains(numbers.count) else {
                throw .invalid(
                    "ip_adapter_scales holds \(numbers.count) numbers in \(scales.depth) levels of blocks",
                    remedy: "give one number for each cross-attention layer (16 in Stable Diffusion 1.5), or "
                        + #"{"down": 1, "mid": 1, "up": {"block_1": 0.5}}"#)
            }
            if case .blocks(let blocks) = scales {
                let unknown = blocks.keys.sorted().first { !["down", "mid", "up"].contains($0) }
                if let name = unknown ?? blocks.values.compactMap(Self.unknownBlock).first {
                    throw .invalid(
                        "ip_adapter_scales names '\(name.prefix(100))'",
                        remedy: "name down, mid and up, and in these block_0, block_1, …")
                }
            }
            for number in numbers { _ = try within(Limits.ipAdapterScale, number, "ip_adapter_scales") }
            sampling.ipAdapterScales = scales
        }
        let start = try within(0...1, request.ipAdapterStart ?? 0, "ip_adapter_start")
        let end = try within(0...1, request.ipAdapterEnd ?? 1, "ip_adapter_end")
        guard start < end else {
            throw .invalid(
                "ip_adapter_start is \(start), ip_adapter_end \(end)",
                remedy: "let the end be larger; for pictures without the photos' influence set ip_adapter_scale to 0")
        }
        (sampling.ipAdapterStart, sampling.ipAdapterEnd) = (request.ipAdapterStart, request.ipAdapterEnd)
    }

    private static func unknownBlock(_ scales: LayerScales) -> String? {
        guard case .blocks(let blocks) = scales else { return nil }
        return blocks.keys.sorted().first { $0.wholeMatch(of: /block_[0-9]{1,2}/) == nil }
    }

    /// The picture that is changed.
    static func change(_ request: GenerateRequest, steps: Int) throws(APIError) -> PictureChange? {
        guard let image = request.initImage else {
            for (name, given) in [("mask_image", request.maskImage != nil), ("strength", request.strength != nil)]
            where given {
                throw .invalid(
                    "\(name) is given without init_image",
                    remedy: "send the picture to POST /v1/objects and name its key in init_image")
            }
            return nil
        }
        for (name, key) in [("init_image", image), ("mask_image", request.maskImage ?? image)] {
            guard let type = ObjectKey(key)?.type, type == .png || type == .jpeg else {
                throw .invalid(
                    "\(name) is '\(key.prefix(100))', which is not a picture's key",
                    remedy: "send the picture to POST /v1/objects and name the object_key of the answer")
            }
        }
        // diffusers' defaults.
        let strength = try within(0...1, request.strength ?? (request.maskImage == nil ? 0.8 : 1), "strength")
        guard Int(Double(steps) * strength) >= 1 else {
            throw .invalid(
                "strength \(strength) of \(steps) steps leaves no step to do", remedy: "raise strength or steps")
        }
        return PictureChange(image: image, mask: request.maskImage, strength: strength)
    }

    /// Clip skip and LoRAs.
    static func reading(_ request: GenerateRequest) throws(APIError) -> PromptReading? {
        let loras = request.loras ?? []
        guard loras.count <= Limits.loras else {
            throw .invalid("loras has \(loras.count) entries", remedy: "use at most \(Limits.loras)")
        }
        var names: Set<String> = []
        for lora in loras {
            let name = lora.name
            guard (1...200).contains(name.length), !name.hasPrefix("."),
                !name.unicodeScalars.contains(where: { "/\\".unicodeScalars.contains($0) || $0.value < 32 })
            else {
                throw .invalid(
                    "loras names '\(name.prefix(100))'",
                    remedy: "name a file of the models folder's loras/ without its ending: no path")
            }
            guard names.insert(name).inserted else {
                throw .invalid("loras names '\(name)' twice", remedy: "name it once, with the sum of the weights")
            }
            _ = try within(Limits.loraWeight, lora.weight ?? 1, "loras: the weight of '\(name)'")
        }
        let clipSkip = try within(Limits.clipSkip, request.clipSkip ?? 0, "clip_skip")
        guard clipSkip > 0 || !loras.isEmpty else { return nil }
        return PromptReading(
            clipSkip: clipSkip, loras: loras.map { LoRAUse(name: $0.name, weight: $0.weight ?? 1) })
    }

    /// Factors on the photos. One photo's factor would be another λ, and self-attention was trained on embeddings as they
    /// are, so that they mean something for pooling alone.
    static func photoWeights(
        _ request: GenerateRequest, _ methods: [Contracts.Method]
    ) throws(APIError) -> [Double]? {
        guard let weights = request.photoWeights else { return nil }
        if let method = methods.first(where: { $0 != .ipAdapterMax && $0 != .ipAdapterAvg }) {
            throw .invalid(
                "photo_weights mean nothing for \(method.rawValue)",
                remedy: "ask for ip-adapter-max or ip-adapter-avg only; "
                    + (method == .ipAdapter
                        ? "one photo's weight is ip_adapter_scale" : "leave photo_weights out otherwise"))
        }
        guard Limits.references.contains(weights.count), weights.count == request.references ?? weights.count else {
            throw .invalid(
                "photo_weights has \(weights.count) numbers for "
                    + (request.references.map { "\($0) references" } ?? "at most \(Limits.references.upperBound) photos"),
                remedy: "give one for each reference photo")
        }
        for (i, weight) in weights.enumerated() { _ = try within(Limits.photoWeight, weight, "photo_weights[\(i)]") }
        guard weights.contains(where: { $0 > 0 }) else {
            throw .invalid("photo_weights are all 0", remedy: "let at least one photo count")
        }
        return weights
    }

    /// Takes the size of the picture that is changed, where none was asked for.
    public mutating func fill(_ size: (width: Int, height: Int)) throws(APIError) {
        for (name, place, pixels) in [
            ("width", \Sampling.width, size.width), ("height", \Sampling.height, size.height),
        ] where sampling[keyPath: place] == nil {
            let rounded = pixels / 8 * 8
            guard Limits.side.contains(rounded) else {
                throw .invalid(
                    "init_image has a \(name) of \(pixels) pixels",
                    remedy:
                        "give width and height, from \(Limits.side.lowerBound) to \(Limits.side.upperBound), and it is "
                        + "resized")
            }
            sampling[keyPath: place] = rounded
        }
    }
}

/// The pictures that a request names.
struct PictureSource {
    let objects: any ObjectStore

    /// The size of the picture that is changed; its mask has to be there too.
    func size(of change: PictureChange) async throws -> (width: Int, height: Int) {
        if let mask = change.mask { _ = try await size(mask, "mask_image") }
        return try await size(change.image, "init_image")
    }

    private func size(_ key: String, _ name: String) async throws -> (width: Int, height: Int) {
        guard try await objects.exists(key) else {
            throw APIError.invalid(
                "\(name): there is no object \(key)", remedy: "send the picture to POST /v1/objects first")
        }
        do {
            let header = try ImageFile.probe(try await objects.get(key))
            return (header.width, header.height)
        } catch let error as ImageError {
            throw APIError.invalid("\(name) is no picture that can be read: \(error)", remedy: "send it again")
        }
    }
}
