import Coordination
import Kernels
import LanguageModel
import Testing

@testable import Training

@Suite("Shards computed by the coordinator")
struct ShardJudgeTests {
    private static let shape = ModelShape(vocabulary: 3, hidden: 4, layers: 1)
    private static let window = 64

    /// Two shards of one row, whose gradients are some 2e38 for one weight of the output layer of 5e37.
    private func judge(_ shards: [Int], outputWeight: Float) -> ShardJudge.Verdict {
        var configuration = RunSettings.defaults(
            software: "", run: "", corpus: .init(path: nil, name: "", sha256: "", characters: 0))
        (configuration.model, configuration.dropout) = (Self.shape, 0)
        (configuration.batch, configuration.window, configuration.shards) = (2, Self.window, 2)
        let layout = ParameterLayout(Self.shape)
        let parameters = FloatBuffer(count: layout.count)
        let hidden = Self.shape.hidden
        // All gates but the cell's are open, so that gradients add up over the window.
        let bias = layout[.inputBias(layer: 0)].range.lowerBound
        for gate in [0, 1, 3] { for unit in 0..<hidden { parameters[bias + gate * hidden + unit] = 100 } }
        let weight = layout[.outputWeight].range.lowerBound
        for unit in 0..<hidden { parameters[weight + unit] = outputWeight }
        let judge = ShardJudge(configuration: configuration, chunks: ChunkLayout(floats: layout.count))
        return judge.judge(shards: shards, step: 0, parameters: parameters) { shard in
            ShardWork(
                shard: shard, inputs: Array(repeating: 1, count: Self.window),
                targets: Array(repeating: 2, count: Self.window), carry: Array(repeating: 0, count: 2 * hidden))
        }
    }

    @Test("A node's gradient is not finite where its shards' are and their sum is not")
    func sums() {
        for shard in 0..<2 {
            let alone = judge([shard], outputWeight: 5e37)
            #expect(alone.isFinite && alone.answer != nil)
        }
        let both = judge([0, 1], outputWeight: 5e37)
        #expect(!both.isFinite && both.answer == nil)
        #expect(judge([0, 1], outputWeight: 1e37).isFinite)
        #expect(!judge([0], outputWeight: 3e38).isFinite)
    }
}
