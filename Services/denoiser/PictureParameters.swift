import Contracts
import Foundation
import ImageIO
import ModelFolder

/// What a picture was made with, in the form that people's tools read from a PNG's `parameters` chunk: the prompt, the
/// negative prompt, then `Name: value` pairs. Nothing in it differs from run to run.
struct PictureParameters {
    let picture: TaskPayload.Picture
    let prompt: String
    let model: String
    let loras: AddOns.Chosen
    let isFlagged: Bool

    func text(_ image: RGBImage) -> String {
        let sampling = picture.sampling
        var pairs: [(String, String)] = [
            ("Steps", "\(sampling.steps)"), ("Sampler", sampling.scheduler.rawValue),
            ("CFG scale", "\(sampling.guidanceScale)"), ("Seed", "\(picture.seed)"),
            ("Size", "\(image.width)x\(image.height)"), ("Model hash", String(model.prefix(10))),
            ("Method", picture.method.rawValue),
        ]
        if let caption = picture.caption { pairs.append(("Person", caption.person.uuidString.lowercased())) }
        if !picture.method.isFineTuned {
            let scales = sampling.ipAdapterScales.map(Self.json) ?? "\(sampling.ipAdapterScale)"
            pairs.append(("IP-Adapter scale", scales))
            if sampling.ipAdapterStart != nil || sampling.ipAdapterEnd != nil {
                pairs.append(("IP-Adapter range", "\(sampling.ipAdapterStart ?? 0) to \(sampling.ipAdapterEnd ?? 1)"))
            }
            if let weights = picture.caption?.photoWeights { pairs.append(("Photo weights", Self.json(weights))) }
        }
        if let change = sampling.change {
            pairs += [("Denoising strength", "\(change.strength)"), ("Init image", change.image)]
            if let mask = change.mask { pairs.append(("Mask", mask)) }
        }
        if let skip = picture.reading?.clipSkip, skip > 0 { pairs.append(("Clip skip", "\(skip)")) }
        if !loras.loras.isEmpty {
            let list = loras.loras.map { "\($0.choice.name): \($0.choice.weight) (\($0.hash.prefix(10)))" }
            pairs.append(("Loras", Self.quoted(list.joined(separator: ", "))))
        }
        if isFlagged { pairs.append(("Safety checker", "blacked")) }
        let negative = picture.caption?.negativePrompt ?? ""
        return prompt + "\n" + (negative.isEmpty ? "" : "Negative prompt: \(negative)\n")
            + pairs.map { "\($0): \($1)" }.joined(separator: ", ")
    }

    private static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "" }
        return quoted(String(decoding: data, as: UTF8.self))
    }

    /// A value with commas in it.
    private static func quoted(_ text: String) -> String {
        text.contains(",") || text.contains(":") ? "\"" + text.replacing("\"", with: "\\\"") + "\"" : text
    }
}
