/// The lowest validation loss of a run, and how long ago it was: what patience and the best checkpoint go by.
package struct ValidationHistory: Hashable, Sendable {
    /// Nats a character; nil before the first evaluation.
    package private(set) var best: Double?
    /// Evaluations since then.
    package private(set) var stale: Int

    package init(best: Double? = nil, stale: Int = 0) {
        self.best = best
        self.stale = stale
    }

    /// - Parameter losses: of all evaluations, in the order of their steps.
    package init(_ losses: [Double]) {
        self.init()
        for loss in losses { _ = add(loss) }
    }

    /// Takes in a newer evaluation.
    ///
    /// - Returns: whether it is the best so far; one that equals it is not.
    package mutating func add(_ loss: Double) -> Bool {
        guard best.map({ loss < $0 }) ?? true else {
            stale += 1
            return false
        }
        best = loss
        stale = 0
        return true
    }
}
