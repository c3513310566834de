/// Which worker holds which shards: contiguous runs, in proportion to the workers' weights.
package enum LeasePlan {
    /// Shares `shards`, ascending, among workers in the order given.
    ///
    /// Largest remainder: nobody is more than one shard from the exact share, and equal weights give equal runs. The
    /// plan is a pure function of its arguments: unchanged members keep their shards, hence their carry.
    package static func apportion(_ shards: [Int], among weights: [(worker: WorkerID, weight: Int)])
        -> [(worker: WorkerID, shards: [Int])]
    {
        let total = weights.reduce(0) { $0 + max(1, $1.weight) }
        guard total > 0, !shards.isEmpty else { return [] }
        var counts = weights.map { shards.count * max(1, $0.weight) / total }
        let remainders = weights.indices.map { shards.count * max(1, weights[$0].weight) % total }
        let order = weights.indices.sorted { (remainders[$0], -$0) > (remainders[$1], -$1) }
        for index in order.prefix(shards.count - counts.reduce(0, +)) { counts[index] += 1 }
        var next = 0
        var plan: [(worker: WorkerID, shards: [Int])] = []
        for (index, count) in counts.enumerated() where count > 0 {
            plan.append((weights[index].worker, Array(shards[next..<next + count])))
            next += count
        }
        return plan
    }
}
