internal import CKernels

/// The threads that oneDNN and Likeness' kernels compute with: one pool for both.
public enum Threads {
    /// Number of threads of every operation started from now on; 0 stands for all cores.
    public static func use(_ count: Int) { lk_set_threads(Int32(count)) }

    /// Number of threads in use.
    public static var count: Int { Int(lk_threads()) }

    /// The instruction set that the kernels were chosen for: `amx`, `avx512bf16`, `avx512`, `avx2` or `baseline`.
    public static var instructionSet: String { String(cString: lk_variant()) }

    /// Operations a second that these threads reach in registers alone, multiplying and adding: a bound for everything
    /// else, by the precision in force. The best of five short measurements.
    public static func peakOperationsPerSecond() -> Double {
        (0..<5).map { _ in
            var operations = 0.0
            let start = ContinuousClock.now
            lk_peak(&operations, 1_000_000, Precision.roundsProducts)
            return operations / (start.duration(to: .now) / .seconds(1))
        }.max() ?? 0
    }
}
