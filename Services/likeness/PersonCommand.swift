import ArgumentParser
import Contracts
import Foundation

/// `likeness person`: people and their photos.
struct PersonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "person", abstract: "People and their photos.",
        subcommands: [Add.self, List.self, Show.self, Remove.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds photos to a person, who is made if there is none of that name.",
            discussion: """
                Photos that the person has already are left as they are. For FaceID adapters a photo may have its face \
                embedding beside it, for ann.png in ann.face.npy, .face.json or .face.safetensors (insightface's \
                normed_embedding); it can be added later with the same photo.
                """)

        @Argument(help: "The person's name or id.") var name: String
        @Argument(help: "Photos (PNG or JPEG), or folders of them.") var paths: [String]

        func run() async throws {
            let photos = try PhotoFile.find(paths)
            let client = try GatewayClient()
            let person = try await person(client)
            var (new, known, refused) = (0, 0, 0)
            for photo in photos {
                do {
                    if try await add(photo, to: person, client) { new += 1 } else { known += 1 }
                } catch GatewayError.refused(let status, let view) where (400..<500).contains(status) {
                    // One bad file does not keep the others out.
                    UserError(view.error, remedy: view.remedy).print()
                    refused += 1
                }
            }
            print("\(person.name): \(new) photo(s) added, \(known) there already, \(refused) refused")
            if refused > 0 { throw ExitCode.failure }
        }

        private func person(_ client: GatewayClient) async throws -> PersonView {
            do {
                return try await client.get(["v1", "people", name])
            } catch GatewayError.refused(status: 404, _) {}
            do {
                return try await client.post(["v1", "people"], NewPerson(name: name))
            } catch GatewayError.refused(status: 409, _) {
                return try await client.get(["v1", "people", name])  // made by someone else just now
            }
        }

        private func add(_ photo: PhotoFile, to person: PersonView, _ client: GatewayClient) async throws -> Bool {
            let data: Data
            do { data = try Data(contentsOf: photo.url) } catch {
                throw UserError(
                    "cannot read \(photo.url.path): \(error.localizedDescription)", remedy: "check its rights")
            }
            return try await client.upload(
                data, to: person.id.uuidString, filename: photo.url.lastPathComponent, caption: photo.caption,
                face: photo.faceEmbedding)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists everyone.")

        func run() async throws {
            let people: [PersonView] = try await GatewayClient().get(["v1", "people"])
            let rows = people.map { [$0.name, String($0.photos.count), $0.id.uuidString.lowercased()] }
            print(TextTable(["NAME", "PHOTOS", "ID"], rows, right: [1]).text)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a person's photos.")

        @Argument(help: "The person's name or id.") var name: String

        func run() async throws {
            let person: PersonView = try await GatewayClient().get(["v1", "people", name])
            print("\(person.name) \(person.id.uuidString.lowercased())")
            let rows = person.photos.map {
                [
                    String($0.position), $0.filename, "\($0.width)×\($0.height)", $0.hasFaceEmbedding ? "given" : "",
                    $0.caption ?? "",
                ]
            }
            print(TextTable(["#", "FILE", "PIXELS", "FACE", "CAPTION"], rows, right: [0, 2]).text)
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a person with photos, jobs and results.")

        @Argument(help: "The person's name or id.") var name: String

        func run() async throws {
            try await GatewayClient().delete(["v1", "people", name])
            print("removed \(name)")
        }
    }
}
