/// `torch.nn.functional.cross_entropy` with natural logarithms, and its gradient.
package struct ReferenceCrossEntropy<Scalar: ReferenceScalar>: Sendable {
    /// The mean over the rows that have a target; 0 where none has.
    package let mean: Scalar
    /// `[N]`; 0 where there is no target.
    package let losses: [Scalar]
    /// `[N, V]`
    package let logSoftmax: [Scalar]
    /// `[N, V]`: of the mean with respect to the logits; 0 where there is no target.
    package let gradient: [Scalar]

    /// - Parameters:
    ///   - logits: `[N, V]`
    ///   - targets: `[N]`; nil for a row that does not count.
    ///   - classes: `V`
    ///   - labelSmoothing: how much of a target's weight is spread evenly over all classes.
    package init(logits: [Scalar], targets: [Int?], classes: Int, labelSmoothing: Scalar = 0) {
        precondition(logits.count == targets.count * classes)
        let counted = Scalar(targets.count { $0 != nil })
        let spread = labelSmoothing / Scalar(classes)
        var losses: [Scalar] = []
        var logSoftmax: [Scalar] = []
        var gradient: [Scalar] = []
        for (row, target) in targets.enumerated() {
            let values = Array(logits[row * classes..<(row + 1) * classes])
            let largest = values.max()!
            var total: Scalar = 0
            for value in values { total += Scalar.exponential(value - largest) }
            let logTotal = Scalar.naturalLogarithm(total)
            let logs = values.map { $0 - largest - logTotal }
            logSoftmax += logs
            guard let target else {
                losses.append(0)
                gradient += Array(repeating: 0, count: classes)
                continue
            }
            losses.append(-(1 - labelSmoothing) * logs[target] - spread * logs.reduce(0, +))
            for (index, value) in logs.enumerated() {
                let wanted = spread + (index == target ? 1 - labelSmoothing : 0)
                gradient.append((Scalar.exponential(value) - wanted) / counted)
            }
        }
        self.losses = losses
        self.logSoftmax = logSoftmax
        self.gradient = gradient
        mean = counted > 0 ? losses.reduce(0, +) / counted : 0
    }
}
