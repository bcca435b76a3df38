public import Foundation

/// The golden references (`$LIKENESS_GOLDENS`, by default beside the checkout). Tests that compare with them are left out
/// where there are none, and say so.
public enum GoldenFiles {
    public static let folder: URL = {
        if let named = ProcessInfo.processInfo.environment["LIKENESS_GOLDENS"] { return URL(filePath: named) }
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.appending(path: "../shared/goldens").standardized
    }()

    public static let areThere = FileManager.default.fileExists(atPath: folder.path)

    /// Why a test is left out.
    public static var areMissing: String {
        "no golden references in \(folder.path); name their folder in LIKENESS_GOLDENS"
    }
}
