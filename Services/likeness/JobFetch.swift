import Contracts
import Foundation

/// Brings a job's pictures, contact sheet and scores into a folder. What is there already is left as it is.
///
///     job.json, scores.md, scores.json, contact-sheet.png
///     pictures/ip-adapter-max_p1_a-photo-of-a-person_seed-7.png …
struct JobFetch {
    let client: GatewayClient
    let folder: URL

    func fetch(_ job: JobView) async throws {
        let results: JobResults = try await client.get(["v1", "jobs", job.id.uuidString, "results"])
        try claim(for: job)
        var written = 0
        let prompts = job.request.prompts
        for picture in results.pictures {
            let file = folder.appending(path: "pictures/\(Self.name(of: picture, prompts: prompts))")
            written += try await save(picture.objectKey, to: file)
        }
        if let key = results.contactSheet {
            written += try await save(key, to: folder.appending(path: "contact-sheet.png"))
        }
        let encoder = JSONEncoder.likeness
        encoder.outputFormatting.insert(.prettyPrinted)
        try write(Data(ScoreTable(results).markdown.utf8), to: folder.appending(path: "scores.md"))
        try write(encoder.encode(results.metrics), to: folder.appending(path: "scores.json"))
        try write(encoder.encode(results.pictures), to: folder.appending(path: "pictures.json"))
        print("\(results.pictures.count) pictures in \(folder.path)/pictures, \(written) files new")
        if results.contactSheet != nil { print("contact sheet \(folder.path)/contact-sheet.png") }
        print("scores \(folder.path)/scores.md")
    }

    /// `<method>_p<prompt>_<prompt's words>_seed-<seed>.png`
    static func name(of picture: PictureView, prompts: [String]) -> String {
        let words = picture.prompt.lowercased().split { !($0.isLetter || $0.isNumber) }.joined(separator: "-")
        let number = (prompts.firstIndex(of: picture.prompt) ?? 0) + 1
        return "\(picture.method.rawValue)_p\(number)_\(words.prefix(40))_seed-\(picture.seed).png"
    }

    /// Two jobs in one folder would mix under the same names.
    private func claim(for job: JobView) throws {
        let note = folder.appending(path: "job.json")
        if let data = FileManager.default.contents(atPath: note.path) {
            let other: JobView
            do { other = try JSONDecoder.likeness.decode(JobView.self, from: data) } catch {
                throw UserError("\(note.path) is not a job's description", remedy: "choose another folder")
            }
            guard other.id == job.id else {
                throw UserError(
                    "\(folder.path) holds the results of job \(other.id.uuidString.lowercased())",
                    remedy: "choose another folder")
            }
        }
        let encoder = JSONEncoder.likeness
        encoder.outputFormatting.insert(.prettyPrinted)
        try write(encoder.encode(job), to: note)
    }

    private func save(_ key: String, to file: URL) async throws -> Int {
        if FileManager.default.fileExists(atPath: file.path) { return 0 }
        try write(await client.object(key), to: file)
        return 1
    }

    /// Whole or not at all; equal contents are not written again.
    private func write(_ data: Data, to file: URL) throws {
        if FileManager.default.contents(atPath: file.path) == data { return }
        do {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: file, options: .atomic)
        } catch {
            throw UserError(
                "cannot write \(file.path): \(error.localizedDescription)", remedy: "check its rights and free space")
        }
    }
}
