import Coordination
import Kernels
import LanguageModel

/// Computes single shards on the coordinator, where workers disagree or sent what cannot be.
///
/// Slow, and hardly ever used: one shard at a time, on one thread, so that it takes little memory.
final class ShardJudge {
    struct Verdict {
        var answer: ShardAnswer
        var isFinite: Bool
    }

    private let configuration: RunConfiguration
    private let engine: GradientEngine
    private let gradient: FloatBuffer
    private let chunks: ChunkLayout
    private let tree: ReductionTree

    init(configuration: RunConfiguration, chunks: ChunkLayout) {
        self.configuration = configuration
        self.chunks = chunks
        engine = GradientEngine(geometry: configuration.geometry, threads: 1)
        gradient = FloatBuffer(count: chunks.floats)
        tree = ReductionTree(leaves: configuration.shards)
    }

    /// - Parameters:
    ///   - tokens: rows x (window + 1) of the shard.
    ///   - carry: into the step.
    func judge(shard: Int, step: UInt64, parameters: FloatBuffer, tokens: [UInt32], carry: [Float]) -> Verdict {
        let width = configuration.window + 1
        var inputs: [UInt32] = []
        var targets: [UInt32] = []
        for row in 0..<configuration.rowsPerShard {
            inputs += tokens[row * width..<(row + 1) * width - 1]
            targets += tokens[row * width + 1..<(row + 1) * width]
        }
        let outcome = engine.run(
            step: step, parameters: parameters,
            work: [ShardWork(shard: shard, inputs: inputs, targets: targets, carry: carry)],
            nodes: [GradientNode(shards: shard..<shard + 1, gradient: gradient)]
        ) { _ in }[0]
        return Verdict(
            answer: ShardAnswer(outcome, gradient: gradient, chunks: chunks),
            isFinite: Kernels.isFinite(gradient, range: 0..<gradient.count) && outcome.loss.isFinite
                && outcome.carry.allSatisfy(\.isFinite))
    }
}

extension ShardAnswer {
    init(_ outcome: ShardOutcome, gradient: FloatBuffer, chunks: ChunkLayout) {
        self.init(
            lossBits: outcome.loss.bitPattern, carryDigest: outcome.carry.withUnsafeBytes { Kernels.digest($0) },
            chunkDigests: (0..<chunks.count).map { chunk in
                let range = chunks.range(chunk)
                return Kernels.digest(
                    UnsafeRawBufferPointer(rebasing: gradient.bytes[range.lowerBound * 4..<range.upperBound * 4]))
            })
    }
}
