import Coordination

/// The carries that a worker knows: of each shard the newest two, since a step that was computed may not be committed
/// when the coordinator is lost.
struct CarryShelf {
    private var shards: [Int: [(step: UInt64, values: [Float])]] = [:]

    /// - Parameter step: into which the carry leads.
    mutating func keep(_ values: [Float], shard: Int, step: UInt64) {
        var kept = shards[shard, default: []].filter { $0.step != step }
        kept.append((step, values))
        if kept.count > 2 { kept.removeFirst(kept.count - 2) }
        shards[shard] = kept
    }

    func values(shard: Int, step: UInt64) -> [Float]? { shards[shard]?.first { $0.step == step }?.values }

    /// What can be offered around a replica of `step` steps.
    func offer(around step: UInt64) -> [Offer.Carries] {
        let steps = [step - min(step, 1), step, step + 1]
        return Set(steps).sorted().compactMap { step in
            let held = shards.filter { $0.value.contains { $0.step == step } }.keys.sorted()
            return held.isEmpty ? nil : Offer.Carries(step: step, shards: held.map(UInt32.init))
        }
    }
}
