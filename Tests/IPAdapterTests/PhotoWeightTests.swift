import IPAdapter
import TensorEngine
import Testing

/// Factors on photos, where they mean something.
@Suite struct PhotoWeightTests {
    private let photos = Tensor([1, -2, 3, 0.5, 4, -1], shape: [1, 3, 2])

    @Test func averageIsTheWeightedMean() throws {
        let got = try Aggregation.avg(photos, nil, weights: [2, 1, 0.5]).scalars
        let want: [Float] = [(2 * 1 + 3 + 0.5 * 4) / 3.5, (2 * -2 + 0.5 + 0.5 * -1) / 3.5]
        #expect(zip(got, want).allSatisfy { abs($0 - $1) < 1e-6 })
        // Only their proportions count, and equal ones say nothing.
        let scaled = try Aggregation.avg(photos, nil, weights: [8, 4, 2]).scalars
        #expect(zip(scaled, want).allSatisfy { abs($0 - $1) < 1e-6 })
        let equal = try Aggregation.avg(photos, nil, weights: [3, 3, 3]).scalars
        #expect(zip(equal, try Aggregation.avg(photos, nil).scalars).allSatisfy { abs($0 - $1) < 1e-6 })
    }

    @Test func maximumIsOfTheProducts() throws {
        #expect(try Aggregation.max(photos, nil, weights: [2, 1, 0.5]).scalars == [3, 0.5])
        #expect(try Aggregation.max(photos, nil, weights: [4, 1, 0.5]).scalars == [4, 0.5])
        #expect(try Aggregation.max(photos, nil, weights: [1, 1, 1]).scalars == Aggregation.max(photos, nil).scalars)
    }

    @Test func elsewhereTheyAreRefused() throws {
        for aggregation in Aggregation.allCases where aggregation != .max && aggregation != .avg {
            #expect { try aggregation(photos, nil, weights: [1, 1, 1]) } throws: { "\($0)".contains("mean nothing") }
        }
        #expect { try Aggregation.max(photos, nil, weights: [1, 1]) } throws: { "\($0)".contains("for 3 photos") }
        #expect(throws: (any Error).self) { try Aggregation.avg(photos, nil, weights: [0, 0, 0]) }
    }
}
