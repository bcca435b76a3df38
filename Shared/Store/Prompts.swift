public import Foundation

/// A row of `prompts`.
public struct PromptRow: Sendable {
    public let id: UUID
    public let contentHash: String
    public let text: String
}

/// What an embedding is of.
public enum EmbeddingKind: String, Sendable {
    case image, text
}

extension Database {
    /// The prompt of this id.
    public func prompt(_ id: UUID) async throws -> PromptRow? {
        try await query("SELECT id, content_hash, text FROM prompts WHERE id = $1", id).first.map(Self.prompt)
    }

    /// The row of this text, made if there is none.
    public func upsertPrompt(_ text: String) async throws -> PromptRow {
        let hash = contentHash(Data(text.utf8))
        return try await transaction { transaction in
            try await transaction.query(
                "INSERT INTO prompts (id, content_hash, text) VALUES ($1, $2, $3) ON CONFLICT (content_hash) DO NOTHING",
                UUID(), hash, text)
            let rows = try await transaction.query(
                "SELECT id, content_hash, text FROM prompts WHERE content_hash = $1", hash)
            guard let row = rows.first else { throw StoreError.decoding("no prompt came back") }
            return try Self.prompt(row)
        }
    }

    private static func prompt(_ row: Row) throws -> PromptRow {
        PromptRow(id: try row.get("id"), contentHash: try row.get("content_hash"), text: try row.get("text"))
    }

    /// Where the embedding of this content by this model is, if it was made before.
    public func embedding(_ kind: EmbeddingKind, contentHash: String, model: String) async throws -> String? {
        try await query(
            "SELECT object_key FROM embeddings WHERE kind = $1 AND content_hash = $2 AND model = $3", kind.rawValue,
            contentHash, model
        ).first?.get("object_key")
    }

    /// Notes weights by their hash; known ones are left as they are.
    public func registerModel(hash: String, kind: String, name: String) async throws {
        try await query(
            "INSERT INTO models (hash, kind, name) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING", hash, kind, name)
    }
}

extension Transaction {
    /// Adds an embedding to the cache.
    public func saveEmbedding(
        _ kind: EmbeddingKind, contentHash: String, model: String, objectKey: String
    ) async throws {
        try await query(
            """
            INSERT INTO embeddings (kind, content_hash, model, object_key) VALUES ($1, $2, $3, $4)
            ON CONFLICT (kind, content_hash, model) DO NOTHING
            """,
            kind.rawValue, contentHash, model, objectKey)
    }
}
