/// Which worker holds which shards.
package enum LeasePlan {
    /// A worker and how long it takes for a shard, in nanoseconds (or any unit that all share); at least 1.
    package typealias Pace = (worker: WorkerID, cost: UInt64)

    /// Shares `shards`, ascending, so that the last worker is done as early as can be, in aligned runs.
    ///
    /// First it counts. Each shard in turn goes to the worker that would be done with it first. Equal counts send the
    /// fewest nodes: they are taken instead where they take no more than an eighth longer, of the work or of the whole
    /// step. A worker that would only be in the way gets none.
    ///
    /// Then it lays the counts out. Each is cut into runs of 1, 2, 4, ... shards, and the runs come from the longest to
    /// the shortest. So each begins at a multiple of its length. Where all shards are shared, each is one node of the
    /// tree, and no other plan with these counts sends fewer nodes. With 5 shards for A and 3 for B:
    ///
    /// ```
    /// shard   0 1 2 3   4 5   6   7
    /// worker  A A A A   B B   A   B      5 = 4 + 1, 3 = 2 + 1: two nodes each
    /// ```
    ///
    /// - Parameter stepTime: how long a step takes with all that is sent, in the unit of the paces; 0 where unknown.
    /// - Returns: a pure function of the arguments: workers in the order of `paces`, each with its shards.
    package static func apportion(
        _ shards: [Int], among paces: [Pace], stepTime: UInt64 = 0
    ) -> [(worker: WorkerID, shards: [Int])] {
        guard !paces.isEmpty, !shards.isEmpty else { return [] }
        var counts = Array(repeating: 0, count: paces.count)
        for _ in shards {
            let next = counts.indices.min { done(counts[$0] + 1, paces[$0]) < done(counts[$1] + 1, paces[$1]) }!
            counts[next] += 1
        }
        let equal = equalCounts(shards.count, paces)
        let least = longest(counts, paces)
        if longest(equal, paces) - least <= max(least, stepTime) / 8 { counts = equal }
        var plan = paces.map { (worker: $0.worker, shards: [Int]()) }
        var rest = shards[...]
        var length = 1 << (Int.bitWidth - 1 - shards.count.leadingZeroBitCount)
        while length > 0 {
            for index in counts.indices where counts[index] & length != 0 {
                plan[index].shards += rest.prefix(length)
                rest = rest.dropFirst(length)
            }
            length /= 2
        }
        return plan.filter { !$0.shards.isEmpty }
    }

    /// As many for each, one more for the fastest where they do not come out even; among fewer shards than workers, one
    /// for each of the fastest.
    private static func equalCounts(_ shards: Int, _ paces: [Pace]) -> [Int] {
        var counts = Array(repeating: shards / paces.count, count: paces.count)
        let fastest = paces.indices.sorted { (paces[$0].cost, $0) < (paces[$1].cost, $1) }
        for index in fastest.prefix(shards % paces.count) { counts[index] += 1 }
        return counts
    }

    private static func longest(_ counts: [Int], _ paces: [Pace]) -> UInt64 {
        counts.indices.map { done(counts[$0], paces[$0]) }.max() ?? 0
    }

    /// When the last worker would be done.
    package static func duration(_ counts: [WorkerID: Int], _ paces: [Pace]) -> UInt64 {
        paces.map { done(counts[$0.worker] ?? 0, $0) }.max() ?? 0
    }

    /// Shards, ascending, for people: `0-3,12` for 0, 1, 2, 3 and 12.
    package static func text(_ shards: [Int]) -> String {
        guard !shards.isEmpty else { return "-" }
        var runs: [ClosedRange<Int>] = []
        for shard in shards {
            if let last = runs.last, shard > last.upperBound, shard &- last.upperBound == 1 {
                runs[runs.count - 1] = last.lowerBound...shard
            } else {
                runs.append(shard...shard)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }

    private static func done(_ shards: Int, _ pace: Pace) -> UInt64 {
        max(1, pace.cost).times(shards)
    }
}
