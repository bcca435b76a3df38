public import Foundation

/// A study as people read it: Markdown, JSON and an HTML page that stands alone.
public struct ComparisonReport: Sendable {
    let outcome: StudyOutcome
    let rows: [StudyOutcome.Row]
    let claims: [Claim]
    /// PNG of the contact sheet.
    let contactSheet: Data
    let curves: [LinePlot.Series]
    /// What was run, for the reader who wants to run it again.
    let command: String
    let isMiniature: Bool

    /// Self-attention against another method.
    struct Claim: Sendable {
        var over: StudyMethod
        var identity, distance: Interval
    }

    /// - Parameters:
    ///   - curves: losses by update, a series for each training run
    ///   - command: what was run
    ///   - isMiniature: whether it was the miniature on rendered people, for what is said of the figures
    public init(
        _ outcome: StudyOutcome, contactSheet: Data, curves: [LinePlot.Series], command: String, isMiniature: Bool
    ) throws {
        (self.outcome, self.contactSheet, self.curves, self.command) = (outcome, contactSheet, curves, command)
        self.isMiniature = isMiniature
        rows = try outcome.rows()
        let rivals: [StudyMethod] = [.ipAdapter, .ipAdapterMax, .ipAdapterAvg]
        claims =
            outcome.methods.contains(.selfAttention)
            ? try rivals.filter { outcome.methods.contains($0) }.map {
                Claim(
                    over: $0, identity: outcome.identityGain(of: .selfAttention, over: $0),
                    distance: try outcome.distanceGain(of: .selfAttention, over: $0))
            } : []
    }

    /// Why the figures cannot be set beside the paper's.
    private var caveat: String {
        isMiniature
            ? """
            Rendered people of 64×64 pixels, a miniature model and its own evaluation networks: these figures cannot be set \
            beside the paper's, which are of photographs, Stable Diffusion 1.5 and Inception v3. Only the order of the methods \
            can be compared.
            """
            : """
            The paper's figures are of other people, captions and training, and of more pictures, which FID and IS depend on: \
            compare the order of the methods rather than numbers.
            """
    }

    private var people: Int { Set(outcome.pictures.map(\.person)).count }
    private static let header = ["Method", "IS ↑", "FID ↓", "Identity ↑", "Text ↑", "s / picture"]

    private var cells: [[String]] {
        // Of those who draw the same people: fewer people are another test.
        func people(_ row: StudyOutcome.Row) -> Int {
            Set(outcome.pictures.filter { $0.method == row.method }.map(\.person)).count
        }
        let rivals = rows.filter { $0.method != .textOnly && !$0.method.isBound && people($0) == self.people }
        func isBest(_ row: StudyOutcome.Row, _ value: (StudyOutcome.Row) -> Double) -> Bool {
            rivals.contains { $0.method == row.method } && value(row) == rivals.map(value).filter(\.isFinite).max()
        }
        return rows.map { row in
            [
                row.method.title, Self.text(row.inceptionScore, 2, isBest(row) { $0.inceptionScore.value }),
                Self.text(row.distance, 1, isBest(row) { -$0.distance.value }),
                Self.text(row.identity, 3, isBest(row) { $0.identity.value }),
                Self.text(row.alignment, 3, isBest(row) { $0.alignment.value }), String(format: "%.2f", row.seconds),
            ]
        }
    }

    private static func text(_ x: Interval, _ digits: Int, _ isBest: Bool) -> String {
        guard x.value.isFinite else { return "–" }
        func number(_ v: Double) -> String { v.isFinite ? String(format: "%.\(digits)f", v) : "–" }
        let value = isBest ? "**\(number(x.value))**" : number(x.value)
        return "\(value) [\(number(x.low)), \(number(x.high))]"
    }

    private var facts: String {
        func mean(_ x: [Double]) -> Double { x.reduce(0, +) / Double(max(x.count, 1)) }
        let s = outcome.settings
        let few = s.fineTunedPeople.map { " DreamBooth's rows are of the first \($0) people only." } ?? ""
        return String(
            format:
                "%d held-out people, %d pictures of each by every method, the same captions and seeds (seed %llu, %d "
                + "steps, guidance %.1f, IP-Adapter scale %.1f). Real photos: %.3f between photos of one person, %.3f "
                + "between people. Intervals: 95 %%, bootstrap over people.",
            people, s.picturesPerPerson, s.seed, s.steps, s.guidanceScale, s.ipAdapterScale, mean(outcome.samePerson),
            mean(outcome.otherPeople)) + few
    }

    private var sentences: [String] {
        claims.map { claim in
            func word(_ x: Interval, better: Bool) -> String {
                x.excludesZero
                    ? (better ? "better, outside the interval" : "worse, outside the interval") : "no clear difference"
            }
            return String(
                format: "Self-attention against %@: identity %+.3f [%+.3f, %+.3f] (%@), FID %+.1f [%+.1f, %+.1f] (%@).",
                claim.over.title as NSString, claim.identity.value, claim.identity.low, claim.identity.high,
                word(claim.identity, better: claim.identity.value > 0) as NSString, claim.distance.value,
                claim.distance.low, claim.distance.high,
                word(claim.distance, better: claim.distance.value < 0) as NSString)
        }
    }

    /// The table, what it says of the paper's claim, and how it was made.
    public var markdown: String {
        var lines = ["| " + Self.header.joined(separator: " | ") + " |", "|---|---|---|---|---|---|"]
        lines += cells.map { "| " + $0.joined(separator: " | ") + " |" }
        lines += ["", facts, ""] + sentences.map { "- \($0)" } + ["", caveat, "", "    \(command)", ""]
        return lines.joined(separator: "\n")
    }

    /// Every picture's scores and the settings.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try encoder.encode(outcome)
    }

    /// Identity similarity against the number of photos.
    public var photoPlot: LinePlot {
        let methods = StudyMethod.allCases.filter { m in outcome.byPhotos.contains { $0.method == m } }
        return LinePlot(
            title: "Identity similarity against the number of photos", xLabel: "reference photos",
            yLabel: "mean cosine",
            series: methods.map { method in
                .init(
                    name: method.title,
                    points: outcome.byPhotos.filter { $0.method == method }.map { point in
                        let people = Array(point.similarities.indices)
                        let x = Bootstrap(people: people, resamples: 500, seed: outcome.settings.seed).interval {
                            chosen in
                            chosen.reduce(0) { $0 + point.similarities[$1] } / Double(max(chosen.count, 1))
                        }
                        return .init(x: Double(point.photos), y: x.value, low: x.low, high: x.high)
                    })
            })
    }

    /// A page that needs nothing but itself.
    public var html: String {
        func cell(_ text: String) -> String {
            let parts = text.xmlEscaped.split(separator: "**", omittingEmptySubsequences: false)
            return parts.count == 3 ? "\(parts[0])<b>\(parts[1])</b>\(parts[2])" : text.xmlEscaped
        }
        let head = Self.header.map { "<th>\($0.xmlEscaped)</th>" }.joined()
        let body = cells.map { "<tr>" + $0.map { "<td>\(cell($0))</td>" }.joined() + "</tr>" }.joined(separator: "\n")
        let losses = LinePlot(
            title: "Training losses", xLabel: "updates", yLabel: "loss", series: curves, isLogarithmic: true)
        return """
            <!doctype html>
            <html lang="en"><meta charset="utf-8"><title>Likeness: comparison of methods</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>
            :root { color-scheme: light dark; }
            body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
            table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
            th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #8886; }
            img, svg { max-width: 100%; height: auto; } img { image-rendering: pixelated; }
            </style>
            <h1>Comparison of methods</h1>
            <p>\(facts.xmlEscaped)</p>
            <table><thead><tr>\(head)</tr></thead><tbody>
            \(body)
            </tbody></table>
            <ul>\(sentences.map { "<li>\($0.xmlEscaped)</li>" }.joined())</ul>
            <p>\(caveat.xmlEscaped)</p>
            <h2>Pictures</h2>
            <img alt="Contact sheet: a row for each method" src="data:image/png;base64,\(contactSheet.base64EncodedString())">
            <h2>Photos</h2>
            \(photoPlot.svg)
            <h2>Training</h2>
            \(losses.svg)
            <p><code>\(command.xmlEscaped)</code></p>
            </html>

            """
    }
}

extension StudyMethod {
    /// As in the paper's table.
    var title: String {
        switch self {
        case .photos: "Bound: other photos of them"
        case .autoencodedPhotos: "Bound: these through the VAE"
        case .unseenPhoto: "Bound: IP-Adapter, the unseen photo"
        case .textOnly: "Text alone"
        case .dreamBooth: "DreamBooth"
        case .dreamBoothLoRA: "DreamBooth-LoRA"
        case .ipAdapter: "IP-Adapter"
        case .ipAdapterMax: "IP-Adapter + Max Pooling"
        case .ipAdapterAvg: "IP-Adapter + Avg Pooling"
        case .selfAttention: "IP-Adapter + Self-Attention"
        case .selfAttentionMax: "IP-Adapter + Self-Attention + Max"
        case .selfAttentionAvg: "IP-Adapter + Self-Attention + Avg"
        }
    }
}
