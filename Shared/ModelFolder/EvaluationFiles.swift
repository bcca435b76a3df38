internal import Foundation

/// What lies in `evaluation/<name>` of a model folder.
struct EvaluationFiles {
    let home: URL
    private let names: [String]

    init(_ folder: URL, _ name: String) { self.init(home: folder.appendingPathComponent("evaluation/\(name)")) }

    init(home: URL) {
        self.home = home
        names = (try? FileManager.default.contentsOfDirectory(atPath: home.path))?.sorted() ?? []
    }

    private static let endings = ["pth", "pt", "safetensors", "bin"]

    /// The first file of weights.
    var weights: URL? { names.first { Self.isWeights($0) }.map(home.appendingPathComponent) }

    /// The file of weights whose name without its ending is `name`.
    func weights(named name: String) -> URL? {
        names.first { Self.isWeights($0) && ($0 as NSString).deletingPathExtension == name }
            .map(home.appendingPathComponent)
    }

    private static func isWeights(_ name: String) -> Bool { endings.contains((name as NSString).pathExtension) }
}
