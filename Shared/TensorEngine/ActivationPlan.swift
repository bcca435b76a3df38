/// What a computation made and let go of, in order.
struct ActivationLog {
    struct Entry {
        var bytes: Int
        /// The moments between which it is needed; nil for what outlives the computation.
        var made: Int
        var freed: Int?
    }
    private(set) var entries: [Entry] = []
    private var moment = 0

    /// - Returns: its number
    mutating func made(_ bytes: Int) -> Int {
        entries.append(Entry(bytes: bytes, made: moment, freed: nil))
        moment += 1
        return entries.count - 1
    }

    mutating func freed(_ number: Int) {
        entries[number].freed = moment
        moment += 1
    }
}

/// A place in one block for everything that a computation makes: "greedy by size for offset calculation" of Pisarchyk and
/// Lee, arXiv 2001.03288: the largest first, each in the smallest gap, among those needed at the same time, that holds it.
struct ActivationPlan: Sendable {
    struct Place: Sendable {
        var bytes: Int
        /// Nil for what outlives the computation.
        var offset: Int?
    }
    /// In the order in which they are made.
    let places: [Place]
    /// Size of the block.
    let bytes: Int

    /// Offsets are multiples of this: a cache line, or an AVX-512 register.
    static let alignment = 64

    init(_ log: ActivationLog) {
        var places = log.entries.map { Place(bytes: $0.bytes, offset: nil) }
        var placed: [(bytes: Range<Int>, moments: Range<Int>)] = []
        let order = log.entries.indices.sorted { (-log.entries[$0].bytes, $0) < (-log.entries[$1].bytes, $1) }
        var end = 0
        for number in order {
            let entry = log.entries[number]
            guard let freed = entry.freed else { continue }
            let size = (entry.bytes + Self.alignment - 1) / Self.alignment * Self.alignment
            let moments = entry.made..<freed
            // `placed` is kept in order of offset.
            var (best, gapOfBest, reached) = (Int?.none, Int.max, 0)
            for other in placed where other.moments.overlaps(moments) {
                let gap = other.bytes.lowerBound - reached
                if gap >= size, gap < gapOfBest { (best, gapOfBest) = (reached, gap) }
                reached = max(reached, other.bytes.upperBound)
            }
            let offset = best ?? reached
            let range = offset..<offset + size
            let index = placed.firstIndex { $0.bytes.lowerBound > offset } ?? placed.count
            placed.insert((range, moments), at: index)
            places[number].offset = offset
            end = max(end, range.upperBound)
        }
        (self.places, bytes) = (places, end)
    }
}
