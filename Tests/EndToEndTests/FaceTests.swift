import Checkpoint
import Foundation
import ImageIO
import TensorEngine
import TestSupport
import Testing

/// A FaceID adapter, face scores and the safety checker, through the command line tool and every stage.
extension EndToEndTests {
    @Test func facesGoInAndAreScoredAndUnfitPicturesAreBlack() async throws {
        try await Stack.run(portBase: 24000, prepare: FaceModel.write) { stack in
            // Ann's photos come without embeddings: the folder's ArcFace makes them.
            let options = ["--method", "ip-adapter,ip-adapter-avg", "--pictures", "2"]
            let said = try await stack.likeness(FaceModel.request(of: "Ann Lee") + options)
            let job = try #require(said.firstMatch(of: FaceModel.id)).output.0
            let drawn = try await stack.results(String(job)).files
            #expect(drawn.count == 4 && Set(drawn.values).count == 4)
            let scores = try await stack.likeness("evaluate", String(job))
            #expect(scores.contains("by ArcFace, to 3 unseen photos"), "\(scores)")
            #expect(scores.contains("show several faces, of which the largest counts"), "\(scores)")

            // The same picture as without servers: stages and command line read adapter and photo alike.
            let photos = try stack.photos()
            let names = try FileManager.default.contentsOfDirectory(atPath: photos.path)
                .filter { $0.hasSuffix(".png") || $0.hasSuffix(".jpg") }.sorted()
            let first = photos.appending(path: names[0])
            func here(_ photo: URL) async throws -> RGBImage {
                let out = stack.folder.appending(path: "here.png")
                let draw = ["--prompt", "a photo of a person", "--photo", photo.path, "--out", out.path]
                try await stack.likeness(["model", "draw"] + draw + ["--scheduler", "ddim"] + FaceModel.sampling)
                return try ImageFile.decode(contentsOf: out).rgb
            }
            let ann = try await FaceModel.one(of: "Ann Lee", stack)
            #expect(try FaceModel.distance(await here(first), ann) <= 1)

            // Embeddings that come with the photos, in every form, take its place.
            let own = stack.folder.appending(path: "own")
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
            for (name, form) in zip(names, ["npy", "json", "safetensors"]) {
                let photo = own.appending(path: name)
                try FileManager.default.copyItem(at: photos.appending(path: name), to: photo)
                try FaceModel.writeEmbedding(beside: photo, form: form)
            }
            try await stack.likeness("person", "add", "Bob", own.path)
            #expect(try await stack.likeness("person", "show", "Bob").matches(of: /given/).count == 3)
            let bob = try await FaceModel.one(of: "Bob", stack)
            #expect(FaceModel.distance(bob, ann) > 10)
            #expect(try FaceModel.distance(await here(own.appending(path: names[0])), bob) <= 1)

            // Without embedding and network the job says what to do, and can then be done.
            try FileManager.default.removeItem(at: stack.models.appending(path: "evaluation/arcface"))
            stack.kill("encoder")
            try stack.start("encoder")
            try await stack.likeness("person", "add", "Cleo", first.path)
            let lost = try await stack.likeness(FaceModel.request(of: "Cleo") + ["--method", "ip-adapter"])
            let words = try await stack.refusal(
                "jobs", "watch", String(#require(lost.firstMatch(of: FaceModel.id)).output.0))
            #expect(words.contains(names[0]) && words.contains("no face embedding"), "\(words)")
            #expect(words.contains("photo.face.npy") && words.contains("evaluation/arcface"), "\(words)")
            try await stack.likeness("person", "add", "Cleo", own.appending(path: names[0]).path)
            #expect(try await FaceModel.one(of: "Cleo", stack) == bob)

            // So far the safety checker has passed every picture. Now it passes none.
            try FaceModel.writeSafetyChecker(stack.models, threshold: -2)
            stack.kill("denoiser")
            try stack.start("denoiser")
            let unfit = try await stack.likeness(
                FaceModel.request(of: "Bob") + ["--method", "ip-adapter", "--no-evaluation"])
            let flagged = String(try #require(unfit.firstMatch(of: FaceModel.id)).output.0)
            let black = try #require(try await stack.results(flagged).files.values.first)
            #expect(try ImageFile.decode(black).rgb.pixels.allSatisfy { $0 == 0 })
            #expect(String(decoding: black, as: UTF8.self).contains("Safety checker: blacked"))
            #expect(try await stack.likeness("jobs", "show", flagged).contains("unfit to be shown"))
        }
    }
}

/// What makes a miniature a model with a FaceID adapter.
private enum FaceModel {
    static var id: Regex<(Substring, Substring)> { /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase() }
    static let sampling = ["--seed", "4", "--steps", "4", "--guidance", "5"]
    private static let width = 16

    static func request(of person: String) -> [String] {
        ["generate", "--person", person, "--prompt", "a photo of a person"] + sampling
    }

    /// The one picture of a person, by the first photo.
    static func one(of person: String, _ stack: Stack) async throws -> RGBImage {
        let said = try await stack.likeness(request(of: person) + ["--method", "ip-adapter", "--no-evaluation"])
        let job = String(try #require(said.firstMatch(of: id)).output.0)
        return try ImageFile.decode(try #require(try await stack.results(job).files.values.first)).rgb
    }

    /// The largest difference of a level. Between stages tensors lie in files and not where they were made, and sums over
    /// memory of another alignment may be rounded otherwise: that makes a difference of one.
    static func distance(_ a: RGBImage, _ b: RGBImage) -> Int {
        guard (a.width, a.height) == (b.width, b.height) else { return 256 }
        return zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }

    /// The adapter, ArcFace for it with an MTCNN that sees faces everywhere, and a safety checker that minds nothing.
    @Sendable static func write(_ models: URL) throws -> [String: String] {
        let adapter = models.appending(path: "ip_adapter/ip-adapter-faceid_sd15.safetensors")
        try SafetensorsWriter.write(
            adapterTensors(models.appending(path: "unet/diffusion_pytorch_model.safetensors")), to: adapter)
        try FileManager.default.removeItem(at: models.appending(path: "ip_adapter/self_attention.safetensors"))
        try FaceNetworks.writeArcFace(models, width: width)
        try FaceNetworks.writeMTCNN(models, seesFaces: true)
        try writeSafetyChecker(models, threshold: 2)
        return ["LIKENESS_IP_ADAPTER": adapter.path, "LIKENESS_SAFETY_CHECKER": "on"]
    }

    /// Random tensors for every attention of a UNet, as diffusers keeps such an adapter.
    private static func adapterTensors(_ unet: URL) throws -> [String: Tensor] {
        let unet = try SafetensorsFile(unet)
        func shape(_ name: String) throws -> [Int] { try #require(unet.shape(of: name)) }
        let names = unet.names.filter { $0.hasSuffix(".to_q.weight") }.map { String($0.dropLast(".to_q.weight".count)) }
        let cross = try shape(#require(names.first { $0.hasSuffix("attn2") }) + ".to_k.weight")[1]
        let (projection, tokens) = ("encoder_hid_proj.image_projection_layers.0", 4)
        var shapes: [String: [Int]] = [
            "\(projection).ff.net.0.proj.weight": [2 * width, width], "\(projection).ff.net.0.proj.bias": [2 * width],
            "\(projection).ff.net.2.weight": [tokens * cross, 2 * width],
            "\(projection).ff.net.2.bias": [tokens * cross],
            "\(projection).norm.weight": [cross], "\(projection).norm.bias": [cross],
        ]
        for name in names {
            for part in ["to_q", "to_k", "to_v", "to_out.0"] {
                let changed = try shape("\(name).\(part).weight")
                shapes["\(name).\(part).lora_A.faceid_0.weight"] = [2, changed[1]]
                shapes["\(name).\(part).lora_B.faceid_0.weight"] = [changed[0], 2]
            }
            for part in ["to_k_ip", "to_v_ip"] where name.hasSuffix("attn2") {
                shapes["\(name).processor.\(part).0.weight"] = [try shape("\(name).to_k.weight")[0], cross]
            }
        }
        return Dictionary(
            uniqueKeysWithValues: shapes.sorted { $0.key < $1.key }.enumerated().map { i, entry in
                let numbers = Philox(seed: UInt64(i)).normal(entry.value.reduce(1, *))
                return (entry.key, Tensor(numbers, shape: entry.value).scaled(by: 0.2))
            })
    }

    /// An embedding of its own for each form of file that it may come in.
    static func writeEmbedding(beside photo: URL, form: String) throws {
        let seed = UInt64(form.utf8.reduce(0) { $0 + Int($1) })
        let random = Philox(seed: seed).normal(width)
        let length = random.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let numbers = random.map { $0 / length }
        let file = photo.deletingPathExtension().appendingPathExtension("face.\(form)")
        switch form {
        case "json": try JSONEncoder().encode(numbers).write(to: file)
        case "npy":
            // numpy.save: version 1.0, a header that makes the whole a multiple of 64 bytes, then the floats.
            let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(width),), }"
            let header = text + String(repeating: " ", count: 117 - text.utf8.count) + "\n"
            var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0]) + Data(header.utf8)
            for number in numbers {
                withUnsafeBytes(of: number.bitPattern.littleEndian) { data.append(contentsOf: $0) }
            }
            try data.write(to: file)
        default: try SafetensorsWriter.write(["embedding": Tensor(numbers, shape: [1, width])], to: file)
        }
    }

    /// The checker that ModelFolderTests compare with diffusers', with one threshold for all concepts.
    static func writeSafetyChecker(_ models: URL, threshold: Float) throws {
        let fixtures = TestServers.repository.appending(path: "Tests/ModelFolderTests/Fixtures/requests")
        let home = models.appending(path: "safety_checker")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        try Data(contentsOf: fixtures.appending(path: "safety.json")).write(to: home.appending(path: "config.json"))
        let file = try SafetensorsFile(fixtures.appending(path: "safety.safetensors"))
        var tensors = try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
        for name in ["concept_embeds_weights", "special_care_embeds_weights"] {
            let count = try #require(file.shape(of: name))[0]
            tensors[name] = Tensor(repeating: threshold, shape: [count])
        }
        try SafetensorsWriter.write(tensors, to: home.appending(path: "model.safetensors"))
    }
}
