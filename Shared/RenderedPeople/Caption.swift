/// What a photo shows, as its caption says it: everything that differs between photos, the class noun, and nothing of
/// who it is. Such as "a photo of a smiling person with a red cap and sunglasses, in a blue hoodie, green striped
/// background, looking left, warm light".
/// - Parameter noun: what the person is called; a training prompt may put a rare word before it, as in `sks person`.
public func caption(_ nuisance: PhotoNuisance, noun: String = "person") -> String {
    let adjective = nuisance.expression.word
    let subject = adjective.isEmpty ? noun : "\(adjective) \(noun)"
    let shot =
        nuisance.scale > 0.65 ? "a close-up photo of" : nuisance.scale < 0.54 ? "a distant photo of" : "a photo of"
    let worn = [nuisance.hat.map { "\($0.colour.article) \($0.kind.words)" }, nuisance.glasses.words].compactMap { $0 }
    var parts = ["\(shot) \(article(subject)) \(subject)"]
    if !worn.isEmpty { parts[0] += " with " + worn.joined(separator: " and ") }
    parts.append("in " + nuisance.shirt.words)
    parts.append(nuisance.background.words)
    parts.append(nuisance.direction)
    if abs(nuisance.roll) > 0.1 { parts.append("tilted head") }
    if let light = nuisance.light.words { parts.append(light) }
    return parts.joined(separator: ", ")
}

private func article(_ words: String) -> String {
    words.first.map { "aeiou".contains($0) } == true ? "an" : "a"
}

extension NamedColour {
    fileprivate var article: String { (self == .orange ? "an " : "a ") + rawValue }
}

extension PhotoNuisance {
    fileprivate var direction: String {
        let across = yaw < -0.17 ? "left" : yaw > 0.17 ? "right" : nil
        let upwards = pitch > 0.12 ? "up" : pitch < -0.12 ? "down" : nil
        let named = [upwards, across].compactMap { $0 }
        return named.isEmpty ? "looking straight ahead" : "looking " + named.joined(separator: " and ")
    }
}

extension PhotoNuisance.Expression {
    /// The adjective before the noun; nothing for a neutral face.
    var word: String {
        switch self {
        case .neutral: ""
        case .smiling: "smiling"
        case .laughing: "laughing"
        case .sad: "sad"
        case .surprised: "surprised"
        case .angry: "angry"
        case .winking: "winking"
        case .sleeping: "sleeping"
        }
    }
}

extension PhotoNuisance.Light {
    fileprivate var words: String? {
        switch self {
        case .even: nil
        case .left: "light from the left"
        case .right: "light from the right"
        case .dim: "dim light"
        case .warm: "warm light"
        case .cool: "cool light"
        }
    }
}

extension PhotoNuisance.Glasses {
    fileprivate var words: String? {
        switch self {
        case .none: nil
        case .round: "round glasses"
        case .square: "square glasses"
        case .sun: "sunglasses"
        }
    }
}

extension PhotoNuisance.Hat.Kind {
    fileprivate var words: String {
        switch self {
        case .cap: "cap"
        case .beanie: "beanie"
        case .sunHat: "sun hat"
        case .bowler: "bowler hat"
        case .party: "party hat"
        }
    }
}

extension PhotoNuisance.Shirt {
    fileprivate var words: String {
        switch kind {
        case .crew: "\(colour.article) t-shirt"
        case .vneck: "\(colour.article) v-neck shirt"
        case .collar: "\(colour.article) collared shirt"
        case .hoodie: "\(colour.article) hoodie"
        case .striped: "\(colour.article) striped shirt"
        case .scarf: "\(colour.article) sweater and a scarf"
        }
    }
}

extension PhotoNuisance.Background {
    fileprivate var words: String {
        switch kind {
        case .plain: "\(colour.rawValue) background"
        case .gradient: "\(colour.rawValue) gradient background"
        case .stripes: "\(colour.rawValue) striped background"
        case .dots: "\(colour.rawValue) dotted background"
        case .checks: "\(colour.rawValue) checkered background"
        case .bricks: "in front of a brick wall"
        case .lights: "in front of blurry \(colour.rawValue) lights"
        case .hills: "in front of green hills"
        case .beach: "at the beach"
        case .city: "in front of a city"
        case .forest: "in a forest"
        case .night: "under a night sky"
        case .sunset: "at sunset"
        }
    }
}
