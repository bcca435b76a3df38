/// What a person looks like, as a stranger would put it: hair, beard, eyes, skin. Such as "long wavy red hair, a
/// moustache, green eyes, pale skin". It describes many people, not one; captions of the data set proper leave it out,
/// and only pictures for pre-training say it, as captions found on the web do.
public func appearance(_ identity: PersonIdentity) -> String {
    var parts: [String] = []
    let colour = nearest(
        identity.hair.colour,
        [
            ("black", 0x26201E), ("brown", 0x5E3F2B), ("auburn", 0xA85A2C), ("blond", 0xE0B870), ("grey", 0xB0B1B6),
            ("white", 0xE9E7E3), ("red", 0xD23E3E), ("dark red", 0x7A2530), ("pink", 0xE678A8), ("blue", 0x3F7FC4),
            ("teal", 0x37A59B), ("purple", 0x7E57B5), ("green", 0x5FAE57),
        ])
    parts.append(identity.hair.style.words(colour))
    if let beard = identity.beard.words { parts.append(beard) }
    let eyes = nearest(
        identity.eyes.colour,
        [
            ("dark", 0x3A2417), ("brown", 0x5F3B1E), ("hazel", 0x8A6A32), ("green", 0x4E7A45), ("blue", 0x3F74B0),
            ("light blue", 0x7FA8C9), ("grey", 0x76808A),
        ])
    parts.append("\(eyes) eyes")
    let skin = nearest(
        identity.skin.tone,
        [
            ("pale", 0xFBE0CE), ("light", 0xF0BF95), ("tan", 0xD69A6A), ("brown", 0xA0693F), ("dark", 0x653C24),
            ("very dark", 0x4A2B1C),
        ])
    parts.append("\(skin) skin")
    if identity.skin.freckles > 0 { parts.append("freckles") }
    if identity.skin.age > 0.5 { parts.append("wrinkles") }
    return parts.joined(separator: ", ")
}

private func nearest(_ colour: RGB, _ named: [(String, UInt32)]) -> String {
    var best = (named[0].0, Float.infinity)
    for (name, code) in named {
        let difference = colour - hex(code)
        let distance = (difference * difference).sum()
        if distance < best.1 { best = (name, distance) }
    }
    return best.0
}

extension PersonIdentity.HairStyle {
    fileprivate func words(_ colour: String) -> String {
        switch self {
        case .bald: "a bald head"
        case .buzz: "a \(colour) buzz cut"
        case .crop: "short \(colour) hair"
        case .sidePart: "parted \(colour) hair"
        case .quiff: "a \(colour) quiff"
        case .spiky: "spiky \(colour) hair"
        case .mohawk: "a \(colour) mohawk"
        case .receding: "receding \(colour) hair"
        case .bowl: "a \(colour) bowl cut"
        case .curly: "curly \(colour) hair"
        case .afro: "a \(colour) afro"
        case .pixie: "a \(colour) pixie cut"
        case .bob: "a \(colour) bob"
        case .straight: "long straight \(colour) hair"
        case .fringe: "long \(colour) hair with a fringe"
        case .wavy: "long wavy \(colour) hair"
        case .ringlets: "\(colour) ringlets"
        case .bun: "a \(colour) bun"
        case .spaceBuns: "\(colour) space buns"
        case .ponytail: "a \(colour) ponytail"
        case .pigtails: "\(colour) pigtails"
        case .braids: "\(colour) braids"
        }
    }
}

extension PersonIdentity.Beard {
    fileprivate var words: String? {
        switch self {
        case .none: nil
        case .stubble: "stubble"
        case .moustache: "a moustache"
        case .handlebar: "a handlebar moustache"
        case .goatee: "a goatee"
        case .full: "a full beard"
        case .long: "a long beard"
        case .chinstrap: "a chinstrap beard"
        }
    }
}
