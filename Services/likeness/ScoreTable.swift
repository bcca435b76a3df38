import Contracts
import Foundation

/// The scores of a job, as the paper's Table 1 shows them: a row for each method, in its order.
struct ScoreTable {
    private let rows: [[String]]
    private let notes: [String]

    private static let columns: [(title: String, metric: MetricName, digits: Int)] = [
        ("FID ↓", .fid, 2), ("IS ↑", .inceptionScore, 3), ("identity ↑", .identitySimilarity, 3),
        ("CLIP-T ↑", .textAlignment, 3), ("CLIP-I ↑", .imageAlignment, 3), ("s/picture ↓", .secondsPerPicture, 2),
    ]
    private static let header = ["method"] + columns.map(\.title) + ["pictures"]

    init(_ results: JobResults) {
        let methods = Method.allCases.filter { method in
            results.metrics.contains { $0.method == method } || results.pictures.contains { $0.method == method }
        }
        rows = methods.map { method in
            let scores = results.metrics.filter { $0.method == method }
            let cells = Self.columns.map { column in
                scores.first { $0.name == column.metric }?.value.map { Self.text($0, digits: column.digits) } ?? "–"
            }
            return [method.title] + cells + [String(results.pictures.filter { $0.method == method }.count)]
        }
        // The same reason holds for several methods more often than not.
        var seen: Set<String> = []
        notes = Self.columns.flatMap { column in
            methods.compactMap { method in
                results.metrics.first { $0.method == method && $0.name == column.metric }?.note.map {
                    "\(column.title): \($0)"
                }
            }
        }.filter { seen.insert($0).inserted }
    }

    var text: String {
        let table = TextTable(Self.header, rows, right: Set(1...Self.columns.count + 1)).text
        return ([table] + notes.map { "  \($0)" }).joined(separator: "\n")
    }

    var markdown: String {
        let rule = "|---|" + String(repeating: "---:|", count: Self.header.count - 1)
        let lines = ([Self.header] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
        return ([lines[0], rule] + lines.dropFirst() + (notes.isEmpty ? [] : [""]) + notes.map { "- \($0)" })
            .joined(separator: "\n") + "\n"
    }

    private static func text(_ value: Double, digits: Int) -> String {
        value.isFinite ? String(format: "%.\(digits)f", value) : "\(value)"
    }
}
