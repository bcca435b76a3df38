import Checkpoint
import Diffusion
import ModelFolder
import Synchronization

/// The changed UNets that this denoiser has at hand, the one used last first: people's own, with LoRAs, or both. The
/// model's own UNet is never touched, so that no picture can change another's result.
final class FineTunedUNets: Sendable {
    /// What a UNet was made of.
    struct Key: Sendable, Equatable {
        /// Object key of a person's own weights.
        var weights: String?
        /// The LoRAs' identity (`AddOns.Chosen`), "" for none.
        var loras: String
    }
    private let folder: PipelineFolder
    private let capacity: Int
    private let loaded = Mutex<[(key: Key, unet: UNet2DConditionModel)]>([])

    /// - Parameter capacity: how many are kept; each is as large as the model's own
    init(_ folder: PipelineFolder, capacity: Int) { (self.folder, self.capacity) = (folder, max(capacity, 1)) }

    /// Object keys of the people's own weights at hand.
    var keys: [String] { loaded.withLock { $0.compactMap(\.key.weights) } }

    /// The UNet of this kind if it is at hand.
    func find(_ key: Key) -> UNet2DConditionModel? {
        loaded.withLock { loaded in
            guard let place = loaded.firstIndex(where: { $0.key == key }) else { return nil }
            loaded.insert(loaded.remove(at: place), at: 0)
            return loaded[0].unet
        }
    }

    /// Loads a UNet, letting go of the one unused for longest before: there is never one more in memory than is kept.
    ///
    /// - Parameter file: a person's own weights
    func load(_ key: Key, _ file: SafetensorsFile?, _ loras: AddOns.Chosen) throws -> UNet2DConditionModel {
        loaded.withLock { $0 = Array($0.prefix(capacity - 1)) }
        let weights = try file.map { file in
            try Dictionary(file.names.map { ($0, try file.tensor($0)) }) { first, _ in first }
        }
        // Pictures by a person's own weights are drawn from text alone, all others with the IP-Adapter.
        let unet = try folder.unet(fineTunedBy: weights ?? [:], loras: loras, adapted: weights == nil)
        loaded.withLock { $0.insert((key, unet), at: 0) }
        return unet
    }
}
