import Foundation
import MalformedFiles
import Testing

/// The same files as Tests/MalformedRun/run reads with AddressSanitizer, but for the largest.
@Suite struct MalformedTests {
    @Test func everyMalformedFileIsRefusedWithAClearMessage() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("malformed-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let trial = try Trial(folder: folder)
        let mutants = try trial.mutants(fixtures: URL(fileURLWithPath: "Tests/CheckpointTests/Fixtures"), bombs: false)
        #expect(mutants.filter(\.mustFail).count > 1000)
        for mutant in mutants {
            let (_, read, undo) = try trial.prepare(mutant)
            let complaint = Trial.complaint(mutant, read())
            try undo()
            #expect(complaint == nil, "\(mutant.what): \(complaint ?? "")")
        }
        #expect(!FileManager.default.fileExists(atPath: "/tmp/likeness-was-here"))
    }
}
