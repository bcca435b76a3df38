public import Foundation
public import TensorEngine

/// A file of `torch.save` (`.bin`, `.pt`, `.pth`, `.ckpt`), memory-mapped: tensors only, whatever else is in it is refused
/// by name (``Unpickler``). Reads the ZIP form of torch 1.6 and later and the older form.
///
/// Nested dictionaries become names with dots between them, as IP-Adapter's `.bin` has them; a checkpoint's
/// `state_dict` stands for itself.
public struct TorchFile: TensorSource {
    /// The file's path, or what its bytes were said to be.
    public let description: String
    private let tensors: [String: StoredTensor]

    /// More names than any model has; a small file can refer to one dictionary very often.
    private static let nameLimit = 1_000_000
    private static let depthLimit = 16
    private static let nameLength = 4096

    static func isRecognised(_ bytes: UnsafeRawBufferPointer) -> Bool {
        ZipArchive.isRecognised(bytes) || bytes.starts(with: [0x80, 2]) || bytes.starts(with: [0x80, 4])
    }

    /// Maps the file and reads what it holds.
    public init(_ url: URL) throws { try self.init(CheckpointBytes(url), description: url.path) }

    /// Reads a file's bytes, called `name` in messages.
    public init(_ data: Data, name: String) throws { try self.init(CheckpointBytes(data), description: name) }

    init(_ file: CheckpointBytes, description: String) throws {
        self.description = description
        let isZip = ZipArchive.isRecognised(file.bytes)
        let heap = PickleHeap(fileSize: file.bytes.count)
        defer { heap.clear() }
        let (value, storages) =
            try isZip ? Self.archived(file, description, heap) : Self.legacy(file, description, heap)
        let reader = LittleEndianReader(bytes: file.bytes, name: description)
        var collector = Collector(reader: reader, file: file, storages: storages, heap: heap)
        try collector.collect(value, "", depth: 0)
        guard !collector.tensors.isEmpty else { throw reader.damaged("it holds no tensors") }
        tensors = collector.tensors
    }

    /// Names of all tensors.
    public var names: [String] { Array(tensors.keys) }

    /// The shape of `name`, or nil if there is none.
    public func shape(of name: String) -> [Int]? { tensors[name]?.shape }

    /// The floats of `name`.
    public func tensor(_ name: String) throws -> Tensor {
        guard let tensor = tensors[name] else { throw CheckpointError("\(description): has no tensor \(name)") }
        return try tensor.tensor()
    }

    // MARK: Forms

    /// `<archive>/data.pkl` and a file for each storage, `<archive>/data/<key>`.
    private static func archived(
        _ file: CheckpointBytes, _ name: String, _ heap: PickleHeap
    ) throws -> (PickleValue, [String: Range<Int>]) {
        let archive = try ZipArchive(file, name: name)
        let reader = LittleEndianReader(bytes: file.bytes, name: name)
        guard let (path, pickle) = archive.entries.first(where: { $0.key.hasSuffix("/data.pkl") }) else {
            throw CheckpointError(
                "\(name): is a ZIP file without data.pkl, so nothing that torch.save wrote (a TorchScript or other archive?)"
            )
        }
        let root = path.dropLast("data.pkl".count)
        if let order = archive.entries[root + "byteorder"],
            String(decoding: file.bytes[order], as: UTF8.self) != "little"
        {
            throw CheckpointError("\(name): was written on a big-endian machine; save it again on another")
        }
        let data = LittleEndianReader(bytes: UnsafeRawBufferPointer(rebasing: reader.bytes[pickle]), name: name)
        var unpickler = Unpickler(data, heap)
        let value = try unpickler.load()
        let prefix = root + "data/"
        let storages = archive.entries.filter { $0.key.hasPrefix(prefix) }
            .map { (String($0.key.dropFirst(prefix.count)), $0.value) }
        return (value, Dictionary(storages) { first, _ in first })
    }

    /// Five pickles (magic number, version, platform, the value, the storages' keys), then each storage's count and bytes.
    private static func legacy(
        _ file: CheckpointBytes, _ name: String, _ heap: PickleHeap
    ) throws -> (PickleValue, [String: Range<Int>]) {
        let reader = LittleEndianReader(bytes: file.bytes, name: name)
        var place = 0
        func next() throws -> PickleValue {
            var unpickler = Unpickler(reader, heap, at: place)
            let value = try unpickler.load()
            place = unpickler.end
            return value
        }
        guard case .integer(let magic) = try next(), magic == legacyMagic else {
            throw CheckpointError(
                "\(name): is a pickle, but not one of torch.save; save the tensors with torch.save or as safetensors")
        }
        _ = try next()
        _ = try next()
        let value = try next()
        guard case .list(let keys) = try next() else { throw reader.damaged("the list of storages is missing") }
        var sizer = StorageSizes(reader: reader)
        try sizer.visit(value, depth: 0)
        let sizes = sizer.sizes
        var storages: [String: Range<Int>] = [:]
        for key in keys.contents {
            guard case .text(let key) = key, let size = sizes[key] else {
                throw reader.damaged("a storage that no tensor uses")
            }
            let count = try reader.number(place, 8)
            let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow else { throw reader.damaged("an impossibly large storage") }
            _ = try reader.bytes(place + 8, bytes)
            storages[key] = place + 8..<place + 8 + bytes
            place += 8 + bytes
        }
        return (value, storages)
    }

    /// The lowest eight bytes of torch's 0x1950a86a20f9469cfc6c.
    private static let legacyMagic = Int(truncatingIfNeeded: 0xA86A_20F9_469C_FC6C as UInt64)

    /// Walks a value for its tensors.
    private struct Collector {
        let reader: LittleEndianReader
        let file: CheckpointBytes
        let storages: [String: Range<Int>]
        let heap: PickleHeap
        var tensors: [String: StoredTensor] = [:]
        private var visits = 0

        init(reader: LittleEndianReader, file: CheckpointBytes, storages: [String: Range<Int>], heap: PickleHeap) {
            (self.reader, self.file, self.storages, self.heap) = (reader, file, storages, heap)
        }

        mutating func collect(_ value: PickleValue, _ name: String, depth: Int) throws {
            visits += 1
            guard depth <= TorchFile.depthLimit, visits <= TorchFile.nameLimit else {
                throw reader.damaged("its dictionaries go round in circles")
            }
            switch value {
            case .tensor(let view):
                guard name.utf8.count <= TorchFile.nameLength else { throw reader.damaged("a name without end") }
                try heap.spend(512 + name.utf8.count, reader)
                tensors[name] = try stored(view, name)
            case .dictionary(let dictionary):
                if depth == 0, let inner = dictionary.contents.last(where: { Self.text($0.key) == "state_dict" }),
                    case .dictionary = inner.value
                {
                    return try collect(inner.value, "", depth: 1)
                }
                for (key, value) in dictionary.contents {
                    guard let key = Self.text(key) else { continue }
                    guard key.utf8.count <= TorchFile.nameLength else { continue }
                    try collect(value, name.isEmpty ? key : "\(name).\(key)", depth: depth + 1)
                }
            default: break  // settings beside the tensors
            }
        }

        private static func text(_ key: PickleValue) -> String? {
            switch key {
            case .text(let text): text
            case .integer(let number): String(number)
            default: nil
            }
        }

        private func stored(_ view: PickleValue.View, _ name: String) throws -> StoredTensor {
            guard let bytes = storages[view.storage.key] else { throw reader.damaged("\(name) has no numbers") }
            let size = view.storage.dtype.size
            guard view.shape.count == view.strides.count, view.offset >= 0, bytes.count / size >= view.storage.count
            else { throw reader.damaged("\(name) does not fit its storage") }
            // The last number that the shape reaches, and how many there are, without running over.
            var (last, count, overflows) = (view.offset, 1, false)
            for (extent, stride) in zip(view.shape, view.strides) {
                let (reach, tooFar) = max(extent - 1, 0).multipliedReportingOverflow(by: stride)
                let (sum, tooLarge) = last.addingReportingOverflow(reach)
                let (product, tooMany) = count.multipliedReportingOverflow(by: extent)
                overflows = overflows || tooFar || tooLarge || tooMany
                (last, count) = (sum, product)
            }
            // A stride of 0 repeats numbers: a few bytes would stand for any number of floats.
            guard !overflows, count == 0 || last < view.storage.count, count <= view.storage.count else {
                throw reader.damaged("\(name) of shape \(view.shape) does not fit its storage")
            }
            if count == 0 {
                return StoredTensor(
                    file: file, dtype: view.storage.dtype, shape: view.shape,
                    range: bytes.lowerBound..<bytes.lowerBound,
                    strides: nil)
            }
            var dense = 1
            var isDense = true
            for (extent, stride) in zip(view.shape, view.strides).reversed() where extent != 1 {
                isDense = isDense && stride == dense
                dense *= extent
            }
            let begin = bytes.lowerBound + view.offset * size
            let end = isDense ? begin + count * size : bytes.lowerBound + (last + 1) * size
            guard begin <= bytes.upperBound else { throw reader.damaged("\(name) does not fit its storage") }
            return StoredTensor(
                file: file, dtype: view.storage.dtype, shape: view.shape, range: begin..<end,
                strides: isDense ? nil : view.strides)
        }
    }

    /// Bytes of a number in each storage, by key.
    private struct StorageSizes {
        let reader: LittleEndianReader
        var sizes: [String: Int] = [:]
        private var visits = 0

        init(reader: LittleEndianReader) { self.reader = reader }

        mutating func visit(_ value: PickleValue, depth: Int) throws {
            visits += 1
            guard depth <= TorchFile.depthLimit, visits <= TorchFile.nameLimit else {
                throw reader.damaged("its dictionaries go round in circles")
            }
            switch value {
            case .tensor(let view): sizes[view.storage.key] = view.storage.dtype.size
            case .dictionary(let dictionary):
                for (_, value) in dictionary.contents { try visit(value, depth: depth + 1) }
            default: break
            }
        }
    }
}
