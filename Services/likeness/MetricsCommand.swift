import ArgumentParser
import Foundation
import ImageMetrics
import ModelFolder
import TensorEngine

/// `likeness metrics A B --network FILE`: FID, IS and KID of two folders of pictures.
struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "FID, IS and KID of a folder of pictures against another, as torch-fidelity computes them.",
        discussion: """
            Inception v3 is torch-fidelity's and pytorch-fid's (weights-inception-2015-12-05-6726825d.pth, or the same as \
            safetensors). IS is of the first folder. Subsets and splits are drawn with torch-fidelity's seed, so the same \
            pictures and weights give the same numbers.
            """)

    @Argument(help: "The folder to score (PNG and JPEG files).", completion: .directory)
    var first: String

    @Argument(help: "The folder of real pictures.", completion: .directory)
    var second: String

    @Option(help: "The network's file, or a model folder with evaluation/inception.", completion: .file())
    var network: String

    @Option(
        help: "How pictures come to 299×299: tf1 (as FID was defined; torch-fidelity's) or clean (clean-fid's).",
        transform: { text in
            guard let resize = InceptionV3.Resize(rawValue: text) else {
                throw ValidationError("--resize \(text): must be tf1 or clean")
            }
            return resize
        })
    var resize = InceptionV3.Resize.tensorFlow1

    @Option(help: "Parts that IS is averaged over.")
    var splits = 10

    @Option(help: "Random subsets that KID is averaged over.")
    var subsets = 100

    @Option(help: "Pictures of each folder in a subset.")
    var subsetSize = 1000

    @Option(help: "Threads; 0 stands for all cores.")
    var threads = 0

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        Threads.use(threads)
        do {
            let network = try PictureSet.network(at: URL(fileURLWithPath: network))
            let (a, b) = (try pictures(first, network), try pictures(second, network))
            var settings = FidelityScores.Settings()
            (settings.splits, settings.subsets, settings.subsetSize) = (splits, subsets, subsetSize)
            let scores = try FidelityScores(
                features: a.features, logits: a.logits, others: b.features, settings: settings)
            let report = Report(
                scores: scores, resize: resize.rawValue, pictures: a.features.count, others: b.features.count)
            print(try json ? report.json() : report.text())
        } catch let error as MetricError {
            throw UserError("\(error)", remedy: "give more pictures, or another --subset-size")
        } catch {
            throw UserError("\(error)", remedy: "see likeness metrics --help")
        }
    }

    private func pictures(_ folder: String, _ network: InceptionV3) throws -> PictureSet {
        try PictureSet(URL(fileURLWithPath: folder), network: network, resize: resize) { done, all in
            FileHandle.standardError.write(Data("\r\(folder): \(done) of \(all)\(done == all ? "\n" : "")".utf8))
        }
    }

    private struct Report: Encodable {
        var scores: FidelityScores
        var resize: String
        var pictures: Int
        var others: Int

        func json() throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }

        func text() -> String {
            String(
                format: "FID %.4f, IS %.4f ± %.4f, KID %.6f ± %.6f\n%d pictures against %d; resize: %@", scores.fid,
                scores.inceptionScoreMean, scores.inceptionScoreDeviation, scores.kidMean, scores.kidDeviation,
                pictures,
                others, resize == "clean" ? "clean-fid's (Pillow bicubic)" : "TensorFlow 1's bilinear")
        }
    }
}
