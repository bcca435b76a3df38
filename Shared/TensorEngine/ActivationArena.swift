internal import CKernels
import Glibc
import Synchronization

/// Memory for the activations of a computation that is repeated with the same shapes, such as a denoiser's step.
///
/// The first time, tensors come from the heap, and what was made and let go of, in which order, is written down. From that
/// every tensor is given its place in one block (``ActivationPlan``), on huge pages where the system has them; from the
/// second time on nothing is allocated. What outlives the computation, as its result does, stays on the heap.
///
/// A computation that turns out otherwise than planned is still right: a place that something alive reaches into is not
/// given away, the tensor comes from the heap, and the next time a new plan is made. Plans that are not followed any more
/// are forgotten and the block shrinks, so that one large picture does not hold its memory while small ones follow.
public final class ActivationArena: Sendable {
    private struct State {
        var plans: [[Int]: (plan: ActivationPlan, lastUse: Int)] = [:]
        var computations = 0
        var block = ActivationBlock(bytes: 0)
        var isBusy = false
        var outside = 0

        /// What the plans need; what is still alive in an old block keeps that one.
        mutating func fitBlock() {
            let bytes = plans.values.map(\.plan.bytes).max() ?? 0
            if bytes != block.bytes { block = ActivationBlock(bytes: bytes) }
        }
    }
    private let state = Mutex(State())

    /// An empty arena.
    public init() {}

    /// After so many computations a plan that none of them followed is forgotten: the steps of several pictures, so that
    /// the plan of decoding, which comes once a picture, stays.
    public static let memory = 200

    /// Bytes of the block.
    public var bytes: Int { state.withLock { $0.block.bytes } }

    /// How many tensors the last computation took from the heap: all of them the first time, then its results.
    public var tensorsOutside: Int { state.withLock { $0.outside } }

    /// Runs `body`, whose tensors have their places here. Inside another computation that has an arena, or while this one
    /// serves another thread, it only runs it.
    ///
    /// - Parameter key: tells computations of other shapes apart
    public func callAsFunction<R>(_ key: [Int] = [], _ body: () throws -> R) rethrows -> R {
        guard ActivationRun.current == nil, let run = begin(key) else { return try body() }
        ActivationRun.current = run
        defer {
            ActivationRun.current = nil
            end(key, run)
        }
        return try body()
    }

    private func begin(_ key: [Int]) -> ActivationRun? {
        state.withLock { state in
            if state.isBusy { return nil }
            state.isBusy = true
            state.computations += 1
            let oldest = state.computations - Self.memory
            state.plans = state.plans.filter { $0.value.lastUse > oldest }
            state.fitBlock()
            if let plan = state.plans[key]?.plan {
                state.plans[key]?.lastUse = state.computations
                return ActivationRun(following: plan, in: state.block)
            }
            // The heap and the block are not needed at the same time.
            state.block.releasePages()
            return ActivationRun()
        }
    }

    private func end(_ key: [Int], _ run: ActivationRun) {
        let planned = run.end()
        state.withLock { state in
            (state.isBusy, state.outside) = (false, run.outside)
            switch planned {
            case .made(let plan):
                lk_give_back_freed_memory()
                state.plans[key] = (plan, lastUse: state.computations)
                state.fitBlock()
            case .kept: break
            case .broken: state.plans[key] = nil
            }
        }
    }
}

/// One computation: a first one, which is written down, or one that follows a plan.
final class ActivationRun: Sendable {
    enum Outcome {
        case made(ActivationPlan), kept, broken
    }

    private enum Mode {
        case recording(ActivationLog)
        case following(ActivationPlan, next: Int, isBroken: Bool)
        case ended
    }
    private let mode: Mutex<Mode>
    private let block: ActivationBlock?
    private let fromHeap = Atomic(0)

    /// How many tensors came from the heap.
    var outside: Int { fromHeap.load(ordering: .relaxed) }

    init() {
        mode = Mutex(.recording(ActivationLog()))
        block = nil
    }

    init(following plan: ActivationPlan, in block: ActivationBlock) {
        mode = Mutex(.following(plan, next: 0, isBroken: false))
        self.block = block
    }

    /// The calling thread's.
    static var current: ActivationRun? {
        get { lk_activations().map { Unmanaged<ActivationRun>.fromOpaque($0).takeUnretainedValue() } }
        set { lk_set_activations(newValue.map { Unmanaged.passUnretained($0).toOpaque() }) }
    }

    /// Where the next tensor's memory comes from.
    enum Place {
        /// The heap; the number is to be told to ``freed(_:)``, if there is one.
        case heap(number: Int?)
        case block(ActivationBlock, UnsafeMutableRawPointer)
    }

    func place(bytes: Int) -> Place {
        let place = choose(bytes)
        if case .heap = place { fromHeap.add(1, ordering: .relaxed) }
        return place
    }

    private func choose(_ bytes: Int) -> Place {
        mode.withLock { mode in
            switch mode {
            case .recording(var log):
                mode = .ended  // so that the log is not copied
                let number = log.made(bytes)
                mode = .recording(log)
                return .heap(number: number)
            case .following(let plan, let next, let isBroken):
                guard !isBroken, next < plan.places.count, plan.places[next].bytes == bytes else {
                    mode = .following(plan, next: next, isBroken: true)
                    return .heap(number: nil)
                }
                mode = .following(plan, next: next + 1, isBroken: false)
                guard let offset = plan.places[next].offset, let block else { return .heap(number: nil) }
                guard let memory = block.take(offset, bytes) else {
                    mode = .following(plan, next: next + 1, isBroken: true)
                    return .heap(number: nil)
                }
                return .block(block, memory)
            case .ended: return .heap(number: nil)
            }
        }
    }

    /// Number `number` of a first run is not needed any more.
    func freed(_ number: Int) {
        mode.withLock { mode in
            guard case .recording(var log) = mode else { return }
            mode = .ended
            log.freed(number)
            mode = .recording(log)
        }
    }

    func end() -> Outcome {
        mode.withLock { mode in
            defer { mode = .ended }
            switch mode {
            case .recording(let log): return .made(ActivationPlan(log))
            case .following(let plan, let next, let isBroken):
                return isBroken || next != plan.places.count ? .broken : .kept
            case .ended: return .broken
            }
        }
    }
}

/// The memory, and which parts of it are in use.
final class ActivationBlock: Sendable {
    let bytes: Int
    private let start: UInt
    private let used = Mutex<[Range<Int>]>([])

    init(bytes: Int) {
        self.bytes = bytes
        guard bytes > 0 else {
            start = 0
            return
        }
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { fatalError("out of memory: \(bytes) bytes for activations") }
        madvise(memory, bytes, MADV_HUGEPAGE)
        start = UInt(bitPattern: memory)
    }

    /// The memory at `offset`, or nil where it is in use.
    func take(_ offset: Int, _ bytes: Int) -> UnsafeMutableRawPointer? {
        let range = offset..<offset + bytes
        return used.withLock { used in
            guard range.upperBound <= self.bytes, !used.contains(where: { $0.overlaps(range) }) else { return nil }
            used.append(range)
            return UnsafeMutableRawPointer(bitPattern: start + UInt(offset))
        }
    }

    /// Gives back what ``take(_:_:)`` gave.
    func give(_ memory: UnsafeMutableRawPointer) {
        let offset = Int(UInt(bitPattern: memory) - start)
        used.withLock { used in
            if let index = used.lastIndex(where: { $0.lowerBound == offset }) { used.remove(at: index) }
        }
    }

    /// Gives the memory back to the system until it is written again, unless some of it is in use.
    func releasePages() {
        used.withLock { used in
            guard used.isEmpty, start != 0 else { return }
            madvise(UnsafeMutableRawPointer(bitPattern: start), bytes, MADV_DONTNEED)
        }
    }

    deinit { if start != 0 { munmap(UnsafeMutableRawPointer(bitPattern: start), bytes) } }
}
