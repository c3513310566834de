import Coordination
import Kernels
import LanguageModel

/// Computes shards on the coordinator, where workers disagree or sent what cannot be.
///
/// Slow, and hardly ever used: one shard at a time, on one thread, so that it takes little memory.
final class ShardJudge {
    struct Verdict {
        /// What the shard's work comes to, where a single one was judged.
        var answer: ShardAnswer?
        /// Whether the shards are, and what they sum up to in the tree: two finite gradients may have an infinite sum.
        var isFinite: Bool
    }

    private let configuration: RunConfiguration
    private let engine: GradientEngine
    private let chunks: ChunkLayout
    private let tree: ReductionTree

    init(configuration: RunConfiguration, chunks: ChunkLayout) {
        self.configuration = configuration
        self.chunks = chunks
        engine = GradientEngine(geometry: configuration.geometry, threads: 1)
        tree = ReductionTree(leaves: configuration.shards)
    }

    /// - Parameters:
    ///   - shards: those of one node of the tree.
    ///   - work: what a shard computes from.
    func judge(shards: [Int], step: UInt64, parameters: FloatBuffer, work: (Int) -> ShardWork) -> Verdict {
        let nodes = tree.cover(shards)
        precondition(nodes.count == 1, "shards that do not make up a node are summed up by nobody")
        var answer: ShardAnswer?
        // One buffer a level, each the left half of a sum whose right half is computed next.
        func gradient(of node: TreeNode) -> FloatBuffer? {
            guard let (left, right) = tree.children(of: node) else {
                let shard = tree.shards(node)!.lowerBound
                let (outcome, gradient) = compute(work(shard), step: step, parameters: parameters)
                if shards.count == 1 { answer = ShardAnswer(outcome, gradient: gradient, chunks: chunks) }
                let isFinite = outcome.loss.isFinite && outcome.carry.allSatisfy(\.isFinite)
                return isFinite && Self.isFinite(gradient) ? gradient : nil
            }
            guard let first = gradient(of: left), let second = gradient(of: right) else { return nil }
            Kernels.add(first, second, into: first, count: first.count)
            return Self.isFinite(first) ? first : nil
        }
        let isFinite = gradient(of: nodes[0]) != nil
        return Verdict(answer: answer, isFinite: isFinite)
    }

    private func compute(
        _ work: ShardWork, step: UInt64, parameters: FloatBuffer
    ) -> (outcome: ShardOutcome, gradient: FloatBuffer) {
        let gradient = FloatBuffer(count: chunks.floats)
        let outcomes = engine.run(
            step: step, parameters: parameters, work: [work],
            nodes: [GradientNode(shards: work.shard..<work.shard + 1, gradient: gradient)]
        ) { _ in }
        return (outcomes[0], gradient)
    }

    private static func isFinite(_ gradient: FloatBuffer) -> Bool {
        Kernels.isFinite(gradient, range: 0..<gradient.count)
    }
}

extension ShardAnswer {
    init(_ outcome: ShardOutcome, gradient: FloatBuffer, chunks: ChunkLayout) {
        self.init(
            lossBits: outcome.loss.bitPattern, carryDigest: outcome.carry.withUnsafeBytes { Kernels.digest($0) },
            chunkDigests: (0..<chunks.count).map { Kernels.digest(gradient.bytes(chunks.range($0))) })
    }
}
