/// Which worker holds which shards.
package enum LeasePlan {
    /// A worker and how long it takes for a shard, in nanoseconds (or any unit that all share); at least 1.
    package typealias Pace = (worker: WorkerID, cost: UInt64)

    /// Shares `shards`, ascending, so that the last worker is done as early as can be, in aligned runs.
    ///
    /// Each shard in turn counts for the worker that would be done with it first. What a worker has is then cut into
    /// runs of 1, 2, 4, ... shards, and all runs are laid out from the longest to the shortest: each begins at a
    /// multiple of its length, so that among all shards every run is one node of the tree, and no plan with these
    /// counts sends fewer nodes. A pure function of its arguments. A worker that would only be in the way gets none.
    package static func apportion(_ shards: [Int], among paces: [Pace]) -> [(worker: WorkerID, shards: [Int])] {
        guard !paces.isEmpty, !shards.isEmpty else { return [] }
        var counts = Array(repeating: 0, count: paces.count)
        for _ in shards {
            let next = counts.indices.min { done(counts[$0] + 1, paces[$0]) < done(counts[$1] + 1, paces[$1]) }!
            counts[next] += 1
        }
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

    /// When the last worker would be done.
    package static func duration(_ counts: [WorkerID: Int], _ paces: [Pace]) -> UInt64 {
        paces.map { done(counts[$0.worker] ?? 0, $0) }.max() ?? 0
    }

    /// Shards, ascending, for people: `0-3,12` for 0, 1, 2, 3 and 12.
    package static func text(_ shards: [Int]) -> String {
        guard !shards.isEmpty else { return "-" }
        var runs: [ClosedRange<Int>] = []
        for shard in shards {
            if let last = runs.last, shard == last.upperBound + 1 {
                runs[runs.count - 1] = last.lowerBound...shard
            } else {
                runs.append(shard...shard)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }

    private static func done(_ shards: Int, _ pace: Pace) -> UInt64 {
        UInt64(shards).multipliedReportingOverflow(by: max(1, min(pace.cost, 1 << 48))).partialValue
    }
}
