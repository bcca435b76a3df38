import Contracts
import Foundation
import HTTPTypes
import Hummingbird
import Store

/// People and their photos.
struct PeopleRoutes: Sendable {
    let database: Database
    let objects: any ObjectStore
    let intake = PhotoIntake()

    var routes: [Route] {
        [
            Route(.get, "/v1/people") { _, _ in try await .json(list()) },
            Route(.post, "/v1/people") { request, _ in try await add(request) },
            Route(.get, "/v1/people/{person}") { _, context in try await .json(view(person(context))) },
            Route(.delete, "/v1/people/{person}") { _, context in try await remove(context) },
            Route(.get, "/v1/people/{person}/photos") { _, context in try await .json(view(person(context)).photos) },
            Route(.post, "/v1/people/{person}/photos") { try await addPhoto($0, $1) },
        ]
    }

    private func list() async throws -> [PersonView] {
        var views: [PersonView] = []
        for person in try await database.people() { views.append(try await view(person)) }
        return views
    }

    private func add(_ request: Request) async throws -> Response {
        let name = try PersonName(await request.decode(NewPerson.self, of: "the person").name)
        do {
            return try await .json(view(database.createPerson(name: name.text)), status: .created)
        } catch StoreError.alreadyExists(let problem) {
            throw APIError(409, problem, remedy: "choose another name, or add photos to the person that is there")
        }
    }

    private func remove(_ context: Context) async throws -> Response {
        let person = try await person(context)
        guard try await database.deletePerson(person.id) else { throw APIError.noPerson(person.name) }
        return Response(status: .noContent)
    }

    /// Accepts a photo after it was decoded as a whole. The same bytes again change nothing (200 instead of 201).
    private func addPhoto(_ request: Request, _ context: Context) async throws -> Response {
        let person = try await person(context)
        let filename = try request.annotation(header: .init("X-Filename"), query: "filename") ?? "photo"
        let caption = try request.annotation(header: .init("X-Caption"), query: "caption")
        let face = try request.faceEmbedding(of: filename)
        let data = try await request.bytes(upTo: Limits.photoBytes, of: filename)
        let picture = try await intake.check(data, filename: filename)
        let key = try await objects.put(data, type: picture.type)
        let (photo, isNew) = try await database.addPhoto(
            NewPhoto(
                filename: filename, contentHash: contentHash(data), objectKey: key, mediaType: picture.type.mediaType,
                width: picture.width, height: picture.height, caption: caption, faceEmbedding: face),
            to: person.id)
        return try .json(photo.view, status: isNew ? .created : .ok)
    }

    private func person(_ context: Context) async throws -> PersonRow {
        let name = try context.segment("person")
        guard let person = try await database.person(name) else { throw APIError.noPerson(name) }
        return person
    }

    private func view(_ person: PersonRow) async throws -> PersonView {
        PersonView(
            id: person.id, name: person.name, photos: try await database.photos(of: person.id).map(\.view),
            createdAt: person.createdAt)
    }
}

extension Request {
    /// The face embedding that comes with a photo.
    fileprivate func faceEmbedding(of filename: String) throws -> FaceEmbedding? {
        guard let name = HTTPField.Name("X-Face-Embedding"), let text = headers[name] else { return nil }
        do { return try FaceEmbedding(base64: text) } catch {
            throw APIError.invalid("X-Face-Embedding of \(filename) \(error.problem)", remedy: error.remedy)
        }
    }
}

extension APIError {
    static func noPerson(_ name: String) -> APIError {
        APIError(
            404, "there is no person '\(name.prefix(100))'",
            remedy: "list them with likeness person list, or add one with likeness person add NAME FOLDER")
    }
}
