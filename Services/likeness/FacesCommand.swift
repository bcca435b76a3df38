import ArgumentParser
import Foundation
import ImageIO
import ModelFolder

/// `likeness faces PICTURE… --mtcnn DIR`: the faces in pictures.
struct FacesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "faces", abstract: "Finds the faces in pictures, the largest first.",
        discussion: """
            A line a picture: its path and each face's box and probability. Identity similarity uses the largest face; a \
            picture without one counts as 0 there. The networks are pnet.pt, rnet.pt and onet.pt of the facenet-pytorch \
            package (facenet_pytorch/data).
            """)

    @Argument(help: "PNG or JPEG files, or folders of them.", completion: .file())
    var pictures: [String]

    @Option(help: "The folder with pnet.pt, rnet.pt and onet.pt.", completion: .directory)
    var mtcnn: String

    @Flag(help: "Print JSON, a line a picture.")
    var json = false

    func run() throws {
        do {
            let finder = try FaceFinder(URL(fileURLWithPath: mtcnn))
            for file in try PhotoFile.find(pictures) {
                let faces = finder(try ImageFile.decode(contentsOf: file.url).overWhite)
                print(try json ? line(file.url, faces) : text(file.url, faces))
            }
        } catch let error as UserError {
            throw error
        } catch {
            throw UserError("\(error)", remedy: "see likeness faces --help")
        }
    }

    private func text(_ url: URL, _ faces: [FaceFinder.Face]) -> String {
        guard !faces.isEmpty else { return "\(url.path): no face" }
        let boxes = faces.map { face in
            String(
                format: "(%.0f, %.0f) to (%.0f, %.0f), %.1f %%", face.box[0], face.box[1], face.box[2], face.box[3],
                100 * face.probability)
        }
        return "\(url.path): " + boxes.joined(separator: "; ")
    }

    private func line(_ url: URL, _ faces: [FaceFinder.Face]) throws -> String {
        struct Line: Encodable {
            var file: String
            var faces: [FaceFinder.Face]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Line(file: url.path, faces: faces)), as: UTF8.self)
    }
}
