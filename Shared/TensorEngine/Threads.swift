internal import CKernels

/// The threads that oneDNN and Likeness' kernels compute with: one pool for both.
public enum Threads {
    /// Number of threads of every operation started from now on; 0 stands for all cores.
    public static func use(_ count: Int) { lk_set_threads(Int32(count)) }

    /// Number of threads in use.
    public static var count: Int { Int(lk_threads()) }

    /// The instruction set that the kernels were chosen for: `avx512`, `avx2` or `baseline`.
    public static var instructionSet: String { String(cString: lk_variant()) }
}
