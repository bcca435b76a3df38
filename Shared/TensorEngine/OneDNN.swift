internal import CKernels
internal import COneDNN
import Synchronization

/// A created oneDNN primitive with the memory layouts it chose. Kept for the life of the process: creating one
/// compiles code, and models repeat the same few shapes.
final class Primitive: @unchecked Sendable {
    let handle: dnnl_primitive_t
    let descriptor: dnnl_primitive_desc_t

    /// - Parameter hint: for a backward pass, the forward pass it belongs to
    static func make(_ operation: UnsafeRawPointer, hint: UnsafeRawPointer? = nil) -> Primitive {
        let attributes = OneDNN.attributes(nil)
        defer { dnnl_primitive_attr_destroy(attributes) }
        var forward: dnnl_primitive_desc_t?
        if let hint {
            OneDNN.check(dnnl_primitive_desc_create(&forward, hint, attributes, OneDNN.engine, nil), "hint")
        }
        defer { if let forward { dnnl_primitive_desc_destroy(forward) } }
        return Primitive(operation, attributes: attributes, hint: forward)
    }

    init(
        _ operation: UnsafeRawPointer, attributes: dnnl_primitive_attr_t?, hint: dnnl_primitive_desc_t? = nil
    ) {
        var descriptor: dnnl_primitive_desc_t?
        var handle: dnnl_primitive_t?
        OneDNN.check(
            dnnl_primitive_desc_create(&descriptor, operation, attributes, OneDNN.engine, hint),
            "primitive descriptor")
        guard let descriptor else { fatalError("oneDNN made no primitive descriptor") }
        OneDNN.check(dnnl_primitive_create(&handle, descriptor), "primitive")
        guard let handle else { fatalError("oneDNN made no primitive") }
        (self.descriptor, self.handle) = (descriptor, handle)
    }

    /// The layout that the primitive wants for an argument.
    func layout(_ query: dnnl_query_t, _ index: Int32 = 0) -> dnnl_memory_desc_t {
        guard let layout = dnnl_primitive_desc_query_md(descriptor, query, index) else {
            fatalError("oneDNN primitive has no memory \(query.rawValue)")
        }
        return layout.pointee
    }

    /// Runs on the calling thread's team and waits. Each argument is (oneDNN's name, layout, memory).
    func execute(_ arguments: [(Int32, dnnl_memory_desc_t, UnsafeMutableRawPointer)]) {
        lk_enter()
        let scratchLayout = layout(dnnl_query_scratchpad_md)
        var layout = scratchLayout
        let scratch = Storage(count: (dnnl_memory_desc_get_size(&layout) + 3) / 4)
        var memories = arguments.map { ($0.0, OneDNN.memory($0.1, $0.2)) }
        memories.append((DNNL_ARG_SCRATCHPAD, OneDNN.memory(scratchLayout, UnsafeMutableRawPointer(scratch.base))))
        defer { for (_, memory) in memories { dnnl_memory_destroy(memory) } }
        let packed = memories.map { dnnl_exec_arg_t(arg: $0.0, memory: $0.1) }
        withExtendedLifetime(scratch) {
            OneDNN.check(dnnl_primitive_execute(handle, OneDNN.stream, Int32(packed.count), packed), "execution")
            OneDNN.check(dnnl_stream_wait(OneDNN.stream), "stream")
        }
    }
}

/// oneDNN's CPU engine, its stream, and the primitives made so far.
enum OneDNN {
    /// Shared by all threads: both are thread-safe, and the CPU stream runs each primitive on the calling thread.
    private struct Handles: @unchecked Sendable {
        let engine: dnnl_engine_t
        let stream: dnnl_stream_t

        init() {
            var engine: dnnl_engine_t?
            var stream: dnnl_stream_t?
            check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine")
            check(dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)), "stream")
            guard let engine, let stream else { fatalError("oneDNN made no engine") }
            (self.engine, self.stream) = (engine, stream)
        }
    }
    private static let handles = Handles()
    static var engine: dnnl_engine_t { handles.engine }
    static var stream: dnnl_stream_t { handles.stream }

    private static let primitives = Mutex<[[Int]: Primitive]>([:])

    /// The primitive for `key` (operation, shapes, options), made by `make` the first time it is asked for.
    static func primitive(_ key: [Int], make: () -> Primitive) -> Primitive {
        lk_enter()
        let key = key + [Threads.count]  // oneDNN chooses its blocking by the number of threads
        if let known = primitives.withLock({ $0[key] }) { return known }
        let made = make()
        return primitives.withLock { table in
            if let known = table[key] { return known }
            table[key] = made
            return made
        }
    }

    static func memory(_ layout: dnnl_memory_desc_t, _ pointer: UnsafeMutableRawPointer) -> dnnl_memory_t? {
        var layout = layout
        var memory: dnnl_memory_t?
        check(dnnl_memory_create(&memory, &layout, engine, pointer), "memory")
        return memory
    }

    /// A layout by name, e.g. `dnnl_nhwc`; the dimensions are always in oneDNN's logical order (N, C, H, W).
    static func layout(_ dimensions: [Int], _ tag: dnnl_format_tag_t) -> dnnl_memory_desc_t {
        var layout = dnnl_memory_desc_t()
        let extents = dimensions.map { Int64($0) }
        check(dnnl_memory_desc_init_by_tag(&layout, Int32(extents.count), extents, dnnl_f32, tag), "layout")
        return layout
    }

    static func attributes(_ activation: Activation?) -> dnnl_primitive_attr_t? {
        var attributes: dnnl_primitive_attr_t?
        check(dnnl_primitive_attr_create(&attributes), "attributes")
        check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "scratchpad")
        guard let activation else { return attributes }
        var operations: dnnl_post_ops_t?
        check(dnnl_post_ops_create(&operations), "post-operations")
        let (kind, alpha): (dnnl_alg_kind_t, Float) =
            switch activation {
            case .silu: (dnnl_eltwise_swish, 1)
            case .quickGelu: (dnnl_eltwise_swish, 1.702)
            case .gelu: (dnnl_eltwise_gelu_erf, 0)
            case .relu: (dnnl_eltwise_relu, 0)
            }
        check(dnnl_post_ops_append_eltwise(operations, 1, kind, alpha, 0), "activation")
        check(dnnl_primitive_attr_set_post_ops(attributes, operations), "post-operations")
        dnnl_post_ops_destroy(operations)
        return attributes
    }

    /// Shapes are checked before they get here, so a failure is a fault of ours or of memory, not of any input.
    static func check(_ status: dnnl_status_t, _ what: String) {
        guard status == dnnl_success else { fatalError("oneDNN failed with status \(status.rawValue) at: \(what)") }
    }
}
