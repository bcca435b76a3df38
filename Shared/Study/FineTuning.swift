internal import Diffusion
internal import Foundation
internal import ImageIO
internal import ModelFolder
internal import Training

extension Study {
    /// A subject's own UNet, by DreamBooth of either kind; states are kept in the folder of work.
    func fineTuned(_ method: StudyMethod, _ person: Int) throws -> UNet2DConditionModel {
        let chosen = method == .dreamBoothLoRA ? settings.dreamBooth.lowRank : settings.dreamBooth
        let booth = DreamBooth(folder, chosen)
        let weights = try booth.train(
            subjects[person].references, captions: subjects[person].referenceCaptions,
            classPictures: try booth.classPictures(keptIn: work.appendingPathComponent("class-pictures")),
            state: work.appendingPathComponent("fine-tuning"), name: "\(method.rawValue)-\(subjects[person].name)")
        return try folder.unet(fineTunedBy: weights)
    }
}
