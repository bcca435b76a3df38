public import Foundation
public import RenderedPeople

/// The people of a data set: two thirds to train with, of whom one in ten is kept for choices (validation), and one third
/// that nothing is trained or chosen on.
public struct PeopleSplit: Sendable {
    public let training, validation, testing: [FaceDataset.Person]

    /// Those with at least ten photos.
    ///
    /// - Throws: `DatasetError` naming the folder, the file or the line
    public init(_ folder: URL, seed: UInt64) throws {
        let (training, testing) = try FaceDataset.load(folder).split(seed: seed)
        let kept = training.count / 10
        (self.training, validation) = (Array(training.dropLast(kept)), Array(training.suffix(kept)))
        self.testing = testing
    }
}
