import Contracts
import Foundation
import HTTPTypes
import Hummingbird
import Store

/// The bytes behind keys: photos, pictures, contact sheets.
struct ObjectRoutes: Sendable {
    let objects: any ObjectStore
    let intake = PhotoIntake()

    var routes: [Route] {
        [
            Route(.get, "/v1/objects/{folder}/{file}") { _, context in try await object(context) },
            Route(.post, "/v1/objects") { request, _ in try await add(request) },
        ]
    }

    /// Accepts a picture that requests then name by key (`init_image`, `mask_image`): messages carry no pixels.
    private func add(_ request: Request) async throws -> Response {
        let filename = try request.annotation(header: .init("X-Filename"), query: "filename") ?? "the picture"
        let data = try await request.bytes(upTo: Limits.photoBytes, of: filename)
        let picture = try await intake.check(data, filename: filename)
        let key = try await objects.put(data, type: picture.type)
        return try .json(
            ObjectView(objectKey: key, width: picture.width, height: picture.height), status: .created)
    }

    /// A key names its content, so that what was fetched once may be kept for ever.
    private func object(_ context: Context) async throws -> Response {
        let text = try context.segment("folder") + "/" + context.segment("file")
        guard let key = ObjectKey(text) else {
            throw APIError(
                400, "'\(text.prefix(120))' is not an object's key",
                remedy: "use a key as results and photos show it: <2 hex>/<64 hex>.<type>")
        }
        guard try await objects.exists(text) else {
            throw APIError(
                404, "there is no object \(text)", remedy: "take keys from a person's photos or a job's results")
        }
        return .data(
            try await objects.get(text), type: key.type.mediaType,
            headers: [.cacheControl: "public, max-age=31536000, immutable", .eTag: "\"\(key.hash)\""])
    }
}
