/// Which worker holds which shards.
package enum LeasePlan {
    /// A worker and how long it takes for a shard, in nanoseconds (or any unit that all share); at least 1.
    package typealias Pace = (worker: WorkerID, cost: UInt64)

    /// Shares `shards`, ascending, in runs, so that the last worker is done as early as can be.
    ///
    /// Each shard in turn goes to the worker that would be done with it first. Larger runs come first: where the number
    /// of shards is a power of two they then begin at multiples of their size, and few tree nodes cover them. A pure
    /// function of its arguments. A worker that would only be in the way gets none.
    package static func apportion(_ shards: [Int], among paces: [Pace]) -> [(worker: WorkerID, shards: [Int])] {
        guard !paces.isEmpty, !shards.isEmpty else { return [] }
        var counts = Array(repeating: 0, count: paces.count)
        for _ in shards {
            let next = counts.indices.min { done(counts[$0] + 1, paces[$0]) < done(counts[$1] + 1, paces[$1]) }!
            counts[next] += 1
        }
        let order = counts.indices.sorted { (counts[$1], $0) < (counts[$0], $1) }
        var first = 0
        var plan: [(worker: WorkerID, shards: [Int])] = []
        for index in order where counts[index] > 0 {
            plan.append((paces[index].worker, Array(shards[first..<first + counts[index]])))
            first += counts[index]
        }
        return plan
    }

    /// When the last worker would be done.
    package static func duration(_ counts: [WorkerID: Int], _ paces: [Pace]) -> UInt64 {
        paces.map { done(counts[$0.worker] ?? 0, $0) }.max() ?? 0
    }

    private static func done(_ shards: Int, _ pace: Pace) -> UInt64 {
        UInt64(shards).multipliedReportingOverflow(by: max(1, min(pace.cost, 1 << 48))).partialValue
    }
}
