public import Contracts

extension StringProtocol {
    /// What limits count: Unicode code points. A character as a reader sees it may hold any number of them.
    var length: Int { unicodeScalars.count }
}

/// A checked request: every value is there and within its limits.
public struct GenerateOrder: Sendable, Equatable {
    /// In the order asked for, none twice.
    public var methods: [Method]
    /// None twice.
    public var prompts: [String]
    /// "" where none was given: the unconditional branch needs one.
    public var negativePrompt: String
    /// Of each method and prompt.
    public var pictures: Int
    /// Of picture 0.
    public var seed: UInt64
    /// Of each picture.
    public var seeds: [UInt64]
    /// How the reverse process is run.
    public var sampling: Sampling
    /// How the prompts are read; nil: as usual.
    public var reading: PromptReading?
    /// nil: as many as there are, up to nine.
    public var references: Int?
    /// A factor on each reference; nil: all count the same.
    public var photoWeights: [Double]?
    /// Whether scores and a contact sheet are wanted.
    public var evaluate: Bool
    /// Whether PNG files say what they were made with.
    public var embedParameters: Bool
    /// What the user should know.
    public var notices: [String]

    /// Checks a request.
    /// - Throws: `APIError` (422) for the first value that cannot be used, naming it and the remedy.
    public init(_ request: GenerateRequest) throws(APIError) {
        methods = try Self.methods(request.methods)
        (prompts, notices) = try Self.prompts(request.prompts)
        negativePrompt = request.negativePrompt ?? ""
        try Self.checkLength(negativePrompt, "negative_prompt")

        if request.seeds != nil, request.pictures != nil || request.seed != nil {
            throw .invalid("seeds is given together with pictures or seed", remedy: "give either seeds or those")
        }
        pictures = request.seeds?.count ?? request.pictures ?? 1
        guard pictures >= 1 else {
            throw .invalid("pictures is \(pictures)", remedy: "ask for at least 1 picture")
        }
        // Each factor is bounded before they are multiplied: no overflow.
        guard pictures <= Limits.pictures, methods.count * prompts.count * pictures <= Limits.pictures else {
            let counts = "\(methods.count) method(s) × \(prompts.count) prompt(s) × \(pictures) picture(s)"
            throw .invalid(
                "\(counts) is more than the \(Limits.pictures) pictures that one job may have",
                remedy: "split it into several jobs; give the later ones a higher seed")
        }
        let first = request.seed ?? 0
        seeds = request.seeds ?? (0..<pictures).map { first &+ UInt64($0) }
        seed = seeds[0]
        sampling = try Self.sampling(request)
        reading = try Self.reading(request)
        photoWeights = try Self.photoWeights(request, methods)
        references = request.references ?? photoWeights?.count
        embedParameters = request.embedParameters ?? true
        if let references, !Limits.references.contains(references) {
            throw .invalid(
                "references is \(references)",
                remedy:
                    "give the methods from \(Limits.references.lowerBound) to \(Limits.references.upperBound) photos")
        }
        evaluate = request.evaluate ?? true
    }

    private static func methods(_ names: [String]) throws(APIError) -> [Method] {
        let known = "all, " + Method.allCases.map(\.rawValue).joined(separator: ", ")
        guard !names.isEmpty else { throw .invalid("methods is empty", remedy: "name at least one of: \(known)") }
        var methods: [Method] = []
        for name in names {
            if name == "all" {
                methods += Method.paper
            } else if let method = Method(rawValue: name) {
                methods.append(method)
            } else {
                throw .invalid("there is no method '\(name.prefix(100))'", remedy: "use one of: \(known)")
            }
        }
        return withoutRepetition(methods)
    }

    private static func prompts(_ texts: [String]) throws(APIError) -> ([String], notices: [String]) {
        guard !texts.isEmpty else { throw .invalid("prompts is empty", remedy: "give at least one prompt") }
        guard texts.count <= Limits.prompts else {
            throw .invalid(
                "\(texts.count) prompts are more than the \(Limits.prompts) that one job may have",
                remedy: "split them over several jobs")
        }
        for (i, text) in texts.enumerated() {
            guard text.contains(where: { !$0.isWhitespace }) else {
                throw .invalid("prompts[\(i)] is empty", remedy: "write what the picture is to show")
            }
            try checkLength(text, "prompts[\(i)]")
        }
        let unique = withoutRepetition(texts)
        let notice = "a prompt that was given more than once is used once: for more of its pictures raise 'pictures'"
        return (unique, unique.count < texts.count ? [notice] : [])
    }

    private static func checkLength(_ text: String, _ name: String) throws(APIError) {
        guard text.length <= Limits.promptCharacters else {
            throw .invalid(
                "\(name) has \(text.length) characters, the limit is \(Limits.promptCharacters)",
                remedy: "shorten it")
        }
        guard !text.unicodeScalars.contains("\0") else {
            throw .invalid("\(name) holds a NUL character", remedy: "remove it")
        }
    }

    private static func sampling(_ request: GenerateRequest) throws(APIError) -> Sampling {
        var sampling = Sampling()
        if let name = request.scheduler {
            guard let scheduler = SchedulerName(rawValue: name) else {
                let known = SchedulerName.allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalid("there is no scheduler '\(name.prefix(100))'", remedy: "use one of: \(known)")
            }
            sampling.scheduler = scheduler
        }
        sampling.steps = try within(Limits.steps, request.steps ?? sampling.steps, "steps")
        sampling.guidanceScale = try within(
            Limits.guidanceScale, request.guidanceScale ?? sampling.guidanceScale, "guidance_scale")
        sampling.ipAdapterScale = try within(
            Limits.ipAdapterScale, request.ipAdapterScale ?? sampling.ipAdapterScale, "ip_adapter_scale")
        sampling.width = try side(request.width, "width")
        sampling.height = try side(request.height, "height")
        try adapter(request, &sampling)
        sampling.change = try change(request, steps: sampling.steps)
        return sampling
    }

    static func side(_ pixels: Int?, _ name: String) throws(APIError) -> Int? {
        guard let pixels else { return nil }
        guard try within(Limits.side, pixels, name).isMultiple(of: 8) else {
            throw .invalid("\(name) is \(pixels)", remedy: "use a multiple of 8, such as \((pixels + 4) / 8 * 8)")
        }
        return pixels
    }

    static func within<T>(_ range: ClosedRange<T>, _ value: T, _ name: String) throws(APIError) -> T {
        guard range.contains(value) else {
            throw .invalid("\(name) is \(value)", remedy: "use a value from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func withoutRepetition<T: Hashable>(_ values: [T]) -> [T] {
        var seen: Set<T> = []
        return values.filter { seen.insert($0).inserted }
    }
}
