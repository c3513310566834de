import Kernels
import LanguageModel
import SeededNumbers
import TestSupport
import Testing

@Suite("The gradient engine against the reference")
struct GradientEngineReferenceTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var vocabulary = 7
        var hidden = 5
        var layers = 2
        var bias = true
        var rows = 6
        var window = 4
        var shards = 3
        var dropout = 0.0
        var threads = 2
        var testDescription: String {
            "V \(vocabulary), H \(hidden), L \(layers), B \(rows), T \(window), S \(shards), bias \(bias), p \(dropout)"
        }
        var shape: ModelShape { ModelShape(vocabulary: vocabulary, hidden: hidden, layers: layers, bias: bias) }
        var geometry: EngineGeometry {
            EngineGeometry(shape: shape, batch: rows, window: window, shards: shards, dropout: dropout, seed: 21)
        }
    }

    static let cases = [
        Case(), Case(vocabulary: 2, hidden: 2, layers: 1, rows: 1, window: 1, shards: 1),
        Case(vocabulary: 3, hidden: 17, layers: 4, bias: false, rows: 5, window: 3, shards: 5),
        Case(hidden: 40, window: 1, dropout: 0.5),
        Case(hidden: 16, layers: 3, rows: 4, window: 9, shards: 2, dropout: 0.3),
        Case(vocabulary: 130, hidden: 33, rows: 26, window: 2, shards: 13, dropout: 0.1, threads: 3),
        // Rows that lie further apart than they are long, and sums by token in several groups of columns.
        Case(vocabulary: 700, hidden: 128, rows: 6, window: 2, shards: 3, dropout: 0.2),
        Case(vocabulary: 7, hidden: 512, layers: 2, rows: 2, window: 2, shards: 2, dropout: 0.4),
        // Many rows, and logits in products of some of a time step's.
        Case(vocabulary: 11, hidden: 40, rows: 80, window: 5, shards: 2, dropout: 0.3, threads: 2),
        Case(vocabulary: 11, hidden: 33, rows: 99, window: 3, shards: 1),
    ]

    private struct Step {
        let parameters: FloatBuffer
        let inputs: [UInt32]
        let targets: [UInt32]
        let carry: [Float]

        init(_ own: Case) {
            parameters = Initializer.torch.initialise(
                layout: ParameterLayout(own.shape), shape: own.shape, seed: 3, forgetBias: nil)
            var random = SplitMix64(seed: 9)
            func tokens() -> [UInt32] {
                (0..<own.rows * own.window).map { _ in UInt32(random.next() % UInt64(own.vocabulary)) }
            }
            (inputs, targets) = (tokens(), tokens())
            carry = (0..<own.rows * own.shape.carryCount).map { _ in Float(random.unit() - 0.5) }
        }

        func work(_ own: Case) -> [ShardWork] {
            let each = own.rows / own.shards
            return (0..<own.shards).map { shard in
                func part<Value>(_ values: [Value]) -> [Value] {
                    let size = values.count / own.rows * each
                    return Array(values[shard * size..<(shard + 1) * size])
                }
                return ShardWork(shard: shard, inputs: part(inputs), targets: part(targets), carry: part(carry))
            }
        }

        func run(_ own: Case, logitBudget: Int = 1 << 20) -> (gradient: FloatBuffer, outcomes: [ShardOutcome]) {
            let gradient = FloatBuffer(count: ParameterLayout(own.shape).count)
            let outcomes = GradientEngine(
                geometry: own.geometry, threads: own.threads, logitBudget: logitBudget
            ).run(
                step: 5, parameters: parameters, work: work(own),
                nodes: [GradientNode(shards: 0..<own.shards, gradient: gradient)]
            ) { _ in }
            return (gradient, outcomes)
        }
    }

    /// The factors that the engine's dropout stands for: `[layers][B, T, H]`.
    private func masks(_ own: Case) -> [[Double]]? {
        guard own.dropout > 0 else { return nil }
        let mask = DropoutMask(probability: own.dropout, seed: own.geometry.seed)
        let ones = [Float](repeating: 1, count: own.hidden)
        return (0..<own.layers).map { layer in
            (0..<own.rows).flatMap { row in
                (0..<own.window).flatMap { time in
                    var out = ones
                    var bits = [UInt8](repeating: 0, count: DropoutMask.byteCount(hidden: own.hidden))
                    mask.apply(
                        hidden: own.hidden, layer: layer, time: time, row: row, step: 5, to: ones, into: &out,
                        mask: &bits)
                    return out.map { Double($0) }
                }
            }
        }
    }

    @Test("Loss, carry and every gradient are the reference's, with its masks", arguments: cases)
    func reference(own: Case) {
        let step = Step(own)
        let model = ReferenceLSTM<Double>(shape: own.shape, parameters: step.parameters.array.map { Double($0) })
        let forward = model.forward(
            ReferenceBatch(
                shape: own.shape, rows: own.rows, window: own.window, input: .tokens(step.inputs.map { Int($0) }),
                carry: step.carry.map { Double($0) }, masks: masks(own)))
        let loss = ReferenceCrossEntropy(
            logits: forward.logits, targets: step.targets.map { Int($0) }, classes: own.vocabulary)
        let wanted = model.backward(forward, logitGradient: loss.gradient).parameters
        let (gradient, outcomes) = step.run(own)
        expectClose(outcomes.reduce(0) { $0 + $1.loss } / Double(own.rows * own.window), loss.mean, 2e-6, "loss")
        expectClose(outcomes.flatMap(\.carry), forward.carry, 2e-6, "carry")
        for entry in ParameterLayout(own.shape).entries {
            expectClose(Array(gradient.array[entry.range]), Array(wanted[entry.range]), 2e-6, entry.name)
        }
    }

    @Test("Logits in parts, by shards or by time steps, give the same bits", arguments: cases)
    func budgets(own: Case) {
        let step = Step(own)
        let whole = step.run(own)
        let shard = own.rows / own.shards * own.window * own.vocabulary
        for budget in [1, shard / 2, shard, 2 * shard] {
            let parts = step.run(own, logitBudget: budget)
            #expect(digest(parts.gradient) == digest(whole.gradient))
            #expect(parts.outcomes == whole.outcomes)
        }
    }

    @Test("The bits of a step are these, whatever the machine, the instruction set and the build")
    func pinned() {
        let own = Case(vocabulary: 19, hidden: 37, rows: 10, window: 6, shards: 5, dropout: 0.4)
        let step = Step(own)
        let (gradient, outcomes) = step.run(own)
        #expect(String(digest(gradient), radix: 16) == "c7724a0e43d61470")
        #expect(String(digest(FloatBuffer(outcomes.flatMap(\.carry))), radix: 16) == "8180e5de9412105d")
        let optimizer = Optimizer(configuration: OptimizerConfiguration(), count: gradient.count)
        let scalars = Optimizer.scalars(
            configuration: optimizer.configuration, update: 3, learningRate: 0.01, clipCoefficient: 0.7)
        optimizer.apply(gradient: gradient, to: step.parameters, scalars: scalars)
        #expect(String(digest(step.parameters), radix: 16) == "6b98f243bcc4d4a7")

        // Without dropout both weights of a layer read the same outputs.
        let plain = Case(vocabulary: 19, hidden: 37, layers: 3, rows: 10, window: 6, shards: 5)
        #expect(String(digest(Step(plain).run(plain).gradient), radix: 16) == "3d8829acd76b41e6")
    }

    @Test("The forward engine has the bits of the training path without dropout")
    func forward() {
        let own = Case(vocabulary: 19, hidden: 37, layers: 3, rows: 6, window: 5, shards: 1)
        let step = Step(own)
        let outcome = step.run(own).outcomes[0]
        for threads in [1, 3] {
            let state = ForwardState(shape: own.shape, rows: own.rows)
            state.carry = step.carry
            let loss = ForwardEngine(shape: own.shape, parameters: step.parameters, threads: threads).loss(
                inputs: step.inputs, targets: step.targets, window: own.window, state)
            #expect(loss == outcome.loss && state.carry == outcome.carry)
        }
    }
}
