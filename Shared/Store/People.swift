public import Contracts
public import Foundation

/// A row of `people`.
public struct PersonRow: Sendable {
    public let id: UUID
    public let name: String
    public let createdAt: Date
}

/// A row of `photos`.
public struct PhotoRow: Sendable {
    public let id: UUID
    public let person: UUID
    public let position: Int
    public let filename: String
    public let contentHash: String
    public let objectKey: String
    public let mediaType: String
    public let width: Int
    public let height: Int
    public let caption: String?
    /// Given by the user, for FaceID adapters.
    public let faceEmbedding: FaceEmbedding?

    /// As the API shows it.
    public var view: PhotoView {
        PhotoView(
            id: id, position: position, filename: filename, objectKey: objectKey, width: width, height: height,
            caption: caption, hasFaceEmbedding: faceEmbedding != nil)
    }
}

/// A photo to add; its bytes are already in the object store.
public struct NewPhoto: Sendable {
    public var filename: String
    public var contentHash: String
    public var objectKey: String
    public var mediaType: String
    public var width: Int
    public var height: Int
    public var caption: String?
    public var faceEmbedding: FaceEmbedding?

    /// All of its facts.
    public init(
        filename: String, contentHash: String, objectKey: String, mediaType: String, width: Int, height: Int,
        caption: String?, faceEmbedding: FaceEmbedding? = nil
    ) {
        (self.filename, self.contentHash, self.objectKey) = (filename, contentHash, objectKey)
        (self.mediaType, self.width, self.height, self.caption) = (mediaType, width, height, caption)
        self.faceEmbedding = faceEmbedding
    }
}

extension Database {
    private static let personColumns = "id, name, extract(epoch FROM created_at) AS created_at"

    /// Registers a person. Throws `alreadyExists` if the name is taken.
    public func createPerson(name: String) async throws -> PersonRow {
        let id = UUID()
        return try await transaction { transaction in
            try await transaction.query(
                "INSERT INTO people (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", id, name)
            let rows = try await transaction.query("SELECT \(Self.personColumns) FROM people WHERE name = $1", name)
            let person = try Self.person(rows.first)
            // After an ambiguous commit the name is taken by this very call.
            guard let person, person.id == id else {
                throw StoreError.alreadyExists("there is a person named '\(name)' already")
            }
            return person
        }
    }

    /// Everyone, by name.
    public func people() async throws -> [PersonRow] {
        try await query("SELECT \(Self.personColumns) FROM people ORDER BY name").compactMap { try Self.person($0) }
    }

    /// The person with this id or name.
    public func person(_ idOrName: String) async throws -> PersonRow? {
        let rows = try await query(
            "SELECT \(Self.personColumns) FROM people WHERE id = $1::uuid OR name = $2 ORDER BY id = $1::uuid DESC",
            UUID(uuidString: idOrName), idOrName)
        return try Self.person(rows.first)
    }

    /// Removes a person with their photos, jobs and results. The objects stay: other rows may name them.
    public func deletePerson(_ id: UUID) async throws -> Bool {
        try await !query("DELETE FROM people WHERE id = $1 RETURNING id", id).isEmpty
    }

    private static func person(_ row: Row?) throws -> PersonRow? {
        try row.map { PersonRow(id: try $0.get("id"), name: try $0.get("name"), createdAt: try $0.get("created_at")) }
    }

    // MARK: Photos

    /// Adds a photo, unless the person has the same bytes already. A new one is embedded ahead of time: an `embed` job
    /// with one task is accepted in the same transaction. A face embedding that comes with known bytes replaces theirs.
    public func addPhoto(_ photo: NewPhoto, to person: UUID) async throws -> (photo: PhotoRow, isNew: Bool) {
        let (id, job, task) = (UUID(), UUID(), UUID())
        return try await transaction { transaction in
            // One photo at a time for each person, so that positions have no gaps and no doubles.
            let owner = try await transaction.query("SELECT id FROM people WHERE id = $1 FOR NO KEY UPDATE", person)
            guard !owner.isEmpty else { throw StoreError.invalid("the person has been removed") }
            let known = try await transaction.query(
                "SELECT * FROM photos WHERE person_id = $1 AND content_hash = $2", person, photo.contentHash)
            if let row = known.first {
                let found = try Self.photo(row)
                guard let face = photo.faceEmbedding, face != found.faceEmbedding else {
                    return (found, found.id == id)
                }
                let changed = try await transaction.query(
                    "UPDATE photos SET face_embedding = $2 WHERE id = $1 RETURNING *", found.id, face.base64)
                return (try changed.first.map(Self.photo) ?? found, found.id == id)
            }
            let rows = try await transaction.query(
                """
                INSERT INTO photos (id, person_id, position, filename, content_hash, object_key, media_type, width,
                                    height, caption, face_embedding)
                SELECT $1, $2, coalesce(max(position) + 1, 0), $3, $4, $5, $6, $7, $8, $9, $10
                FROM photos WHERE person_id = $2
                RETURNING *
                """,
                id, person, photo.filename, photo.contentHash, photo.objectKey, photo.mediaType, photo.width,
                photo.height, photo.caption, photo.faceEmbedding?.base64)
            guard let row = rows.first else { throw StoreError.decoding("no photo came back") }
            try await transaction.accept(
                job: job, kind: "embed", person: person, request: Data("{}".utf8), idempotencyKey: nil, notices: [],
                tasks: [PlannedTask(id: task, payload: .encodePhoto(photo: id))])
            return (try Self.photo(row), true)
        }
    }

    /// A person's photos in the order they were added.
    public func photos(of person: UUID) async throws -> [PhotoRow] {
        try await query("SELECT * FROM photos WHERE person_id = $1 ORDER BY position", person).map(Self.photo)
    }

    /// One photo.
    public func photo(_ id: UUID) async throws -> PhotoRow? {
        try await query("SELECT * FROM photos WHERE id = $1", id).first.map(Self.photo)
    }

    /// Photos by id, in the order of `ids`; those that are gone are left out.
    public func photos(_ ids: [UUID]) async throws -> [PhotoRow] {
        try await query(
            "SELECT * FROM photos WHERE id = ANY($1::uuid[]) ORDER BY array_position($1::uuid[], id)", ids
        ).map(Self.photo)
    }

    /// A photo of each of so many people other than the job's, for the similarity that strangers have.
    public func photosOfOthers(than job: UUID, limit: Int = 20) async throws -> [PhotoRow] {
        try await query(
            """
            SELECT p.* FROM people o CROSS JOIN LATERAL (
                SELECT * FROM photos WHERE person_id = o.id ORDER BY position LIMIT 1) p
            WHERE o.id <> (SELECT person_id FROM jobs WHERE id = $1) ORDER BY o.created_at, o.id LIMIT $2
            """, job, limit
        ).map(Self.photo)
    }

    private static func photo(_ row: Row) throws -> PhotoRow {
        PhotoRow(
            id: try row.get("id"), person: try row.get("person_id"), position: try row.get("position"),
            filename: try row.get("filename"), contentHash: try row.get("content_hash"),
            objectKey: try row.get("object_key"), mediaType: try row.get("media_type"), width: try row.get("width"),
            height: try row.get("height"), caption: try row.getOptional("caption"),
            faceEmbedding: try row.getOptional("face_embedding"))
    }
}
