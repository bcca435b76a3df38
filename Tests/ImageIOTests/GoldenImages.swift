import Foundation
import TestSupport
import Testing

/// A case of the golden references.
struct GoldenCase {
    let folder: URL
    let description: [String: Any]

    init(_ name: String) throws {
        folder = GoldenFiles.folder.appending(path: name)
        let json = try Data(contentsOf: folder.appending(path: "case.json"))
        description = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
    }

    /// The contents of one of the case's picture files.
    func file(_ name: String) throws -> Data {
        try Data(contentsOf: folder.appending(path: "files").appending(path: name))
    }
}
