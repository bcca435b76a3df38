import Foundation

extension Tensor {
    /// Every row of [R, D] divided by its length (`torch.nn.functional.normalize`; lengths below 1e-12 count as that).
    public func normalizedRows() -> Tensor {
        let d = shape[shape.count - 1]
        let rows = count / max(d, 1)
        var lengths = [Float](repeating: 0, count: rows)
        let y = Tensor(shape: shape) { out in
            withUnsafeBuffer { x in
                for r in 0..<rows {
                    var sum = 0.0
                    for j in 0..<d { sum += Double(x[r * d + j]) * Double(x[r * d + j]) }
                    lengths[r] = max(Float(sum.squareRoot()), 1e-12)
                    for j in 0..<d { out[r * d + j] = x[r * d + j] / lengths[r] }
                }
            }
        }
        return y.recorded(self) { [x = self, lengths] dy, sums in
            // dx = (dy − y (y · dy)) / ‖x‖
            let dx = dy.mapped(with: y) { out, dy, y in
                for r in 0..<rows {
                    var dot: Float = 0
                    for j in 0..<d { dot += dy[r * d + j] * y[r * d + j] }
                    for j in 0..<d { out[r * d + j] = (dy[r * d + j] - y[r * d + j] * dot) / lengths[r] }
                }
            }
            sums.add(dx, to: x)
        }
    }

    /// Mean over rows of −log softmax(row)[label] for logits [R, classes] → [1] (`torch.nn.functional.cross_entropy`).
    public func crossEntropy(_ labels: [Int]) -> Tensor {
        let d = shape[1]
        precondition(labels.count == shape[0] && labels.allSatisfy { 0 <= $0 && $0 < d }, "labels of \(shape)")
        let probabilities = detached().softmax()
        var loss = 0.0
        withUnsafeBuffer { x in
            for (r, label) in labels.enumerated() {
                let row = x[(r * d)..<((r + 1) * d)]
                let top = Double(row.max() ?? 0)
                loss += top + log(row.reduce(0) { $0 + exp(Double($1) - top) }) - Double(x[r * d + label])
            }
        }
        return Tensor([Float(loss / Double(labels.count))], shape: [1]).recorded(self) { [x = self] dy, sums in
            let share = dy.scalars[0] / Float(labels.count)
            let dx = probabilities.mapped(with: probabilities) { out, p, _ in
                for i in 0..<p.count { out[i] = p[i] * share }
                for (r, label) in labels.enumerated() { out[r * d + label] -= share }
            }
            sums.add(dx, to: x)
        }
    }
}
