import Foundation

/// Files of `torch.save` that are cut, lie about their sizes, want much for little, or call things.
enum TorchMutants {
    /// What a file that means harm would call.
    private static let functions = [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"),
        ("subprocess", "check_output"),
        ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "__import__"),
        ("builtins", "open"), ("builtins", "compile"), ("__builtin__", "eval"), ("runpy", "run_path"), ("pty", "spawn"),
        ("shutil", "rmtree"), ("socket", "socket"), ("webbrowser", "open"), ("importlib", "import_module"),
        ("pickle", "loads"), ("torch", "load"), ("torch.hub", "load"), ("torch.jit", "load"),
        ("torch.storage", "_load_from_bytes"), ("numpy", "load"), ("numpy.core.multiarray", "_reconstruct"),
        ("functools", "partial"), ("operator", "attrgetter"), ("types", "CodeType"), ("types", "FunctionType"),
        ("code", "interact"), ("ctypes", "CDLL"), ("multiprocessing", "Process"), ("codecs", "open"),
        ("collections", "defaultdict"), ("copyreg", "_reconstructor"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "FloatStorage.__init__"), ("collections", "OrderedDict.__class__"), ("", ""),
        ("torch\u{0}", "system"),
    ]

    static func all(_ fixtures: URL, bombs: Bool) throws -> [Mutant] {
        var mutants: [Mutant] = []
        func add(
            _ what: String, mustFail: Bool = true, as ending: String = "bin",
            _ bytes: @autoclosure @escaping () -> Data
        ) {
            mutants.append(Mutant("torch: \(what)", .checkpoint, "weights.\(ending)", mustFail: mustFail, bytes()))
        }
        add("as it should be", mustFail: false, PickleWriter.archive(PickleWriter.model { $0.tensor() }))
        add("as it should be, older form", mustFail: false, PickleWriter.legacy(PickleWriter.model { $0.tensor() }))

        // Real files, cut and changed.
        for (number, name) in ["zip.pt", "legacy.pt", "trainer.ckpt", "ip-adapter.bin"].enumerated() {
            let whole = try Data(contentsOf: fixtures.appendingPathComponent(name))
            for i in 0..<60 {
                add("\(name) cut at \(whole.count * i / 60)", as: "ckpt", whole.prefix(whole.count * i / 60))
            }
            add("\(name) without its last byte", whole.dropLast())
            var dice = Dice(UInt64(2 + number))
            for i in 0..<75 {
                let flipped = dice.flipped(whole)
                add("\(name) with bytes changed (\(i))", mustFail: false, flipped)
            }
        }

        // Calls, in every way that a pickle can make one.
        for (module, name) in functions {
            let forms: [(String, (inout PickleWriter) -> Void)] = [
                (
                    "REDUCE",
                    {
                        $0.global(module, name); $0.code("("); $0.text("touch /tmp/likeness-was-here"); $0.code("t");
                        $0.code("R")
                    }
                ),
                (
                    "STACK_GLOBAL",
                    {
                        $0.text(module); $0.text(name); $0.bytes.append(0x93); $0.code(")"); $0.code("R")
                    }
                ),
                (
                    "INST",
                    {
                        $0.code("("); $0.text("x"); $0.bytes += Data("i\(module)\n\(name)\n".utf8)
                    }
                ),
                (
                    "OBJ",
                    {
                        $0.code("("); $0.global(module, name); $0.text("x"); $0.code("o")
                    }
                ),
                (
                    "NEWOBJ",
                    {
                        $0.global(module, name); $0.code(")"); $0.bytes.append(0x81)
                    }
                ),
                (
                    "BUILD",
                    {
                        $0.global(module, name); $0.code("}"); $0.code("b")
                    }
                ),
            ]
            for (form, write) in forms {
                let model = PickleWriter.model { write(&$0) }
                add("\(module).\(name) by \(form)", PickleWriter.archive(model))
                add("\(module).\(name) by \(form), older form", as: "pt", PickleWriter.legacy(model))
            }
        }
        for code in [0x81, 0x82, 0x83, 0x84, 0x92, 0x96, 0x97, 0x98] as [UInt8] {
            add(
                "instruction \(code)",
                PickleWriter.archive(PickleWriter.model { $0.bytes += Data([code, 0, 0, 0, 0]) }))
        }
        for name in ["evil.pt", "evil.pkl", "compressed.pt"] {
            let whole = try Data(contentsOf: fixtures.appendingPathComponent(name))
            add(name, whole)
        }

        // Tensors that do not fit their storage of 16 floats.
        let far = Int.max
        let views: [(String, (inout PickleWriter) -> Void)] = [
            ("offset 1", { $0.tensor(offset: 1) }), ("offset -1", { $0.tensor(offset: -1) }),
            ("offset far", { $0.tensor(offset: far) }), ("17 numbers", { $0.tensor(shape: [17]) }),
            ("-16 numbers", { $0.tensor(shape: [-16]) }), ("far too many", { $0.tensor(shape: [far]) }),
            ("4 times far", { $0.tensor(shape: [far, 4], strides: [4, 1]) }),
            ("stride 0", { $0.tensor(shape: [1 << 40], strides: [0]) }), ("stride 2", { $0.tensor(strides: [2]) }),
            ("stride -1", { $0.tensor(strides: [-1]) }), ("stride far", { $0.tensor(shape: [2], strides: [far]) }),
            ("two strides", { $0.tensor(strides: [1, 1]) }), ("no strides", { $0.tensor(strides: []) }),
            ("17 axes", { $0.tensor(shape: Array(repeating: 1, count: 17), strides: Array(repeating: 1, count: 17)) }),
            ("storage of 17", { $0.tensor(count: 17) }), ("storage of -1", { $0.tensor(count: -1) }),
            ("storage far", { $0.tensor(count: far) }), ("no such storage", { $0.tensor(key: "1") }),
            ("a storage outside", { $0.tensor(key: "../0") }), ("doubles", { $0.tensor(type: "DoubleStorage") }),
            ("a storage of code", { $0.tensor(type: "ScriptModule") }), ("no tensor", { $0.code("N") }),
            ("a text", { $0.text("x") }),
            (
                "an empty stack",
                {
                    $0.code("0"); $0.code("0"); $0.code("0")
                }
            ),
            ("a memo that is not there", { $0.bytes += Data([0x68, 9]) }), ("no mark", { $0.code("t") }),
            (
                "a persistent text",
                {
                    $0.text("x"); $0.code("Q")
                }
            ),
            ("a text without an end", { $0.bytes += Data([0x58, 0xFF, 0xFF, 0xFF, 0x7F]) }),
            ("a text of 2^63 bytes", { $0.bytes += Data([0x8D] + [UInt8](repeating: 0xFF, count: 8)) }),
            ("a text that is not UTF-8", { $0.bytes += Data([0x58, 2, 0, 0, 0, 0xFF, 0xFE]) }),
            ("a number that is none", { $0.bytes += Data("Ix\n".utf8) }),
        ]
        for (what, write) in views {
            let model = PickleWriter.model(write)
            add(what, PickleWriter.archive(model))
            add("\(what), older form", as: "pt", PickleWriter.legacy(model))
        }
        // The archive's own numbers.
        let archive = PickleWriter.archive(PickleWriter.model { $0.tensor() })
        let end = archive.count - 22
        for (what, place, width) in [("entries", 10, 2), ("directory's start", 16, 4)] {
            for value in [0, 1, 2, 4, 5, 0xFFFF, 0xFFFE, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt64]
            where !(what == "entries" && value == 0xFFFF_FFFF) && !(width == 2 && value > 0xFFFF) {
                var bytes = Data()
                bytes.little(value, width)
                // Fewer entries can be a valid file without the storage's; the tensor then has no numbers.
                add("\(what) \(value)", archive.replacing(at: end + place, Array(bytes)))
            }
        }
        add("no data.pkl", PickleWriter.zip([("archive/data/0", Data(count: 64))]))
        add("an entry twice", PickleWriter.zip([("a/data.pkl", Data()), ("a/data.pkl", Data())]))
        add(
            "big-endian",
            PickleWriter.zip([
                ("a/data.pkl", PickleWriter.model { $0.tensor() }), ("a/byteorder", Data("big".utf8)),
                ("a/data/0", Data(count: 64)),
            ]))
        add("a short storage", PickleWriter.archive(PickleWriter.model { $0.tensor() }, storage: Data(count: 63)))
        add("no storage", PickleWriter.archive(PickleWriter.model { $0.tensor() }, storage: Data()))
        for text in [
            "", "PK", "PK\u{3}\u{4}", "\u{1}\u{2}", "<html>404</html>", "version https://git-lfs.github.com/spec/v1\n",
        ] {
            add("the text \(text.debugDescription)", Data(text.utf8))
        }
        // Weights that are no numbers.
        for (name, pattern) in [
            ("NaN", [0, 0, 0xC0, 0x7F]), ("infinity", [0, 0, 0x80, 0x7F]), ("-infinity", [0, 0, 0x80, 0xFF]),
        ] as [(String, [UInt8])] {
            for place in [0, 7, 15] {
                let storage = Data(count: 64).replacing(at: 4 * place, pattern)
                let model = PickleWriter.model { $0.tensor() }
                add("\(name) at \(place)", PickleWriter.archive(model, storage: storage))
                add("\(name) at \(place), older form", PickleWriter.legacy(model, storage: storage))
                add(
                    "\(name) at \(place) of a transposed tensor",
                    PickleWriter.archive(
                        PickleWriter.model { $0.tensor(shape: [4, 4], strides: [1, 4]) }, storage: storage))
            }
        }
        return bombs ? mutants + Self.bombs() : mutants
    }

    /// Pickles of twelve megabytes that would take a hundred times as much.
    private static func bombs() -> [Mutant] {
        let size = 12 << 20
        func many(_ part: [UInt8]) -> Data {
            var data = Data(capacity: size + part.count)
            while data.count < size { data.append(contentsOf: part) }
            return data
        }
        func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }
        let parts: [(String, [UInt8])] = [
            ("lists", ascii("]")), ("dictionaries", ascii("}")), ("nothing", ascii("N")), ("truth", [0x88]),
            ("marks", ascii("(")), ("empty tuples", ascii(")")), ("tuples within tuples", ascii(")") + [0x85]),
            ("lists within lists", ascii("]a")), ("memos", ascii("N") + [0x94]), ("small numbers", ascii("K") + [7]),
            ("texts", ascii("U") + [1, 0x61]), ("calls", ascii("ccollections\nOrderedDict\n)R")),
            ("names", ascii("ctorch\nfloat16\n")), ("bytes that are no text", [0xFF]),
        ]
        var mutants: [Mutant] = []
        for (what, part) in parts {
            let start: [UInt8] = what == "lists within lists" ? ascii("]") : []
            mutants.append(
                Mutant(
                    "torch: 12 MB of \(what)", .checkpoint, "bomb.bin",
                    PickleWriter.archive(Data([0x80, 2] + start) + many(part))))
            mutants.append(
                Mutant(
                    "torch: 12 MB of \(what), older form", .checkpoint, "bomb.bin",
                    PickleWriter.legacy(Data([0x80, 2] + start) + many(part))))
        }
        // One dictionary of 1000 names, referred to by 12 MB of others.
        mutants.append(
            Mutant(
                "torch: one tensor under very many names", .checkpoint, "bomb.bin",
                {
                    var pickle = PickleWriter()
                    pickle.code("}")
                    pickle.text("w")
                    pickle.tensor()
                    pickle.bytes += Data([0x94])
                    pickle.code("s")
                    for i in 0..<600_000 {
                        pickle.text("\(i)")
                        pickle.bytes += Data([0x68, 0])
                        pickle.code("s")
                    }
                    pickle.code(".")
                    return PickleWriter.archive(pickle.bytes)
                }()))
        mutants.append(
            Mutant(
                "torch: a hundred thousand ZIP entries", .checkpoint, "bomb.bin",
                PickleWriter.zip((0..<100_000).map { ("a/\($0)", Data()) })))
        return mutants
    }
}
