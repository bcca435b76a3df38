import Checkpoint
import Diffusion
import ModelFolder
import Synchronization

/// The people's own UNets that this denoiser has at hand, the one used last first.
final class FineTunedUNets: Sendable {
    private let folder: PipelineFolder
    private let capacity: Int
    private let loaded = Mutex<[(key: String, unet: UNet2DConditionModel)]>([])

    /// - Parameter capacity: how many are kept; each is as large as the model's own
    init(_ folder: PipelineFolder, capacity: Int) { (self.folder, self.capacity) = (folder, max(capacity, 1)) }

    /// Object keys of those at hand.
    var keys: [String] { loaded.withLock { $0.map(\.key) } }

    /// The UNet of these weights if it is at hand.
    func find(_ key: String) -> UNet2DConditionModel? {
        loaded.withLock { loaded in
            guard let place = loaded.firstIndex(where: { $0.key == key }) else { return nil }
            loaded.insert(loaded.remove(at: place), at: 0)
            return loaded[0].unet
        }
    }

    /// Loads a UNet, letting go of the one unused for longest before: there is never one more in memory than is kept.
    func load(_ key: String, _ file: SafetensorsFile) throws -> UNet2DConditionModel {
        loaded.withLock { $0 = Array($0.prefix(capacity - 1)) }
        let weights = try Dictionary(file.names.map { ($0, try file.tensor($0)) }) { first, _ in first }
        let unet = try folder.unet(fineTunedBy: weights)
        loaded.withLock { $0.insert((key, unet), at: 0) }
        return unet
    }
}
