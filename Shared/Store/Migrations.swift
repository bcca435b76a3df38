internal import Crypto
import Foundation
internal import Logging

extension Database {
    /// A numbered change of the schema.
    private struct Migration {
        let version: Int
        let name: String
        let sql: [UInt8]

        var checksum: String { SHA256.hash(data: Data(sql)).map { String(format: "%02x", $0) }.joined() }
    }

    /// In order; a migration that has run is never edited, only followed by another. The SQL is compiled into the
    /// program, so that an executable needs nothing beside it.
    private static let migrations = [
        Migration(version: 1, name: "initial", sql: PackageResources.v0001_initial_sql),
        Migration(version: 2, name: "fine-tuning", sql: PackageResources.v0002_fine_tuning_sql),
        Migration(version: 3, name: "training runs", sql: PackageResources.v0003_training_runs_sql),
        Migration(version: 4, name: "face embeddings", sql: PackageResources.v0004_face_embeddings_sql),
        Migration(version: 5, name: "finished tasks", sql: PackageResources.v0005_finished_tasks_sql),
    ]

    /// Held while migrating; any number will do, as long as all processes use the same.
    private static let lock = 7_235_946_103_001

    /// Brings the schema up to date: each migration once, in one transaction under an advisory lock, whichever of many
    /// processes comes first. Refuses a database whose migrations are not this program's.
    public func migrate() async throws {
        try await transaction { transaction in
            try await transaction.query("SELECT pg_advisory_xact_lock($1)", Self.lock)
            try await transaction.query(
                """
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now())
                """)
            let rows = try await transaction.query("SELECT version, checksum FROM schema_migrations")
            let applied = try Dictionary(
                rows.map { (try $0.get("version", as: Int.self), try $0.get("checksum", as: String.self)) },
                uniquingKeysWith: { first, _ in first })
            if let newest = applied.keys.max(), newest > Self.migrations.count {
                throw StoreError.migration(
                    "the database has migration \(newest), this program knows \(Self.migrations.count): "
                        + "start a newer version of Likeness")
            }
            for migration in Self.migrations {
                if let checksum = applied[migration.version] {
                    guard checksum == migration.checksum else {
                        throw StoreError.migration(
                            "migration \(migration.version) (\(migration.name)) was edited after it ran on this "
                                + "database: restore it and add a new migration, or start with an empty database")
                    }
                    continue
                }
                try await transaction.connection.command(String(decoding: migration.sql, as: UTF8.self))
                try await transaction.query(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version, migration.name, migration.checksum)
                logger.info("applied migration \(migration.version) \(migration.name)")
            }
        }
    }
}
